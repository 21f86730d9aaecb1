#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockstore/local_store.h"
#include "store_fixture.h"
#include "store_suite.h"

struct fixture {
    char dir[SCRATCH_PATH_MAX];
    struct block_owner owner;
    uint8_t *data;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL) return -1;
    scratch_make(f->dir);
    f->owner = owner_make(1, 1);
    f->data = malloc(BLOCK_SIZE_MAX);
    *state = f;
    return f->data == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    scratch_remove(f->dir);
    owner_done(&f->owner);
    free(f->data);
    free(f);
    return 0;
}

static struct block_store *open_store(const struct fixture *f, bool read_only)
{
    struct block_store *store;
    struct hf_err err;

    if (local_store_open(f->dir, &f->owner, read_only, NULL, &store, &err) != HF_OK)
        fail_msg("%s", err.msg);
    return store;
}

static void keeps_every_promise(void **state)
{
    struct fixture *f = *state;
    struct block_store *store = open_store(f, false);

    store_suite_run(store, &f->owner);
    block_store_close(store);
}

static void keeps_all_when_reopened(void **state)
{
    struct fixture *f = *state;
    struct block_store *store = open_store(f, false);
    struct local_store_status status;
    struct hf_err err;
    struct hf_id ids[5];

    for (size_t i = 0; i < 5; i++) {
        pattern_fill(f->data, BLOCK_SIZE_MIN << i, i);
        assert_int_equal(
            block_store_put(store, f->data, BLOCK_SIZE_MIN << i, &ids[i], &err), HF_OK);
    }
    block_store_close(store);
    for (int read_only = 0; read_only < 2; read_only++) {
        store = open_store(f, read_only != 0);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(
                block_store_get(store, &ids[i], 0, BLOCK_SIZE_MIN << i, f->data, &err),
                HF_OK);
            assert_true(pattern_matches(f->data, BLOCK_SIZE_MIN << i, i));
            assert_int_equal(local_store_verify(store, &ids[i], &err), HF_OK);
        }
        assert_int_equal(local_store_status(store, &status, &err), HF_OK);
        assert_int_equal(status.blocks, 5);
        assert_int_equal(status.block_bytes, 31 * BLOCK_SIZE_MIN);
        assert_true(status.disk_bytes > status.block_bytes);
        assert_int_equal(status.damaged_segments, 0);
        block_store_close(store);
    }
}

static void a_missing_store_is_not_made_by_a_reader(void **state)
{
    struct fixture *f = *state;
    struct block_store *store;
    struct hf_err err;

    assert_int_equal(local_store_open(f->dir, &f->owner, true, NULL, &store, &err),
                     HF_NOT_FOUND);
    assert_null(store);
    assert_non_null(strstr(err.msg, "holdfast init"));
    assert_int_equal(
        local_store_open("/nonexistent/store", &f->owner, true, NULL, &store, &err),
        HF_NOT_FOUND);
}

static void a_second_writer_is_told_who_holds_it(void **state)
{
    struct fixture *f = *state;
    struct block_store *store = open_store(f, false), *second;
    struct hf_err err;
    char pid[32];

    assert_int_equal(local_store_open(f->dir, &f->owner, false, NULL, &second, &err),
                     HF_LOCKED);
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_non_null(strstr(err.msg, pid));
    block_store_close(store);
    store = open_store(f, false);
    block_store_close(store);
}

static void vaults_do_not_see_each_other(void **state)
{
    struct fixture *f = *state;
    struct block_owner stranger = owner_make(2, 1);
    struct block_store *store = open_store(f, false);
    uint8_t record[4096];
    struct hf_err err;
    struct hf_id id;
    bool have = true;
    size_t n;

    pattern_fill(f->data, BLOCK_SIZE_MIN, 1);
    assert_int_equal(block_store_put(store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    n = record_make(&stranger, 1, 1, 'x', record, sizeof record);
    assert_int_equal(block_store_put_record(store, record, n, &err), HF_DENIED);
    block_store_close(store);
    assert_int_equal(local_store_open(f->dir, &stranger, false, NULL, &store, &err), HF_OK);
    assert_int_equal(block_store_have(store, &id, 1, &have, &err), HF_OK);
    assert_false(have);
    block_store_close(store);
    owner_done(&stranger);
}

/* Inverts the byte `from_end` bytes before the end of the only segment. */
static void damage_segment(const struct fixture *f, long from_end)
{
    char path[SCRATCH_PATH_MAX + 64];
    FILE *file;
    int byte;

    (void)snprintf(path, sizeof path, "%s/segments/0000000000000001.log", f->dir);
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    byte = fgetc(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    assert_int_equal(fputc(byte ^ 0xff, file), byte ^ 0xff);
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_block_is_found_and_replaced(void **state)
{
    struct fixture *f = *state;
    struct block_store *store = open_store(f, false);
    struct hf_err err;
    struct hf_id id;

    pattern_fill(f->data, BLOCK_SIZE_MIN, 1);
    assert_int_equal(block_store_put(store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    block_store_close(store);
    damage_segment(f, 1000);
    store = open_store(f, false);
    assert_int_equal(local_store_verify(store, &id, &err), HF_CORRUPT);
    assert_int_equal(block_store_put(store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    assert_int_equal(local_store_verify(store, &id, &err), HF_OK);
    block_store_close(store);
}

/* A reader in another process sees what the writer stores after the reader opened. */
static void a_reader_follows_the_writer(void **state)
{
    struct fixture *f = *state;
    struct block_store *store = open_store(f, false);
    int to_child[2], to_parent[2], status;
    struct hf_err err;
    struct hf_id id;
    char go = 0;
    pid_t child;

    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct block_store *reader;
        bool ok = local_store_open(f->dir, &f->owner, true, NULL, &reader, &err) == HF_OK;

        ok = ok && write(to_parent[1], &go, 1) == 1;
        for (uint64_t i = 0; ok && i < 40; i++) {
            ok = read(to_child[0], &id, sizeof id) == (ssize_t)sizeof id &&
                 block_store_get(reader, &id, 0, BLOCK_SIZE_MIN, f->data, &err) == HF_OK &&
                 pattern_matches(f->data, BLOCK_SIZE_MIN, i);
            ok = write(to_parent[1], &go, 1) == 1 && ok;
        }
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(read(to_parent[0], &go, 1), 1);
    for (uint64_t i = 0; i < 40; i++) {
        pattern_fill(f->data, BLOCK_SIZE_MIN, i);
        assert_int_equal(block_store_put(store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
        assert_int_equal(write(to_child[1], &id, sizeof id), sizeof id);
        if (read(to_parent[0], &go, 1) != 1) break;
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    block_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_every_promise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_all_when_reopened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_store_is_not_made_by_a_reader, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_writer_is_told_who_holds_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(vaults_do_not_see_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_block_is_found_and_replaced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_reader_follows_the_writer, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("blockstore/local_store", tests, NULL, NULL);
}
