/* Names in a directory far larger than a window: found in any order, and a block that
 * cannot be read is a failure, never a name that is not there. */
#include "test.h"

#include "base/file.h"
#include "blockstore/memory_store.h"
#include "fuse/dir_cache.h"
#include "snapshot/backup.h"
#include "snapshot/lookup.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES (2 * DIR_WINDOW_ENTRIES + 500u) /* two windows and a part */

struct fixture {
    char *dir;
    char source[512], cache_dir[512], state[512];
    int state_fd;
    struct vault vault;
    struct vault_keys keys;
    struct block_store *store;
    struct fetcher *fetcher;
    struct dir_cache *cache;
    struct stream_root many;
};

static void name_of(size_t i, char name[static 32])
{
    (void)snprintf(name, 32, "name%06zu", i);
}

static void make_source(struct fixture *f)
{
    char path[700];

    (void)snprintf(path, sizeof path, "%s/many", f->source);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < NAMES; i++) {
        char name[32];
        int fd;

        name_of(i, name);
        (void)snprintf(path, sizeof path, "%s/many/%s", f->source, name);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, name, strlen(name)), strlen(name));
        (void)close(fd);
    }
}

static void back_up(struct fixture *f)
{
    const char *const paths[] = {f->source};
    const struct backup_options o = {.store = f->store,
                                     .vault = &f->vault,
                                     .keys = &f->keys,
                                     .state_fd = f->state_fd,
                                     .cache_dir = f->cache_dir,
                                     .paths = paths,
                                     .path_count = 1,
                                     .time_ns = 1790000000ll * 1000000000,
                                     .level = 1};
    const struct catalog_entry *entry;
    struct backup_result result;
    struct snapshot snapshot;
    struct vault_view view;
    struct lookup lookup;
    char path[700];
    struct hf_err err;

    if (backup_run(&o, &result, &err) != HF_OK) fail_msg("backup: %s", err.msg);
    backup_result_done(&result);
    assert_int_equal(vault_view_read(f->store, f->fetcher, &f->keys, &view, &err), HF_OK);
    assert_int_equal(vault_view_find(&view, "latest", &f->vault.host, &entry, &err), HF_OK);
    assert_int_equal(snapshot_read(f->fetcher, entry, &snapshot, &err), HF_OK);
    vault_view_done(&view);
    (void)snprintf(path, sizeof path, "%s/many", f->source);
    if (lookup_path(f->fetcher, &snapshot.root, path, &lookup, &err) != HF_OK)
        fail_msg("%s", err.msg);
    f->many = lookup.dir;
    lookup_done(&lookup);
    snapshot_done(&snapshot);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char *const dirs[] = {f->source, f->cache_dir, f->state};
    static const char *const names[] = {"source", "cache", "state"};
    struct block_owner owner;
    struct hf_err err;

    f->dir = test_dir_new();
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(dirs[i], 512, "%s/%s", f->dir, names[i]);
        assert_int_equal(mkdir(dirs[i], 0755), 0);
    }
    assert_int_equal(hf_dir_open(f->state, &f->state_fd, &err), HF_OK);
    assert_int_equal(vault_new(&f->vault, "testhost", &err), HF_OK);
    assert_int_equal(vault_keys_init(&f->keys, f->vault.secret, &err), HF_OK);
    owner = (struct block_owner){f->keys.vault, f->vault.host, f->keys.signer};
    f->store = memory_store_new(&owner);
    f->fetcher = fetcher_new(f->store, 1);
    make_source(f);
    back_up(f);
    f->cache = dir_cache_new(f->fetcher);
    assert_non_null(f->cache);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    dir_cache_free(f->cache);
    fetcher_free(f->fetcher);
    block_store_close(f->store);
    vault_keys_done(&f->keys);
    vault_done(&f->vault);
    (void)close(f->state_fd);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

/* True: found, and it is the right one. */
static bool found(struct fixture *f, const char *name)
{
    struct tree_entry *entry;
    struct hf_err err;
    bool there;

    if (dir_cache_find(f->cache, &f->many, name, strlen(name), &entry, &err) != HF_OK)
        return false;
    there = entry != NULL && entry->name.size == strlen(name) &&
            memcmp(entry->name.bytes, name, entry->name.size) == 0 &&
            entry->content.size == strlen(name) &&
            memcmp(entry->content.bytes, name, entry->content.size) == 0;
    free(entry);
    return there;
}

static void names_are_found_in_any_order(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 7;
    char name[32];

    for (size_t i = 0; i < NAMES; i++) {
        name_of(i, name);
        assert_true(found(f, name));
    }
    for (size_t i = NAMES; i-- > NAMES - 20;) {
        name_of(i, name);
        assert_true(found(f, name));
    }
    for (size_t i = 0; i < 60; i++) {
        name_of(test_random(&seed) % NAMES, name);
        assert_true(found(f, name));
    }
}

static void names_that_are_not_there_are_no_failure(void **state)
{
    static const char *const names[] = {"a",           "name000000x", "name002047x",
                                        "name002048x", "name004595x", "zzz"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tree_entry *entry;
        struct hf_err err;

        assert_int_equal(
            dir_cache_find(f->cache, &f->many, names[i], strlen(names[i]), &entry, &err),
            HF_OK);
        assert_null(entry);
    }
    assert_true(found(f, "name000000"));
}

static void what_cannot_be_read_is_a_failure_and_then_found(void **state)
{
    static const enum hf_code codes[] = {HF_NOT_FOUND, HF_CORRUPT, HF_UNAVAILABLE};
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct tree_entry *entry;
        struct hf_err err;

        /* A fresh cache, and another frame in the fetcher. */
        dir_cache_free(f->cache);
        fetcher_free(f->fetcher);
        f->fetcher = fetcher_new(f->store, 1);
        f->cache = dir_cache_new(f->fetcher);
        memory_store_fail(f->store, MEMORY_GET, 1, codes[i], true);
        assert_int_equal(dir_cache_find(f->cache, &f->many, "name000001", 10, &entry, &err),
                         codes[i]);
        assert_null(entry);
        memory_store_fail(f->store, MEMORY_GET, 0, HF_OK, false);
        assert_true(found(f, "name000001"));
    }
}

static void *find_many(void *arg)
{
    struct fixture *f = arg;
    size_t missing = 0;
    char name[32];

    for (size_t i = 0; i < NAMES; i += 97) {
        name_of(i, name);
        missing += !found(f, name);
    }
    return missing == 0 ? NULL : f;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];
    void *missing;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_many, *state), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &missing), 0);
        assert_null(missing);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_order),
        cmocka_unit_test(names_that_are_not_there_are_no_failure),
        cmocka_unit_test(what_cannot_be_read_is_a_failure_and_then_found),
        cmocka_unit_test(threads_share_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
