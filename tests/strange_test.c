/* Strange trees are what their seeds say, and the comparer of trees misses nothing.
 *
 * With arguments a tool for the shell tests: make SEED DIR, change SEED DIR,
 * compare WANT GOT (exit 1: they differ), compare-bytes WANT GOT (holes may differ). */
#include "dir_ways.h"
#include "strange_parts.h"
#include "strange_tree.h"
#include "test.h"
#include "tree_compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
    char *dir;
    char a[300], b[300];
    int fd; /* of b */
    bool any_holes;
    char *text;
    size_t text_size;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->dir = test_dir_new();
    (void)snprintf(f->a, sizeof f->a, "%s/a", f->dir);
    (void)snprintf(f->b, sizeof f->b, "%s/b", f->dir);
    assert_int_equal(mkdir(f->a, 0755) | mkdir(f->b, 0755), 0);
    f->fd = open(f->b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)close(f->fd);
    dir_remove_all(AT_FDCWD, f->dir); /* too deep for anything that works with paths */
    free(f->dir);
    free(f->text);
    free(f);
    return 0;
}

/* What the comparer says stands in f->text. */
static struct tree_compared compare(struct fixture *f)
{
    struct tree_compared result;
    FILE *out;

    free(f->text);
    out = open_memstream(&f->text, &f->text_size);
    assert_non_null(out);
    result = tree_compare_all(f->a, f->b, !f->any_holes, out);
    assert_int_equal(fclose(out), 0);
    return result;
}

static void expect_same(struct fixture *f)
{
    if (compare(f).differences > 0) fail_msg("%s", f->text);
}

/* ---- trees ---- */

static void a_seed_gives_one_tree(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 6, 12};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        struct tree_compared result;

        strange_tree_make(f->a, seeds[i]);
        strange_tree_make(f->b, seeds[i]);
        result = compare(f);
        if (result.differences > 0) fail_msg("seed %zu: %s", (size_t)seeds[i], f->text);
        assert_true(result.entries > 15 && result.holes);
        assert_true(!STRANGE_DEEP(seeds[i]) || result.longest > 4096);
        assert_true(!STRANGE_CROWD(seeds[i]) || result.entries > 3000);
        strange_tree_change(f->a, seeds[i]);
        assert_true(compare(f).differences > 0);
        strange_tree_change(f->b, seeds[i]);
        if (compare(f).differences > 0)
            fail_msg("seed %zu, changed: %s", (size_t)seeds[i], f->text);
        (void)close(f->fd);
        dir_remove_all(AT_FDCWD, f->a);
        dir_remove_all(AT_FDCWD, f->b);
        assert_int_equal(mkdir(f->a, 0755) | mkdir(f->b, 0755), 0);
        f->fd = open(f->b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
}

static void another_seed_gives_another_tree(void **state)
{
    struct fixture *f = *state;

    strange_tree_make(f->a, 7);
    strange_tree_make(f->b, 8);
    assert_true(compare(f).differences > 5);
}

/* ---- the comparer ---- */

static void write_file(int dir_fd, const char *name, const void *bytes, size_t n)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(close(fd), 0);
}

static void set_time(int dir_fd, const char *name, time_t s, long ns)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {s, ns}};

    assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_xattr(int dir_fd, const char *name, const char *attribute,
                      const char *value)
{
    char path[300];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    assert_int_equal(setxattr(path, attribute, value, strlen(value), 0), 0);
}

/* user::rwx, user:UID:r--, group::r-x, mask::rwx, other::--- */
static void set_acl(int dir_fd, const char *name, const char *which, uint8_t uid)
{
    const uint8_t acl[] = {2,   0,   0,   0,   1,  0, 7, 0, 255, 255, 255, 255, 2,  0, 4, 0,
                           uid, 0,   0,   0,   4,  0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0,
                           255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
    char path[300];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    assert_int_equal(setxattr(path, which, acl, sizeof acl, 0), 0);
}

/* One of everything; twice the same. */
static void make_plain(const char *path)
{
    static const uint8_t zeros[65536];
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int sparse;

    assert_true(fd >= 0);
    assert_int_equal(mkdirat(fd, "dir", 0755), 0);
    write_file(fd, "dir/below", "below", 5);
    write_file(fd, "file", "contents", 8);
    write_file(fd, "other", "contents", 8);
    write_file(fd, "zeros", zeros, sizeof zeros);
    sparse = openat(fd, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(sparse, zeros, 4096, 131072), 4096);
    assert_int_equal(ftruncate(sparse, 1000000) | close(sparse), 0);
    assert_int_equal(linkat(fd, "file", fd, "linked", 0), 0);
    assert_int_equal(symlinkat("target", fd, "symlink"), 0);
    assert_int_equal(mkfifoat(fd, "fifo", 0644), 0);
    if (geteuid() == 0)
        assert_int_equal(mknodat(fd, "device", S_IFCHR | 0644, makedev(1, 3)), 0);
    set_xattr(fd, "file", "user.a", "value");
    set_xattr(fd, "file", "user.empty", "");
    set_acl(fd, "other", "system.posix_acl_access", 7);
    set_acl(fd, "dir", "system.posix_acl_default", 7);
    for (const char *const *name =
             (const char *const[]){"dir/below", "dir", "file", "other", "zeros", "sparse",
                                   "symlink", "fifo", ".", NULL};
         *name != NULL; name++)
        set_time(fd, *name, 1000000000, 5);
    if (geteuid() == 0) set_time(fd, "device", 1000000000, 5);
    assert_int_equal(close(fd), 0);
}

/* Changes of one property each. */
static void one_byte(int fd)
{
    write_file(fd, "file", "contentz", 8);
    set_time(fd, "file", 1000000000, 5);
}
static void one_byte_below(int fd)
{
    write_file(fd, "dir/below", "belov", 5);
    set_time(fd, "dir/below", 1000000000, 5);
}
static void one_byte_in_a_hole(int fd)
{
    int file = openat(fd, "sparse", O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(file, "x", 1, 700000), 1);
    assert_int_equal(close(file), 0);
    set_time(fd, "sparse", 1000000000, 5);
}
static void longer(int fd)
{
    write_file(fd, "file", "contents\0", 9);
    set_time(fd, "file", 1000000000, 5);
}
static void zeros_in_a_hole(int fd)
{
    static const uint8_t zeros[4096];
    int file = openat(fd, "sparse", O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(file, zeros, sizeof zeros, 0), sizeof zeros);
    assert_int_equal(close(file), 0);
    set_time(fd, "sparse", 1000000000, 5);
}
static void hole_in_zeros(int fd)
{
    int file = openat(fd, "zeros", O_WRONLY | O_CLOEXEC);

    assert_int_equal(
        fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 32768, 32768), 0);
    assert_int_equal(close(file), 0);
    set_time(fd, "zeros", 1000000000, 5);
}
static void mode(int fd)
{
    assert_int_equal(fchmodat(fd, "file", 04644, 0), 0);
}
static void mode_of_fifo(int fd)
{
    assert_int_equal(fchmodat(fd, "fifo", 0600, 0), 0);
}
static void mode_of_root(int fd)
{
    assert_int_equal(fchmodat(fd, ".", 0700, 0), 0);
}
static void owner(int fd)
{
    assert_int_equal(fchownat(fd, "symlink", 5, (gid_t)-1, AT_SYMLINK_NOFOLLOW), 0);
}
static void group(int fd)
{
    assert_int_equal(fchownat(fd, "file", (uid_t)-1, 5, AT_SYMLINK_NOFOLLOW), 0);
}
static void nanosecond(int fd)
{
    set_time(fd, "file", 1000000000, 6);
}
static void time_of_dir(int fd)
{
    set_time(fd, "dir", 1000000001, 5);
}
static void time_of_symlink(int fd)
{
    set_time(fd, "symlink", 1000000001, 5);
}
static void gone(int fd)
{
    assert_int_equal(unlinkat(fd, "dir/below", 0), 0);
    set_time(fd, "dir", 1000000000, 5);
}
static void added(int fd)
{
    write_file(fd, "\xff\n", "", 0);
    set_time(fd, ".", 1000000000, 5);
}
static void dir_added(int fd)
{
    assert_int_equal(mkdirat(fd, "dir/new", 0755), 0);
    set_time(fd, "dir", 1000000000, 5);
}
static void type(int fd)
{
    assert_int_equal(unlinkat(fd, "fifo", 0), 0);
    assert_int_equal(mknodat(fd, "fifo", S_IFSOCK | 0644, 0), 0);
    set_time(fd, "fifo", 1000000000, 5);
    set_time(fd, ".", 1000000000, 5);
}
static void target(int fd)
{
    assert_int_equal(unlinkat(fd, "symlink", 0), 0);
    assert_int_equal(symlinkat("targeT", fd, "symlink"), 0);
    set_time(fd, "symlink", 1000000000, 5);
    set_time(fd, ".", 1000000000, 5);
}
static void device(int fd)
{
    assert_int_equal(unlinkat(fd, "device", 0), 0);
    assert_int_equal(mknodat(fd, "device", S_IFCHR | 0644, makedev(1, 5)), 0);
    set_time(fd, "device", 1000000000, 5);
    set_time(fd, ".", 1000000000, 5);
}
static void link_parted(int fd)
{
    assert_int_equal(unlinkat(fd, "linked", 0), 0);
    write_file(fd, "linked", "contents", 8);
    set_xattr(fd, "linked", "user.a", "value");
    set_xattr(fd, "linked", "user.empty", "");
    set_time(fd, "linked", 1000000000, 5);
    set_time(fd, ".", 1000000000, 5);
}
static void attribute_value(int fd)
{
    set_xattr(fd, "file", "user.a", "valuE");
}
static void attribute_not_empty(int fd)
{
    set_xattr(fd, "file", "user.empty", "x");
}
static void attribute_added(int fd)
{
    set_xattr(fd, "dir", "user.b", "");
}
static void attribute_gone(int fd)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/file", fd);
    assert_int_equal(removexattr(path, "user.empty"), 0);
}
static void acl(int fd)
{
    set_acl(fd, "other", "system.posix_acl_access", 8);
}
static void default_acl(int fd)
{
    set_acl(fd, "dir", "system.posix_acl_default", 8);
}

static const struct {
    void (*change)(int fd);
    const char *said; /* a line that it must give */
    bool root;
} properties[] = {
    {one_byte, "file: contents differ at byte 7 of 8\n", false},
    {one_byte_below, "dir/below: contents differ at byte 4 of 5\n", false},
    {one_byte_in_a_hole, "sparse: contents differ at byte 700000 of 1000000\n", false},
    {longer, "file: size: want 8, got 9\n", false},
    {zeros_in_a_hole, "sparse: holes: next data is 131072..", false},
    {hole_in_zeros, "zeros: holes: next data is 0..65536 there, 0..32768 here\n", false},
    {mode, "file: mode: want 100644, got 104644\n", false},
    {mode_of_fifo, "fifo: mode: ", false},
    {mode_of_root, ".: mode: ", false},
    {owner, "symlink: owner: want 0:0, got 5:0\n", true},
    {group, "file: owner: want 0:0, got 0:5\n", true},
    {nanosecond, "file: mtime: want 1000000000.000000005, got 1000000000.000000006\n",
     false},
    {time_of_dir, "dir: mtime: ", false},
    {time_of_symlink, "symlink: mtime: ", false},
    {gone, "dir/below: is missing\n", false},
    {added, "\\xff\\x0a: should not be there\n", false},
    {dir_added, "dir/new: should not be there\n", false},
    {type, "fifo: mode: want 10644, got 140644\n", false},
    {target, "symlink: link target differs\n", false},
    {device, "device: device: ", true},
    {link_parted, "linked: hard links: another name's file there, a file of its own here\n",
     false},
    {attribute_value, "file: attribute user.a differs\n", false},
    {attribute_not_empty, "file: attribute user.empty differs\n", false},
    {attribute_added, "dir: attribute user.b should not be there\n", false},
    {attribute_gone, "file: attribute user.empty is missing\n", false},
    {acl, "other: attribute system.posix_acl_access differs\n", false},
    {default_acl, "dir: attribute system.posix_acl_default differs\n", false},
};

static void empty(struct fixture *f)
{
    dir_remove_all(AT_FDCWD, f->a);
    dir_remove_all(AT_FDCWD, f->b);
    (void)close(f->fd);
    assert_int_equal(mkdir(f->a, 0755) | mkdir(f->b, 0755), 0);
    f->fd = open(f->b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    make_plain(f->a);
    make_plain(f->b);
    expect_same(f);
}

static void every_property_is_compared(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (properties[i].root && geteuid() != 0) continue;
        empty(f);
        properties[i].change(f->fd);
        assert_true(compare(f).differences > 0);
        if (strstr(f->text, properties[i].said) == NULL)
            fail_msg("no '%s' in: %s", properties[i].said, f->text);
    }
}

/* Also of what is no file, and also where it is too much. */
static void links_that_should_not_be_are_seen(void **state)
{
    struct fixture *f = *state;
    int fd;

    empty(f);
    fd = open(f->a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkfifoat(fd, "second", 0644), 0);
    set_time(fd, "second", 1000000000, 5);
    set_time(fd, ".", 1000000000, 5);
    (void)close(fd);
    assert_int_equal(linkat(f->fd, "fifo", f->fd, "second", 0), 0);
    set_time(f->fd, ".", 1000000000, 5);
    assert_int_equal(compare(f).differences, 1);
    assert_string_equal(
        f->text, "second: hard links: a file of its own there, another name's file here\n");
}

static void holes_may_differ_where_they_are_not_asked_for(void **state)
{
    struct fixture *f = *state;

    f->any_holes = true;
    empty(f);
    zeros_in_a_hole(f->fd);
    hole_in_zeros(f->fd);
    expect_same(f);
    one_byte_in_a_hole(f->fd);
    assert_int_equal(compare(f).differences, 1);
}

static void a_tree_that_is_not_there_is_a_difference(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rmdir(f->b), 0);
    assert_int_equal(compare(f).differences, 1);
    assert_int_equal(mkdir(f->b, 0755), 0);
}

/* ---- the tool ---- */

static int tool(int argc, char **argv)
{
    uint64_t seed = strtoull(argv[2], NULL, 10);
    struct tree_compared result;

    umask(022);
    if (argc == 4 && strcmp(argv[1], "make") == 0) {
        strange_tree_make(argv[3], seed);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "change") == 0) {
        strange_tree_change(argv[3], seed);
        return 0;
    }
    if (argc == 4 && strncmp(argv[1], "compare", 7) == 0) {
        result =
            tree_compare_all(argv[2], argv[3], strcmp(argv[1], "compare") == 0, stdout);
        if (!result.holes) (void)puts("(holes were not compared)");
        (void)printf("%zu entries, %zu differences, longest path %zu\n", result.entries,
                     result.differences, result.longest);
        return result.differences == 0 ? 0 : 1;
    }
    (void)fprintf(stderr, "strange_test make|change SEED DIR, compare[-bytes] WANT GOT\n");
    return 2;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_seed_gives_one_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(another_seed_gives_another_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(every_property_is_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(links_that_should_not_be_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(holes_may_differ_where_they_are_not_asked_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_that_is_not_there_is_a_difference, setup,
                                        teardown),
    };

    if (argc > 2) return tool(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
