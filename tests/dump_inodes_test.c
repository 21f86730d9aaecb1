/* The inode table: numbers that are the same in every mount, and FORGET counted right. */
#include "test.h"

#include "fuse/inodes.h"

#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    *state = inodes_new();
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    inodes_free(*state);
    return 0;
}

static struct inode_spec spec_of(const struct inode *parent, const char *name)
{
    struct inode_spec spec = {.kind = INODE_ENTRY,
                              .name = {(const uint8_t *)name, strlen(name)}};

    spec.key = inode_key_below(&parent->key, INODE_ENTRY, name, strlen(name));
    return spec;
}

static struct inode *enter(struct inodes *t, struct inode *parent, const char *name)
{
    struct inode_spec spec = spec_of(parent, name);
    struct inode *inode = inodes_enter(t, parent, &spec);

    assert_non_null(inode);
    return inode;
}

static void numbers_come_from_the_path_alone(void **state)
{
    struct inodes *one = *state;
    struct inodes *two = inodes_new();
    struct inode *root1 = inodes_get(one, INODE_ROOT);
    struct inode *root2 = inodes_get(two, INODE_ROOT);
    struct inode *a = enter(one, root1, "a");
    uint64_t b = enter(one, a, "b")->number;

    (void)enter(two, root2, "other"); /* another order of looking up */
    assert_true(enter(two, enter(two, root2, "a"), "b")->number == b);
    assert_true(enter(one, root1, "b")->number != b);
    assert_true(b > INODE_ROOT && b <= INT64_MAX);
    assert_ptr_equal(inodes_get(one, b)->parent, a);
    assert_null(inodes_get(one, b + 1));
    assert_null(inodes_get(one, 0));
    inodes_free(two);
}

static void kinds_of_one_name_differ(void **state)
{
    const struct inode *root = inodes_get(*state, INODE_ROOT);
    struct inode_key year = inode_key_below(&root->key, INODE_YEAR, "2026", 4);
    struct inode_key entry = inode_key_below(&root->key, INODE_ENTRY, "2026", 4);

    assert_true(inode_key_number(&year) != inode_key_number(&entry));
}

static void a_number_that_is_taken_is_passed_over(void **state)
{
    struct inodes *t = *state;
    struct inode *root = inodes_get(t, INODE_ROOT);
    struct inode_spec first = spec_of(root, "first");
    struct inode_spec second = spec_of(root, "second");
    struct inode *a;
    struct inode *b;

    memset(first.key.b, 0xff, 8); /* the last number: the next is past 0 and the root */
    memset(second.key.b, 0xff, 8);
    a = inodes_enter(t, root, &first);
    b = inodes_enter(t, root, &second);
    assert_true(a->number == INT64_MAX);
    assert_true(b->number == INODE_ROOT + 1);
    assert_ptr_equal(inodes_enter(t, root, &second), b);
    assert_memory_equal(b->name, "second", 6);
    memset(first.key.b, 0, 8);
    assert_true(inode_key_number(&first.key) > INODE_ROOT);
}

static void what_is_forgotten_goes_upwards(void **state)
{
    struct inodes *t = *state;
    struct inode *a = enter(t, inodes_get(t, INODE_ROOT), "a");
    struct inode *b = enter(t, a, "b");
    struct inode *c = enter(t, b, "c");
    uint64_t numbers[] = {a->number, b->number, c->number};

    assert_ptr_equal(enter(t, b, "c"), c); /* twice */
    inodes_forget(t, numbers[0], 1);
    inodes_forget(t, numbers[1], 1);
    assert_ptr_equal(inodes_get(t, numbers[0]), a); /* c needs it */
    inodes_forget(t, numbers[2], 1);
    assert_int_equal(inodes_count(t), 4);
    inodes_forget(t, numbers[2], 1);
    assert_int_equal(inodes_count(t), 1);
    for (size_t i = 0; i < 3; i++)
        assert_null(inodes_get(t, numbers[i]));
    inodes_forget(t, numbers[2], 1); /* unknown now */
    inodes_forget(t, INODE_ROOT, UINT64_MAX);
    assert_non_null(inodes_get(t, INODE_ROOT));
    b = enter(t, inodes_get(t, INODE_ROOT), "b");
    inodes_forget(t, b->number, UINT64_MAX); /* more than there were */
    assert_int_equal(inodes_count(t), 1);
}

static void a_chain_of_100000_is_freed_without_recursion(void **state)
{
    struct inodes *t = *state;
    struct inode *inode = inodes_get(t, INODE_ROOT);

    for (size_t i = 0; i < 100000; i++) {
        struct inode *child = enter(t, inode, "d");

        if (inode->number != INODE_ROOT) inodes_forget(t, inode->number, 1);
        inode = child;
    }
    assert_int_equal(inode->depth, 100000);
    assert_int_equal(inodes_count(t), 100001);
    inodes_forget(t, inode->number, 1);
    assert_int_equal(inodes_count(t), 1);
}

static void many_in_one_directory_are_found_and_forgotten(void **state)
{
    struct inodes *t = *state;
    struct inode *dir = enter(t, inodes_get(t, INODE_ROOT), "dir");
    uint64_t *numbers = calloc(20000, sizeof *numbers);
    char name[32];

    assert_non_null(numbers);
    for (size_t i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "file%zu", i);
        numbers[i] = enter(t, dir, name)->number;
    }
    assert_int_equal(inodes_count(t), 20002);
    for (size_t i = 0; i < 20000; i += 2)
        inodes_forget(t, numbers[i], 1);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal(inodes_get(t, numbers[i]) != NULL, i % 2);
    assert_int_equal(inodes_count(t), 10002);
    free(numbers);
}

static void paths_are_told_from_the_root(void **state)
{
    struct inodes *t = *state;
    struct inode *root = inodes_get(t, INODE_ROOT);
    struct inode *deep = enter(t, enter(t, enter(t, root, "host"), "2026"), "1120");
    char buf[64];
    char small[14];

    assert_string_equal(inode_path(root, buf, sizeof buf), "/");
    assert_string_equal(inode_path(deep, buf, sizeof buf), "/host/2026/1120");
    assert_string_equal(inode_path(deep, small, sizeof small), ".../2026/1120");
    for (size_t size = 5; size < sizeof buf; size++)
        assert_true(strlen(inode_path(deep, buf, size)) < size);
}

static void data_and_names_are_copied(void **state)
{
    struct inodes *t = *state;
    struct inode *root = inodes_get(t, INODE_ROOT);
    uint8_t bytes[] = "content";
    char name[] = "name";
    struct inode_spec spec = spec_of(root, name);
    struct inode *inode;

    spec.data = (struct span){bytes, 7};
    inode = inodes_enter(t, root, &spec);
    memset(bytes, 0, sizeof bytes);
    memset(name, 0, sizeof name);
    assert_int_equal(inode->data_size, 7);
    assert_memory_equal(inode->data, "content", 7);
    assert_int_equal(inode->name_size, 4);
    assert_memory_equal(inode->name, "name", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_come_from_the_path_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(kinds_of_one_name_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_that_is_taken_is_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_goes_upwards, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_of_100000_is_freed_without_recursion, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_in_one_directory_are_found_and_forgotten,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(paths_are_told_from_the_root, setup, teardown),
        cmocka_unit_test_setup_teardown(data_and_names_are_copied, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
