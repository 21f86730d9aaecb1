/* Whole backups and restores through the memory store: what comes back is what was there.
 */
#include "test.h"
#include "tree_maker.h"

#include "base/file.h"
#include "base/random.h"
#include "blockstore/memory_store.h"
#include "snapshot/backup.h"
#include "snapshot/lookup.h"
#include "snapshot/restore.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char *dir; /* source, out1.., state, cache */
    char source[512], cache[512], state[512];
    int state_fd;
    struct vault vault;
    struct vault_keys keys;
    struct block_store *store;
    int64_t clock_ns;
    size_t errors;
    bool dry_run; /* of restore_to */
};

static void make_dir(struct fixture *f, const char *name, char out[static 512])
{
    (void)snprintf(out, 512, "%s/%s", f->dir, name);
    assert_int_equal(mkdir(out, 0755), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct block_owner owner;
    struct hf_err err;

    f->dir = test_dir_new();
    make_dir(f, "source", f->source);
    make_dir(f, "cache", f->cache);
    make_dir(f, "state", f->state);
    assert_int_equal(hf_dir_open(f->state, &f->state_fd, &err), HF_OK);
    assert_int_equal(vault_new(&f->vault, "testhost", &err), HF_OK);
    assert_int_equal(vault_keys_init(&f->keys, f->vault.secret, &err), HF_OK);
    owner = (struct block_owner){f->keys.vault, f->vault.host, f->keys.signer};
    f->store = memory_store_new(&owner);
    f->clock_ns = 1790000000ll * 1000000000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    block_store_close(f->store);
    vault_keys_done(&f->keys);
    vault_done(&f->vault);
    (void)close(f->state_fd);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct fixture *f = arg;

    (void)path;
    (void)err;
    f->errors++;
}

static enum hf_code backup_paths(struct fixture *f, const char *const *paths, size_t count,
                                 struct backup_result *result, struct hf_err *err)
{
    const struct backup_options o = {.store = f->store,
                                     .vault = &f->vault,
                                     .keys = &f->keys,
                                     .state_fd = f->state_fd,
                                     .cache_dir = f->cache,
                                     .paths = paths,
                                     .path_count = count,
                                     .time_ns = f->clock_ns += 1000000000,
                                     .level = 1,
                                     .on_error = on_error,
                                     .arg = f};

    return backup_run(&o, result, err);
}

static enum hf_code backup(struct fixture *f, struct backup_result *result,
                           struct hf_err *err)
{
    const char *const paths[] = {f->source};

    return backup_paths(f, paths, 1, result, err);
}

static void backup_ok(struct fixture *f, struct backup_result *result)
{
    struct hf_err err;

    if (backup(f, result, &err) != HF_OK) fail_msg("backup: %s", err.msg);
}

static enum hf_code restore_to(struct fixture *f, const char *spec, const char *out,
                               struct restore_counts *counts, struct hf_err *err)
{
    struct fetcher *fetcher = fetcher_new(f->store, 8);
    struct restore_options o = {.fetcher = fetcher,
                                .path = f->source,
                                .dry_run = f->dry_run,
                                .on_error = on_error,
                                .arg = f};
    const struct catalog_entry *entry;
    struct snapshot snapshot = {0};
    struct vault_view view = {0};
    enum hf_code rc = vault_view_read(f->store, fetcher, &f->keys, &view, err);

    if (rc == HF_OK) rc = vault_view_find(&view, spec, &f->vault.host, &entry, err);
    if (rc == HF_OK) rc = snapshot_read(fetcher, entry, &snapshot, err);
    if (rc == HF_OK) {
        o.root = snapshot.root;
        assert_int_equal(hf_dir_make(out, &o.target_fd, err), HF_OK);
        rc = restore_run(&o, counts, err);
        (void)close(o.target_fd);
    }
    snapshot_done(&snapshot);
    vault_view_done(&view);
    fetcher_free(fetcher);
    return rc;
}

/* The children are compared: the target directory itself keeps its own mode and time. */
static void expect_restored(struct fixture *f, const char *spec, const char *like)
{
    struct restore_counts counts;
    struct stat st;
    struct hf_err err;
    char out[600];
    char *difference;
    struct timespec times[2];

    (void)snprintf(out, sizeof out, "%s/out", f->dir);
    if (restore_to(f, spec, out, &counts, &err) != HF_OK) fail_msg("restore: %s", err.msg);
    assert_int_equal(counts.damaged + counts.failed, 0);
    assert_int_equal(stat(like, &st), 0);
    assert_int_equal(chmod(out, st.st_mode & 07777), 0);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, out, times, 0), 0);
    difference = tree_compare(like, out);
    if (difference != NULL) fail_msg("%s", difference);
    test_dir_remove(strdup(out));
}

static void copy_tree(const char *from, const char *to)
{
    char command[1200];

    (void)snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void many_trees_come_back(void **state)
{
    struct fixture *f = *state;
    char first[600];

    (void)snprintf(first, sizeof first, "%s/first", f->dir);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct backup_result result;

        tree_make(f->source, seed);
        backup_ok(f, &result);
        assert_int_equal(result.counts.totals.errors, 0);
        backup_result_done(&result);
        expect_restored(f, "latest", f->source);

        copy_tree(f->source, first);
        tree_change(f->source, seed);
        backup_ok(f, &result);
        assert_true(result.counts.files_unchanged > 30);
        backup_result_done(&result);
        expect_restored(f, "latest", f->source);
        expect_restored(f, "latest~1", first);
        test_dir_remove(strdup(first));
        test_dir_remove(strdup(f->source));
        assert_int_equal(mkdir(f->source, 0755), 0);
    }
}

static void what_is_unchanged_is_not_read_and_not_stored(void **state)
{
    struct fixture *f = *state;
    struct backup_result first;
    struct backup_result second;
    bool same = false;

    tree_make(f->source, 9);
    backup_ok(f, &first);
    /* The directory above is in the snapshot too, and other tests may just be making
     * theirs there: so there are several tries. */
    for (size_t attempt = 0; attempt < 20 && !same; attempt++) {
        backup_ok(f, &second);
        assert_true(second.counts.bytes_read == 0);
        assert_true(second.counts.files_unchanged == second.counts.totals.files);
        /* snapshot and catalog, and the way to them */
        assert_true(second.stored.blocks == 1);
        assert_true(second.stored.bytes_stored == BLOCK_SIZE_MIN);
        assert_true(second.snapshot.root.size > 0);
        same = stream_root_same(&first.snapshot.root, &second.snapshot.root);
        backup_result_done(&first);
        first = second;
    }
    assert_true(same);
    backup_result_done(&first);
    expect_restored(f, "latest", f->source);
}

/* Same size, and the old time set again: only the inode's change time tells. */
static void a_change_that_hides_its_time_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    struct timespec times[2];
    struct stat st;
    char name[700];

    (void)snprintf(name, sizeof name, "%s/file", f->source);
    tree_write_file(name, 1, 5000);
    assert_int_equal(stat(name, &st), 0);
    backup_ok(f, &result);
    backup_result_done(&result);
    tree_write_file(name, 3, 5000);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
    backup_ok(f, &result);
    assert_int_equal(result.counts.files_unchanged, 0);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

/* The store is asked now and then whether to go on: each time the file has grown. */
static bool grow(void *arg)
{
    struct fixture *f = arg;
    char name[700];
    int fd;

    (void)snprintf(name, sizeof name, "%s/growing", f->source);
    fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    (void)close(fd);
    return false;
}

static void a_file_that_grows_while_it_is_read_is_kept_and_read_again(void **state)
{
    struct fixture *f = *state;
    const char *const paths[] = {f->source};
    struct backup_options o = {.store = f->store,
                               .vault = &f->vault,
                               .keys = &f->keys,
                               .state_fd = f->state_fd,
                               .cache_dir = f->cache,
                               .paths = paths,
                               .path_count = 1,
                               .time_ns = f->clock_ns += 1000000000,
                               .level = 1,
                               .cancelled = grow,
                               .arg = f};
    struct backup_result result;
    struct hf_err err;
    char name[700];

    (void)snprintf(name, sizeof name, "%s/growing", f->source);
    tree_write_file(name, 5, 9000000);
    assert_int_equal(backup_run(&o, &result, &err), HF_OK);
    assert_int_equal(result.counts.totals.errors, 0);
    assert_true(result.counts.bytes_read > 18000000); /* retried once */
    backup_result_done(&result);
    backup_ok(f, &result);
    assert_int_equal(result.counts.files_unchanged, 0);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

static void without_parent_chunks_are_found_again(void **state)
{
    struct fixture *f = *state;
    struct backup_result first;
    struct backup_result second;
    char name[700];

    (void)snprintf(name, sizeof name, "%s/big", f->source);
    tree_write_file(name, 11, 20000000);
    backup_ok(f, &first);
    (void)snprintf(name, sizeof name, "%s/big2", f->source);
    tree_write_file(name, 11, 20000000); /* the same bytes under another name */
    backup_ok(f, &second);
    assert_true(first.stored.bytes_new > 19000000);
    assert_true(second.stored.bytes_stored <= 4 * BLOCK_SIZE_MIN);
    backup_result_done(&first);
    backup_result_done(&second);
    expect_restored(f, "latest", f->source);
}

static void anew_ok(struct fixture *f, struct backup_result *result)
{
    const char *const paths[] = {f->source};
    const struct backup_options o = {.store = f->store,
                                     .vault = &f->vault,
                                     .keys = &f->keys,
                                     .state_fd = f->state_fd,
                                     .cache_dir = f->cache,
                                     .paths = paths,
                                     .path_count = 1,
                                     .time_ns = f->clock_ns += 1000000000,
                                     .level = 1,
                                     .force = true};
    struct hf_err err;

    if (backup_run(&o, result, &err) != HF_OK) fail_msg("backup: %s", err.msg);
}

static uint64_t read_anew(struct fixture *f)
{
    struct backup_result result;
    uint64_t stored;

    anew_ok(f, &result);
    stored = result.stored.bytes_stored;
    backup_result_done(&result);
    return stored;
}

/* Large and small files, and one of so many chunks that it has nodes. */
static void make_varied(struct fixture *f)
{
    char name[700];

    tree_make(f->source, 21);
    (void)snprintf(name, sizeof name, "%s/large", f->source);
    tree_write_file(name, 23, 9000000);
}

/* From the third day on what has not changed is recognised by its quick hash. */
static void a_large_file_that_changes_every_day_comes_back(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    uint64_t seed = 31;
    char name[700];
    uint8_t bytes[5000];
    int fd;

    (void)snprintf(name, sizeof name, "%s/image", f->source);
    tree_write_file(name, 33, 9000000);
    backup_ok(f, &result);
    backup_result_done(&result);
    for (int day = 0; day < 4; day++) {
        fd = open(name, O_WRONLY);
        for (int i = 0; i < 2; i++) {
            test_random_bytes(&seed, bytes, sizeof bytes);
            assert_int_equal(
                pwrite(fd, bytes, sizeof bytes, (off_t)(test_random(&seed) % 8900000)),
                sizeof bytes);
        }
        (void)close(fd);
        backup_ok(f, &result);
        assert_true(result.stored.bytes_new < 5000000); /* a chunk or two around each */
        backup_result_done(&result);
        expect_restored(f, "latest", f->source);
    }
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "wbe");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* The ids of the chunks of a file or directory, as one text. */
static char *cuts_of(struct fixture *f, const struct stream_root *root, const char *path)
{
    struct fetcher *fetcher = fetcher_new(f->store, 8);
    struct stream_cursor *cursor;
    struct lookup lookup;
    struct chunk_ref ref;
    struct hf_err err;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (lookup_path(fetcher, root, path, &lookup, &err) != HF_OK) fail_msg("%s", err.msg);
    if (lookup.entry->type == TREE_DIR)
        cursor = stream_cursor_new(fetcher, FRAME_TREE, &lookup.dir);
    else
        cursor = stream_cursor_new(fetcher, FRAME_DATA, &lookup.entry->stream);
    for (;;) {
        char hex[HF_ID_HEX_SIZE];
        uint64_t offset;

        assert_int_equal(stream_cursor_next_ref(cursor, &ref, &offset, &err), HF_OK);
        if (ref.size == 0) break;
        (void)fprintf(out, "%s\n", hf_id_hex(&ref.id, hex));
    }
    (void)fclose(out);
    stream_cursor_free(cursor);
    lookup_done(&lookup);
    fetcher_free(fetcher);
    return text;
}

/* Overwrites, appends, cuts off, or moves all that follows. */
static void edit(uint8_t *bytes, size_t *n, uint64_t *seed)
{
    size_t at = (size_t)(test_random(seed) % *n);
    size_t more = 1 + (size_t)(test_random(seed) % 200000);

    switch (test_random(seed) % 4) {
    case 0: test_random_bytes(seed, bytes + at, *n - at < more ? *n - at : more); break;
    case 1:
        test_random_bytes(seed, bytes + *n, more);
        *n += more;
        break;
    case 2: *n -= more; break;
    default: memmove(bytes + at + more, bytes + at, *n - at); *n += more;
    }
}

/* A file that is cut as the parent snapshot says is cut as one that nobody has seen. */
static void cuts_do_not_depend_on_what_is_known(void **state)
{
    enum { MOST = 24000000 };
    struct fixture *f = *state;
    uint8_t *bytes = malloc(MOST);
    size_t n = 19000000;
    uint64_t seed = 61;
    char image[700];
    char copy[700];

    assert_non_null(bytes);
    test_random_bytes(&seed, bytes, n);
    (void)snprintf(image, sizeof image, "%s/image", f->source);
    for (int day = 0; day < 14; day++) {
        struct backup_result result;
        char *known;
        char *unseen;

        (void)snprintf(copy, sizeof copy, "%s/copy%d", f->source, day);
        write_bytes(image, bytes, n);
        write_bytes(copy, bytes, n);
        backup_ok(f, &result);
        known = cuts_of(f, &result.snapshot.root, image);
        unseen = cuts_of(f, &result.snapshot.root, copy);
        assert_string_equal(known, unseen);
        free(known);
        free(unseen);
        backup_result_done(&result);
        assert_int_equal(unlink(copy), 0);
        edit(bytes, &n, &seed);
        edit(bytes, &n, &seed);
        assert_in_range(n, 17000000, MOST - 400000);
    }
    free(bytes);
}

/* Of a parent snapshot that cannot be read here or there nothing is known; the file is read
 * and cut as a new one. */
static void a_parent_that_cannot_be_read_costs_only_time(void **state)
{
    enum { SIZE = 18000000 };
    struct fixture *f = *state;
    uint8_t *bytes = malloc(SIZE);
    struct backup_result result;
    uint64_t seed = 71;
    uint64_t gets;
    size_t made = 0;
    char name[700];

    assert_non_null(bytes);
    test_random_bytes(&seed, bytes, SIZE);
    (void)snprintf(name, sizeof name, "%s/image", f->source);
    for (int day = 0; day < 2; day++) {
        gets = memory_store_calls(f->store, MEMORY_GET);
        write_bytes(name, bytes, SIZE);
        backup_ok(f, &result);
        backup_result_done(&result);
        gets = memory_store_calls(f->store, MEMORY_GET) - gets; /* with a parent */
    }
    for (uint64_t n = 1; n <= gets; n++) {
        struct hf_err err;
        enum hf_code rc;

        test_random_bytes(&seed, bytes + n * 1000000 % SIZE, 1000);
        write_bytes(name, bytes, SIZE);
        memory_store_fail(f->store, MEMORY_GET, n, HF_UNAVAILABLE, true);
        rc = backup(f, &result, &err);
        memory_store_fail(f->store, MEMORY_GET, 0, HF_OK, false);
        backup_result_done(&result);
        if (rc == HF_OK)
            made++;
        else /* the catalog is needed */
            assert_int_equal(rc, HF_UNAVAILABLE);
        if (rc == HF_OK) expect_restored(f, "latest", f->source);
    }
    assert_in_range(made, 2, gets - 1);
    free(bytes);
}

/* So many chunks of zeros wait for their block that the first data behind the hole is one
 * too many: what is open is stored, and nothing of the file that is being cut is lost. */
static void data_behind_a_huge_hole_is_kept(void **state)
{
    struct fixture *f = *state;
    const off_t hole = (off_t)32767 * CHUNK_SIZE_MAX;
    const size_t size = 3000000;
    uint8_t *want = malloc(size);
    uint8_t *got = malloc(size);
    struct backup_result result;
    struct restore_counts counts;
    struct hf_err err;
    uint64_t seed = 51;
    char name[700];
    char out[600];
    int fd;

    test_random_bytes(&seed, want, size);
    (void)snprintf(name, sizeof name, "%s/sparse", f->source);
    fd = open(name, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(pwrite(fd, want, size, hole), size);
    assert_int_equal(close(fd), 0);
    backup_ok(f, &result);
    assert_int_equal(result.counts.totals.bytes, hole + (off_t)size);
    backup_result_done(&result);

    (void)snprintf(out, sizeof out, "%s/out", f->dir);
    if (restore_to(f, "latest", out, &counts, &err) != HF_OK) fail_msg("%s", err.msg);
    (void)snprintf(name, sizeof name, "%s/sparse", out);
    fd = open(name, O_RDONLY);
    assert_int_equal(pread(fd, got, size, hole), size);
    (void)close(fd);
    assert_memory_equal(got, want, size);
    test_dir_remove(strdup(out));
    free(want);
    free(got);
}

/* Another host of the same vault, with its own files, state and index. */
static void second_host(struct fixture *f, struct fixture *other)
{
    struct hf_err err;

    *other = *f;
    make_dir(f, "source2", other->source);
    make_dir(f, "cache2", other->cache);
    make_dir(f, "state2", other->state);
    assert_int_equal(hf_dir_open(other->state, &other->state_fd, &err), HF_OK);
    hf_random(other->vault.host.b, sizeof other->vault.host.b);
    (void)snprintf(other->vault.host_name, sizeof other->vault.host_name, "second");
}

static void *backup_days(void *arg)
{
    struct fixture *f = arg;

    for (uint64_t day = 0; day < 4; day++) {
        struct backup_result result;
        char name[700];

        (void)snprintf(name, sizeof name, "%s/day%d", f->source, (int)day);
        tree_write_file(name, day, 300000);
        backup_ok(f, &result);
        backup_result_done(&result);
    }
    return NULL;
}

static void two_hosts_of_one_vault_know_nothing_of_each_other(void **state)
{
    struct fixture *f = *state;
    struct fixture other;
    struct vault_view view = {0};
    struct fetcher *fetcher = fetcher_new(f->store, 8);
    struct hf_err err;
    pthread_t thread;

    tree_make(f->source, 41);
    second_host(f, &other);
    tree_make(other.source, 41); /* the same files: still nothing is shared */
    assert_int_equal(pthread_create(&thread, NULL, backup_days, &other), 0);
    (void)backup_days(f);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(vault_view_read(f->store, fetcher, &f->keys, &view, &err), HF_OK);
    assert_int_equal(view.host_count, 2);
    assert_int_equal(view.hosts[0].count, 4);
    assert_int_equal(view.hosts[1].count, 4);
    vault_view_done(&view);
    fetcher_free(fetcher);
    expect_restored(f, "latest", f->source);
    expect_restored(&other, "latest", other.source);
    (void)close(other.state_fd);
}

static void a_deleted_index_is_made_again(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char name[700];

    make_varied(f);
    backup_ok(f, &result);
    backup_result_done(&result);
    (void)snprintf(name, sizeof name, "%s/second-day", f->source);
    tree_write_file(name, 25, 3000000);
    backup_ok(f, &result);
    backup_result_done(&result);
    assert_int_equal(unlink(name), 0); /* only the older snapshot refers to it */
    backup_ok(f, &result);
    backup_result_done(&result);

    test_dir_remove(strdup(f->cache));
    assert_int_equal(mkdir(f->cache, 0755), 0);
    tree_write_file(name, 25, 3000000);
    /* Trees, and what was cut in two at the end of each run: as whole chunks nobody knows
     * them any more. */
    assert_true(read_anew(f) <= 3000000);
    assert_true(read_anew(f) <= 2 * BLOCK_SIZE_MIN);
    expect_restored(f, "latest", f->source);
}

static void an_index_that_lost_its_end_is_made_again(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char command[1200];

    make_varied(f);
    backup_ok(f, &result);
    backup_result_done(&result);
    (void)snprintf(command, sizeof command, "truncate -s 20K '%s'/index-*/data.mdb",
                   f->cache);
    assert_int_equal(system(command), 0);
    assert_true(read_anew(f) <= 3000000);
    expect_restored(f, "latest", f->source);
}

static void a_moved_file_costs_no_data(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char from[700];
    char to[700];

    make_varied(f);
    backup_ok(f, &result);
    backup_result_done(&result);
    (void)snprintf(from, sizeof from, "%s/large", f->source);
    (void)snprintf(to, sizeof to, "%s/moved", f->source);
    assert_int_equal(rename(from, to), 0);
    backup_ok(f, &result);
    assert_true(result.stored.bytes_stored <= 2 * BLOCK_SIZE_MIN);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

/* A night of 2.1 MiB that do not compress, in `files` files, stores no more than 5 % more.
 */
static void small_night(struct fixture *f, uint64_t seed, size_t files)
{
    const uint64_t night = 2202009;
    struct backup_result result;
    char name[700];

    for (size_t i = 0; i < files; i++) {
        (void)snprintf(name, sizeof name, "%s/night-%zu-%zu", f->source, files, i);
        tree_write_file(name, seed + 2 * i, night / files);
    }
    backup_ok(f, &result);
    assert_in_range(result.stored.bytes_stored, night / 8 * 7, night * 105 / 100);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

static void a_small_night_stores_little_more_than_its_data(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;

    tree_make(f->source, 12);
    backup_ok(f, &result);
    backup_result_done(&result);
    small_night(f, 1001, 1);   /* many chunks */
    small_night(f, 2001, 8);   /* a chunk or two in each */
    small_night(f, 3001, 200); /* many in one frame */
}

/* Photos, say: their frames are small, so that little of a block is left over. */
static void what_does_not_shrink_fills_its_blocks(void **state)
{
    const uint64_t size = 1700000;
    const size_t files = 30;
    struct fixture *f = *state;
    struct backup_result result;
    char name[700];

    for (size_t i = 0; i < files; i++) {
        (void)snprintf(name, sizeof name, "%s/photo%zu", f->source, i);
        tree_write_file(name, 5001 + 2 * i, size);
    }
    backup_ok(f, &result);
    assert_in_range(result.stored.bytes_stored, files * size, files * size * 102 / 100);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

#define HAR_FILES 1500u

static void har_write(struct fixture *f, size_t i, uint64_t day)
{
    char name[700];

    (void)snprintf(name, sizeof name, "%s/d%zu", f->source, i % 30);
    (void)mkdir(name, 0755);
    (void)snprintf(name, sizeof name, "%s/d%zu/f%zu", f->source, i % 30, i);
    tree_write_file(name, day * 100003 + 2 * i + 1, 2000 + i % 17 * 1000);
}

/* How often a restore asks the store: how many frames it opens. */
static size_t frames_opened(struct fixture *f)
{
    size_t before = memory_store_calls(f->store, MEMORY_GET);

    expect_restored(f, "latest", f->source);
    return memory_store_calls(f->store, MEMORY_GET) - before;
}

/* Those of trees alone. */
static size_t tree_frames_opened(struct fixture *f)
{
    size_t before = memory_store_calls(f->store, MEMORY_GET);
    struct restore_counts counts;
    struct hf_err err;
    char out[600];

    (void)snprintf(out, sizeof out, "%s/dry", f->dir);
    f->dry_run = true;
    assert_int_equal(restore_to(f, "latest", out, &counts, &err), HF_OK);
    f->dry_run = false;
    return memory_store_calls(f->store, MEMORY_GET) - before;
}

static void old_frames_that_are_mostly_dead_are_left(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    uint64_t seed = 77;
    size_t trees;

    for (size_t i = 0; i < HAR_FILES; i++)
        har_write(f, i, 0);
    backup_ok(f, &result);
    backup_result_done(&result);
    for (uint64_t day = 1; day <= 30; day++) {
        for (size_t n = 0; n < HAR_FILES / 10; n++)
            har_write(f, (size_t)(test_random(&seed) % HAR_FILES), day);
        backup_ok(f, &result);
        backup_result_done(&result);
    }
    trees = tree_frames_opened(f);
    assert_in_range(trees, 1, 60); /* 44 */
    /* 91; 168 when they are kept, 112 when a restore sorts only 1,024 files at a time. */
    assert_in_range(frames_opened(f) - trees, 1, 101);
}

/* What is touched, but has the content that it had, keeps its frames alive. */
static void touched_files_are_never_stored_again(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char name[700];

    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "%s/f%zu", f->source, i);
        tree_write_file(name, 2 * i, 100000);
    }
    backup_ok(f, &result);
    backup_result_done(&result);
    for (int night = 1; night <= 6; night++) {
        for (size_t i = 0; i < 40; i++) { /* a few of each frame are left alone */
            const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                              {.tv_sec = 1700000000 + night}};

            (void)snprintf(name, sizeof name, "%s/f%zu", f->source, i);
            if (i % 10 != 0) assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
        }
        backup_ok(f, &result);
        assert_int_equal(result.counts.files_unchanged, 4);
        assert_int_equal(result.stored.bytes_new / 100000, 0); /* trees only */
        backup_result_done(&result);
    }
}

/* What is removed, a file or a directory with all below it, is not in the next snapshot,
 * and counts as dead: the little that is left of its frame is stored anew. */
static void what_is_removed_is_gone_and_leaves_its_frame(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char name[700];

    (void)snprintf(name, sizeof name, "%s/d", f->source);
    assert_int_equal(mkdir(name, 0755), 0);
    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, i < 20 ? "%s/d/f%zu" : "%s/f%zu", f->source, i);
        tree_write_file(name, 2 * i, 20000);
    }
    backup_ok(f, &result);
    backup_result_done(&result);
    for (size_t i = 0; i < 36; i++) { /* the first names are removed, and then the last */
        (void)snprintf(name, sizeof name, i < 20 ? "%s/d/f%zu" : "%s/f%zu", f->source, i);
        assert_int_equal(unlink(name), 0);
    }
    (void)snprintf(name, sizeof name, "%s/d", f->source);
    assert_int_equal(rmdir(name), 0);
    backup_ok(f, &result);
    assert_int_equal(result.counts.totals.files, 4);
    assert_int_equal(result.counts.files_unchanged, 4);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);

    backup_ok(f, &result);
    assert_int_equal(result.counts.files_unchanged, 0);
    assert_in_range(result.stored.bytes_new, 4 * 20000, 5 * 20000);
    backup_result_done(&result);
    (void)snprintf(name, sizeof name, "%s/f39", f->source);
    assert_int_equal(unlink(name), 0);
    backup_ok(f, &result);
    assert_int_equal(result.counts.files_unchanged, 3);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

/* How many lines of `a` are not among those of `b`; releases both. */
static size_t lines_missing(char *a, char *b)
{
    size_t missing = 0;
    char *rest;

    for (char *line = strtok_r(a, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        missing += strstr(b, line) == NULL;
    free(a);
    free(b);
    return missing;
}

/* What changes in a night, a bit for each: below the first entries and one in the middle,
 * in place, so that it does not show from outside, and stored sooner or later than the walk
 * goes on; and entries before and behind most others. */
static void change_large(struct fixture *f, unsigned night)
{
    static const struct {
        const char *name;
        size_t size;
        bool new;
    } files[] = {{"A/old", 9000000, false},
                 {"a/old", 2000, false},
                 {"m/old", 3000000, false},
                 {"aa", 0, true},
                 {"yy", 0, true}};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char number[16] = "";
        char name[700];

        if ((night >> i & 1) == 0) continue;
        if (files[i].new) (void)snprintf(number, sizeof number, "%u", night);
        (void)snprintf(name, sizeof name, "%s/%s%s", f->source, files[i].name, number);
        tree_write_file(name, 2 * night + 1, files[i].size);
    }
}

/* A directory that is written bit by bit may change anywhere, and is cut as if it were new.
 */
static void a_large_directory_changes_anywhere(void **state)
{
    enum { ENTRIES = 9000 };
    struct fixture *f = *state;
    struct backup_result result;
    char name[700];

    for (size_t i = 0; i < ENTRIES; i++) {
        (void)snprintf(name, sizeof name, "%s/%c%zu", f->source, (int)('b' + i % 24), i);
        write_bytes(name, (const uint8_t *)"", 0);
    }
    for (const char *below = "Aam"; *below != '\0'; below++) {
        (void)snprintf(name, sizeof name, "%s/%c", f->source, *below);
        assert_int_equal(mkdir(name, 0755), 0);
        (void)snprintf(name, sizeof name, "%s/%c/old", f->source, *below);
        write_bytes(name, (const uint8_t *)"old", 3);
    }
    for (unsigned night = 0; night < 32; night++) {
        char *cuts;

        change_large(f, night);
        backup_ok(f, &result);
        assert_int_equal(result.counts.totals.errors, 0);
        cuts = cuts_of(f, &result.snapshot.root, f->source);
        backup_result_done(&result);
        if (night % 8 == 6) {
            expect_restored(f, "latest", f->source);
            anew_ok(f, &result); /* without looking at the parent */
            /* but for the three chunks that say where something is */
            assert_in_range(
                lines_missing(cuts, cuts_of(f, &result.snapshot.root, f->source)), 0, 3);
            backup_result_done(&result);
        } else {
            free(cuts);
        }
    }
}

static void a_store_that_fails_leaves_the_previous_head(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    char first[600];

    (void)snprintf(first, sizeof first, "%s/first", f->dir);
    tree_make(f->source, 20);
    backup_ok(f, &result);
    backup_result_done(&result);
    copy_tree(f->source, first);
    for (uint64_t op = MEMORY_PUT; op <= MEMORY_FLUSH; op++) {
        for (uint64_t n = 1; n <= 2; n++) {
            static const enum hf_code codes[] = {HF_IO, HF_UNAVAILABLE, HF_NO_SPACE};
            struct hf_err err;
            char name[700];
            enum hf_code rc;

            (void)snprintf(name, sizeof name, "%s/more%d", f->source, (int)(op * 10 + n));
            tree_write_file(name, 2 * (op * 10 + n) + 1, 6000000);
            memory_store_fail(f->store, (enum memory_op)op, n, codes[n % 3], true);
            rc = backup(f, &result, &err);
            memory_store_fail(f->store, (enum memory_op)op, 0, HF_OK, false);
            if (rc == HF_OK) { /* that op is not called so often */
                backup_result_done(&result);
                test_dir_remove(strdup(first));
                copy_tree(f->source, first);
            }
            expect_restored(f, "latest~0", first);
        }
    }
    test_dir_remove(strdup(first));
    backup_ok(f, &result);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

static void an_interrupted_head_is_completed(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    struct hf_err err;

    tree_make(f->source, 21);
    backup_ok(f, &result);
    backup_result_done(&result);
    memory_store_fail(f->store, MEMORY_PUT_RECORD, 1, HF_UNAVAILABLE, false);
    assert_int_equal(backup(f, &result, &err), HF_UNAVAILABLE);
    memory_store_fail(f->store, MEMORY_PUT, 1, HF_IO, false);
    assert_int_equal(backup(f, &result, &err), HF_IO); /* fails, after completing it */
    expect_restored(f, "latest~1", f->source);         /* so two are there */
    backup_ok(f, &result);
    backup_result_done(&result);
    expect_restored(f, "latest~1", f->source);
    expect_restored(f, "latest~2", f->source);
}

static void lost_blocks_are_noticed_and_stored_again(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    struct hf_id id;

    tree_make(f->source, 22);
    backup_ok(f, &result);
    assert_true(result.stored.blocks >= 2); /* of data, and of trees */
    backup_result_done(&result);
    id = memory_store_block_id(f->store, 0); /* data come first, trees last */
    assert_true(memory_store_lose(f->store, &id));
    backup_ok(f, &result);
    assert_int_equal(result.blocks_lost, 1);
    assert_true(result.counts.bytes_read > 0);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

/* All that was there is gone, and the head that our disk knows with it. */
static void a_store_that_is_another_one_is_not_given_our_head(void **state)
{
    struct fixture *f = *state;
    struct block_owner owner = {f->keys.vault, f->vault.host, f->keys.signer};
    struct backup_result result;
    struct hf_err err;

    tree_make(f->source, 23);
    backup_ok(f, &result);
    backup_result_done(&result);
    block_store_close(f->store);
    f->store = memory_store_new(&owner);
    assert_int_equal(backup(f, &result, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.msg, "begin anew"));
    assert_int_equal(memory_store_calls(f->store, MEMORY_PUT_RECORD), 0);
    assert_int_equal(memory_store_block_count(f->store), 0);
}

static void a_bad_block_costs_files_not_wrong_bytes(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;
    struct restore_counts counts;
    struct hf_err err;
    struct hf_id id;
    char out[600];
    char name[700];

    for (int i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "%s/f%d", f->source, i);
        tree_write_file(name, (uint64_t)(2 * i + 1), 2000000);
    }
    backup_ok(f, &result);
    backup_result_done(&result);
    id = memory_store_block_id(f->store, 0); /* data come first */
    assert_true(memory_store_alter(f->store, &id, 1000));
    (void)snprintf(out, sizeof out, "%s/out", f->dir);
    f->errors = 0;
    assert_int_equal(restore_to(f, "latest", out, &counts, &err), HF_OK);
    /* A frame, at most 1 MiB, may hold the end of one file and the beginning of another. */
    assert_in_range(counts.damaged, 1, 2);
    assert_int_equal(f->errors, counts.damaged);
    for (size_t i = 0, there = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "%s/f%zu", out, i);
        there += access(name, F_OK) == 0;
        if (i == 7) assert_int_equal(there, 8 - counts.damaged);
    }
}

static void paths_that_are_missing_or_unreadable_are_named(void **state)
{
    struct fixture *f = *state;
    const char *const paths[] = {"/nonexistent/path", f->source};
    struct backup_result result;
    struct hf_err err;

    tree_make(f->source, 30);
    assert_int_equal(backup_paths(f, paths, 1, &result, &err), HF_NOT_FOUND);
    assert_int_equal(backup_paths(f, paths, 2, &result, &err), HF_OK);
    assert_int_equal(result.counts.totals.errors, 1);
    backup_result_done(&result);
    expect_restored(f, "latest", f->source);
}

static void days_have_fixed_ordinals(void **state)
{
    struct fixture *f = *state;
    struct backup_result result;

    tree_make(f->source, 31);
    for (uint32_t i = 0; i < 3; i++) {
        backup_ok(f, &result);
        assert_int_equal(result.snapshot.ordinal, i);
        backup_result_done(&result);
    }
    f->clock_ns += 86400ll * 1000000000;
    backup_ok(f, &result);
    assert_int_equal(result.snapshot.ordinal, 0);
    backup_result_done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_trees_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_unchanged_is_not_read_and_not_stored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_change_that_hides_its_time_is_noticed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_file_that_grows_while_it_is_read_is_kept_and_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(without_parent_chunks_are_found_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_deleted_index_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(data_behind_a_huge_hole_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_lost_its_end_is_made_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_hosts_of_one_vault_know_nothing_of_each_other,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_file_that_changes_every_day_comes_back,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_do_not_depend_on_what_is_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_parent_that_cannot_be_read_costs_only_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_does_not_shrink_fills_its_blocks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(old_frames_that_are_mostly_dead_are_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(touched_files_are_never_stored_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_directory_changes_anywhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_removed_is_gone_and_leaves_its_frame, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_moved_file_costs_no_data, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_night_stores_little_more_than_its_data,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_fails_leaves_the_previous_head, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_interrupted_head_is_completed, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_blocks_are_noticed_and_stored_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_store_that_is_another_one_is_not_given_our_head,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_block_costs_files_not_wrong_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(paths_that_are_missing_or_unreadable_are_named,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(days_have_fixed_ordinals, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
