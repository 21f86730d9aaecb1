#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "blockstore/segment_log.h"
#include "fault_files.h"
#include "store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct hf_id vault = {{7}};

struct fixture {
    char dir[SCRATCH_PATH_MAX];
    struct log_options options;
    struct fault_files faults; /* of the tests that want some */
    struct segment_log *log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL) return -1;
    scratch_make(f->dir);
    f->options.holder = "test";
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    segment_log_close(f->log);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static void open_log(struct fixture *f)
{
    struct hf_err err;

    segment_log_close(f->log);
    f->log = NULL;
    if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK)
        fail_msg("%s", err.msg);
}

static void close_log(struct fixture *f)
{
    segment_log_close(f->log);
    f->log = NULL;
}

static struct log_key key_of(uint32_t number)
{
    struct hf_id block = {{0}};

    block.b[0] = (uint8_t)(number >> 8);
    block.b[1] = (uint8_t)number;
    return log_key_fragment(&vault, &block, 1, 3);
}

/* Entry `number` has n bytes of pattern `seed` and a meta of 40 bytes. */
static enum hf_code put(struct segment_log *log, uint32_t number, size_t n, uint64_t seed,
                        struct hf_err *err)
{
    uint8_t *payload = malloc(n + 1), meta[40];
    struct log_put entry = {.key = key_of(number),
                            .meta = meta,
                            .meta_size = sizeof meta,
                            .payload = payload,
                            .payload_size = n};
    enum hf_code rc;

    if (payload == NULL) abort();
    pattern_fill(payload, n, seed);
    pattern_fill(meta, sizeof meta, seed + 1);
    rc = segment_log_put(log, &entry, err);
    free(payload);
    return rc;
}

/* HF_OK: the entry is there and right; HF_INVALID: it is there and wrong. */
static enum hf_code check(struct segment_log *log, uint32_t number, size_t n, uint64_t seed,
                          struct hf_err *err)
{
    uint8_t *payload = malloc(n + 1), meta[LOG_META_MAX];
    struct log_key key = key_of(number);
    size_t got, meta_got;
    enum hf_code rc;

    if (payload == NULL) abort();
    rc = segment_log_load(log, &key, payload, n + 1, &got, err);
    if (rc == HF_OK) rc = segment_log_meta(log, &key, meta, &meta_got, err);
    if (rc == HF_OK && (got != n || !pattern_matches(payload, n, seed) || meta_got != 40 ||
                        !pattern_matches(meta, 40, seed + 1)))
        rc = HF_INVALID;
    free(payload);
    return rc;
}

static void expect(struct fixture *f, uint32_t number, size_t n, uint64_t seed)
{
    struct hf_err err = {0};

    if (check(f->log, number, n, seed, &err) != HF_OK)
        fail_msg("entry %u: %s", number, err.msg);
}

static void expect_absent(struct fixture *f, uint32_t number)
{
    struct log_key key = key_of(number);
    struct log_info info;
    struct hf_err err;

    assert_int_equal(segment_log_find(f->log, &key, &info, &err), HF_NOT_FOUND);
}

static void store(struct fixture *f, uint32_t number, size_t n, uint64_t seed)
{
    struct hf_err err;

    if (put(f->log, number, n, seed, &err) != HF_OK) fail_msg("%s", err.msg);
}

static void delete_index(struct fixture *f)
{
    scratch_remove_below(f->dir, "index");
}

static size_t segment_files(const struct fixture *f)
{
    char path[SCRATCH_PATH_MAX + 16];
    size_t count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/segments", f->dir);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *item; (item = readdir(dir)) != NULL;)
        if (item->d_name[0] != '.') count++;
    (void)closedir(dir);
    return count;
}

/* ---- put, get ---- */

static void entries_read_back_whole_and_in_parts(void **state)
{
    struct fixture *f = *state;
    const size_t sizes[] = {0, 1, 63, 64, 16384, 16385, 150000, LOG_PAYLOAD_MAX};
    struct log_info info;
    struct log_key key;
    struct hf_err err;
    uint8_t part[16], whole[200];
    size_t n;

    open_log(f);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            if (round == 0) store(f, i, sizes[i], i);
            expect(f, i, sizes[i], i);
            key = key_of(i);
            assert_int_equal(segment_log_verify(f->log, &key, &err), HF_OK);
        }
        if (round == 0) open_log(f);
        if (round == 1) {
            close_log(f);
            delete_index(f);
            open_log(f);
        }
    }
    pattern_fill(whole, 150, 6);
    key = key_of(6);
    assert_int_equal(segment_log_get(f->log, &key, 100, 16, part, &err), HF_OK);
    assert_memory_equal(part, whole + 100, 16);
    assert_int_equal(segment_log_get(f->log, &key, 150000, 0, part, &err), HF_OK);
    assert_int_equal(segment_log_get(f->log, &key, 149990, 11, part, &err), HF_CORRUPT);
    assert_int_equal(segment_log_get(f->log, &key, SIZE_MAX, 2, part, &err), HF_CORRUPT);
    assert_int_equal(segment_log_load(f->log, &key, whole, 200, &n, &err), HF_TOO_LARGE);
    assert_int_equal(segment_log_find(f->log, &key, &info, &err), HF_OK);
    assert_int_equal(info.payload_size, 150000);
    assert_true(info.arrival_ns > 0);
    assert_false(hf_id_is_zero(segment_log_id(f->log)));
}

static void limits_are_refused(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[LOG_META_MAX + 1];
    struct log_put good = {.key = key_of(1), .meta = bytes, .meta_size = LOG_META_MAX};
    struct log_put bad = good;
    struct hf_err err;

    open_log(f);
    assert_int_equal(segment_log_put(f->log, &good, &err), HF_OK);
    bad.meta_size = LOG_META_MAX + 1;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_TOO_LARGE);
    bad = good;
    bad.payload = bytes;
    bad.payload_size = (size_t)LOG_PAYLOAD_MAX + 1;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_TOO_LARGE);
    bad = good;
    bad.key.size = LOG_KEY_MIN;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_INVALID);
    bad.key.size = LOG_KEY_MAX + 2;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_INVALID);
    bad = good;
    bad.key.b[0] = LOG_REMOVAL;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_INVALID);
    bad.key.b[0] = 0;
    assert_int_equal(segment_log_put(f->log, &bad, &err), HF_INVALID);
    assert_int_equal(segment_log_remove(f->log, &bad.key, NULL, 0, &err), HF_INVALID);
    close_log(f);
    f->options.read_only = true;
    open_log(f);
    assert_int_equal(segment_log_put(f->log, &good, &err), HF_INVALID);
    assert_int_equal(segment_log_checkpoint(f->log, &err), HF_INVALID);
}

static void a_newer_entry_replaces_an_older_one(void **state)
{
    struct fixture *f = *state;
    struct log_status status;
    struct hf_err err;

    f->options.segment_size = 20000;
    open_log(f);
    for (uint64_t version = 1; version <= 30; version++)
        store(f, 1, 5000, version);
    expect(f, 1, 5000, 30);
    assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
    /* The segments of the older ones are gone. */
    assert_int_equal(segment_files(f), 1);
    assert_int_equal(segment_log_status(f->log, &status, &err), HF_OK);
    assert_int_equal(status.entries[LOG_FRAGMENT], 1);
    assert_int_equal(status.payload_bytes[LOG_FRAGMENT], 5000);
    assert_int_equal(status.unsaved_rows, 0);
    close_log(f);
    delete_index(f);
    open_log(f);
    expect(f, 1, 5000, 30);
}

/* ---- removal ---- */

static void removal_is_remembered_with_an_order(void **state)
{
    struct fixture *f = *state;
    const uint8_t order[] = "the owner said so";
    struct log_key key = key_of(1), removal = log_key_removal(&key);
    uint8_t meta[LOG_META_MAX];
    struct hf_err err;
    size_t n;

    open_log(f);
    store(f, 1, 9000, 1);
    store(f, 2, 9000, 2);
    assert_int_equal(segment_log_remove(f->log, &key, order, sizeof order, &err), HF_OK);
    for (int round = 0; round < 4; round++) {
        expect_absent(f, 1);
        expect(f, 2, 9000, 2);
        assert_int_equal(segment_log_meta(f->log, &removal, meta, &n, &err), HF_OK);
        assert_int_equal(n, sizeof order);
        assert_memory_equal(meta, order, n);
        if (round == 0) assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
        if (round == 1) open_log(f);
        if (round == 2) {
            close_log(f);
            delete_index(f);
            open_log(f);
        }
    }
    /* Forgotten, durably; and what is not there can be removed. */
    assert_int_equal(segment_log_remove(f->log, &removal, NULL, 0, &err), HF_OK);
    assert_int_equal(segment_log_remove(f->log, &removal, NULL, 0, &err), HF_OK);
    close_log(f);
    delete_index(f);
    open_log(f);
    assert_int_equal(segment_log_meta(f->log, &removal, meta, &n, &err), HF_NOT_FOUND);
    expect_absent(f, 1);
    store(f, 1, 100, 3);
    expect(f, 1, 100, 3);
}

static uint64_t blocks_on_disk(const struct fixture *f)
{
    char path[SCRATCH_PATH_MAX + 64];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/segments/0000000000000001.log", f->dir);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks;
}

static void removal_gives_space_back(void **state)
{
    struct fixture *f = *state;
    struct log_status status;
    uint64_t before, disk_bytes;
    struct log_key key;
    struct hf_err err;

    open_log(f);
    store(f, 1, 1 << 20, 1);
    store(f, 2, 1 << 20, 2);
    store(f, 3, 1 << 20, 3);
    before = blocks_on_disk(f);
    assert_int_equal(segment_log_status(f->log, &status, &err), HF_OK);
    disk_bytes = status.disk_bytes;
    key = key_of(2);
    assert_int_equal(segment_log_remove(f->log, &key, NULL, 0, &err), HF_OK);
    assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
    assert_true(blocks_on_disk(f) <= before - (1 << 20) / 512 + 32);
    assert_int_equal(segment_log_status(f->log, &status, &err), HF_OK);
    assert_true(status.disk_bytes + (1 << 20) <= disk_bytes);
    close_log(f);
    delete_index(f);
    open_log(f);
    expect(f, 1, 1 << 20, 1);
    expect_absent(f, 2);
    expect(f, 3, 1 << 20, 3);
    assert_int_equal(segment_log_status(f->log, &status, &err), HF_OK);
    assert_int_equal(status.damaged_segments, 0);
}

/* ---- listing ---- */

struct listing {
    struct segment_log *log;
    uint32_t count, stop_at;
    uint32_t step; /* numbers expected: 0, step, 2 step, ... */
    bool wrong;
};

static bool list_one(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct listing *listing = arg;
    struct log_key want = key_of(listing->count * listing->step);
    struct log_info again;
    struct hf_err err;

    if (log_key_compare(key, &want) != 0) listing->wrong = true;
    if (segment_log_find(listing->log, key, &again, &err) != HF_OK ||
        again.sequence != info->sequence)
        listing->wrong = true;
    return ++listing->count != listing->stop_at;
}

static void expect_listing(struct fixture *f, uint32_t count, uint32_t step)
{
    struct log_key all = log_prefix_vault(LOG_FRAGMENT, &vault);
    struct listing listing = {.log = f->log, .step = step};
    struct hf_err err;

    assert_int_equal(segment_log_list(f->log, &all, list_one, &listing, &err), HF_OK);
    assert_int_equal(listing.count, count);
    assert_false(listing.wrong);
}

static void lists_are_sorted_and_complete(void **state)
{
    struct fixture *f = *state;
    struct log_key one = key_of(4), prefix, other;
    struct hf_id block = {{0, 4}}, stranger = {{9}};
    struct listing listing;
    struct hf_err err;

    open_log(f);
    for (uint32_t i = 0; i < 1000; i++)
        store(f, i * 7 % 1000, 10, i);
    assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
    expect_listing(f, 1000, 1);
    /* half of them removed: some of it saved, some not */
    for (uint32_t i = 1; i < 1000; i += 2) {
        struct log_key key = key_of(i);

        assert_int_equal(segment_log_remove(f->log, &key, NULL, 0, &err), HF_OK);
        if (i == 501) assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
    }
    expect_listing(f, 500, 2);
    open_log(f);
    expect_listing(f, 500, 2);
    listing = (struct listing){.log = f->log, .step = 2, .stop_at = 150};
    prefix = log_prefix_vault(LOG_FRAGMENT, &vault);
    assert_int_equal(segment_log_list(f->log, &prefix, list_one, &listing, &err), HF_OK);
    assert_int_equal(listing.count, 150);
    /* all fragments of one block */
    other = log_key_fragment(&vault, &block, 2, 0);
    assert_true(log_key_compare(&one, &other) < 0);
    listing = (struct listing){.log = f->log};
    prefix = log_prefix_block(&vault, &block);
    assert_int_equal(segment_log_list(f->log, &prefix, list_one, &listing, &err), HF_OK);
    assert_int_equal(listing.count, 1);
    prefix = log_prefix_vault(LOG_FRAGMENT, &stranger);
    assert_int_equal(segment_log_list(f->log, &prefix, list_one, &listing, &err), HF_OK);
    assert_int_equal(listing.count, 1);
}

/* ---- damage ---- */

static uint8_t *load(const struct fixture *f, const char *name, size_t *n)
{
    char path[SCRATCH_PATH_MAX + 64];
    uint8_t *bytes;
    struct stat st;
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    file = fopen(path, "rbe");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    *n = (size_t)st.st_size;
    bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void save(const struct fixture *f, const char *name, const uint8_t *bytes, size_t n)
{
    char path[SCRATCH_PATH_MAX + 64];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

#define SEGMENT_1 "segments/0000000000000001.log"

static const size_t small_sizes[] = {300, 0, 700, 64, 500};
#define SMALL (sizeof small_sizes / sizeof small_sizes[0])

static void fill_small(struct fixture *f)
{
    open_log(f);
    for (uint32_t i = 0; i < SMALL; i++)
        store(f, i, small_sizes[i], i);
    close_log(f);
}

/* Opens, and returns how many entries are not right; fails when one is wrong. */
static size_t count_lost(struct fixture *f)
{
    size_t lost = 0;
    struct hf_err err;

    open_log(f);
    for (uint32_t i = 0; i < SMALL; i++) {
        enum hf_code rc = check(f->log, i, small_sizes[i], i, &err);

        assert_true(rc == HF_OK || rc == HF_CORRUPT || rc == HF_NOT_FOUND);
        if (rc != HF_OK) lost++;
    }
    close_log(f);
    return lost;
}

static void flip_every_byte(struct fixture *f, bool keep_index)
{
    size_t n, lost_ever = 0;
    uint8_t *bytes;

    fill_small(f);
    bytes = load(f, SEGMENT_1, &n);
    for (size_t i = 0; i < n; i++) {
        size_t lost;

        bytes[i] ^= 0x40;
        save(f, SEGMENT_1, bytes, n);
        if (!keep_index) delete_index(f);
        lost = count_lost(f);
        assert_true(lost <= 1); /* a bad entry loses only itself */
        lost_ever += lost;
        bytes[i] ^= 0x40;
    }
    save(f, SEGMENT_1, bytes, n);
    assert_int_equal(count_lost(f), 0);
    /* All but the padding matters. */
    assert_true(lost_ever > n * 8 / 10);
    free(bytes);
}

static void a_flipped_byte_never_gives_wrong_bytes(void **state)
{
    flip_every_byte(*state, true);
}

static void nor_does_it_without_an_index(void **state)
{
    flip_every_byte(*state, false);
}

static void a_damaged_identity_is_mended_from_its_copy(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"store", "store.copy"};
    struct hf_err err;
    uint8_t *bytes, *whole;
    size_t n, m;

    fill_small(f);
    whole = load(f, "store", &m);
    for (size_t which = 0; which < 2; which++) {
        bytes = load(f, names[which], &n);
        for (size_t i = 0; i < n; i++) {
            uint8_t *now;

            bytes[i] ^= 1;
            save(f, names[which], bytes, n);
            bytes[i] ^= 1;
            assert_int_equal(count_lost(f), 0);
            now = load(f, names[which], &m);
            assert_int_equal(m, n);
            assert_memory_equal(now, whole, n);
            free(now);
        }
        free(bytes);
    }
    /* Both damaged, or missing beside segments: refused, nothing is made anew. */
    for (size_t which = 0; which < 2; which++)
        save(f, names[which], (const uint8_t *)"junk", 4);
    assert_int_equal(segment_log_open(f->dir, &f->options, &f->log, &err), HF_CORRUPT);
    for (size_t which = 0; which < 2; which++)
        scratch_remove_below(f->dir, names[which]);
    assert_int_equal(segment_log_open(f->dir, &f->options, &f->log, &err), HF_CORRUPT);
    assert_non_null(strstr(err.msg, "put one of them back"));
    save(f, "store.copy", whole, n);
    assert_int_equal(count_lost(f), 0);
    free(whole);
}

static void a_damaged_index_is_built_anew(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes;
    size_t n;

    fill_small(f);
    bytes = load(f, "index/data.mdb", &n);
    for (size_t i = 0; i < n; i += 61) {
        bytes[i] ^= 0x81;
        save(f, "index/data.mdb", bytes, n);
        bytes[i] ^= 0x81;
        assert_int_equal(count_lost(f), 0);
        free(bytes);
        bytes = load(f, "index/data.mdb", &n); /* it was written anew */
        /* The same for a reader, who leaves it as it is. */
        bytes[i] ^= 0x81;
        save(f, "index/data.mdb", bytes, n);
        f->options.read_only = true;
        assert_int_equal(count_lost(f), 0);
        f->options.read_only = false;
        bytes[i] ^= 0x81;
        save(f, "index/data.mdb", bytes, n);
    }
    /* Cut off, empty, of another store, without a seal. */
    for (size_t size = 0; size < n; size += 4096) {
        save(f, "index/data.mdb", bytes, size);
        scratch_remove_below(f->dir, "index/seal");
        assert_int_equal(count_lost(f), 0);
    }
    free(bytes);
}

static void the_index_of_another_store_is_not_believed(void **state)
{
    struct fixture *f = *state, other = {.options = f->options};
    uint8_t *bytes, *seal;
    size_t n, m;

    fill_small(f);
    scratch_make(other.dir);
    open_log(&other);
    store(&other, 0, 10, 77);
    close_log(&other);
    bytes = load(&other, "index/data.mdb", &n);
    seal = load(&other, "index/seal", &m);
    save(f, "index/data.mdb", bytes, n);
    save(f, "index/seal", seal, m);
    assert_int_equal(count_lost(f), 0);
    /* Nor are segments of another store. */
    free(bytes);
    bytes = load(&other, SEGMENT_1, &n);
    save(f, "segments/0000000000000002.log", bytes, n);
    delete_index(f);
    assert_int_equal(count_lost(f), 0);
    free(bytes);
    free(seal);
    scratch_remove(other.dir);
}

static enum hf_code list_all(struct fixture *f, uint32_t *count)
{
    struct log_key all = log_prefix_vault(LOG_FRAGMENT, &vault);
    struct listing listing = {.log = f->log};
    struct hf_err err;
    enum hf_code rc = segment_log_list(f->log, &all, list_one, &listing, &err);

    *count = listing.count;
    return rc;
}

static void lists_say_when_they_are_incomplete(void **state)
{
    struct fixture *f = *state;
    uint32_t count;
    uint8_t *bytes;
    size_t n;

    /* a damaged header, and no index that knows what it named */
    fill_small(f);
    bytes = load(f, SEGMENT_1, &n);
    bytes[20] ^= 1;
    save(f, SEGMENT_1, bytes, n);
    delete_index(f);
    for (int round = 0; round < 2; round++) {
        open_log(f);
        assert_int_equal(list_all(f, &count), HF_INCOMPLETE);
        assert_int_equal(count, SMALL - 1);
    }
    close_log(f);
    /* a segment that is gone */
    bytes[20] ^= 1;
    save(f, SEGMENT_1, bytes, n);
    delete_index(f);
    open_log(f);
    assert_int_equal(list_all(f, &count), HF_OK);
    close_log(f);
    scratch_remove_below(f->dir, SEGMENT_1);
    open_log(f);
    assert_int_equal(list_all(f, &count), HF_INCOMPLETE);
    /* A torn tail was never acknowledged: nothing is missing. */
    close_log(f);
    save(f, SEGMENT_1, bytes, n - 100);
    delete_index(f);
    open_log(f);
    assert_int_equal(list_all(f, &count), HF_OK);
    assert_int_equal(count, SMALL - 1);
    store(f, 9, 10, 9);
    open_log(f);
    expect(f, 9, 10, 9);
    free(bytes);
}

static void a_rebuilt_index_is_equal(void **state)
{
    struct fixture *f = *state;
    const uint8_t order[] = "order";
    struct log_status before, after;
    struct hf_err err;

    f->options.segment_size = 30000;
    f->options.checkpoint_rows = 16;
    open_log(f);
    for (uint32_t i = 0; i < 200; i++) {
        struct log_key key = key_of(i * 3 % 50);

        store(f, i % 50, 100 + i * 17 % 3000, i);
        if (i % 6 == 0)
            assert_int_equal(segment_log_remove(f->log, &key, i % 12 == 0 ? order : NULL,
                                                i % 12 == 0 ? sizeof order : 0, &err),
                             HF_OK);
    }
    open_log(f);
    assert_int_equal(segment_log_status(f->log, &before, &err), HF_OK);
    close_log(f);
    delete_index(f);
    open_log(f);
    assert_int_equal(segment_log_status(f->log, &after, &err), HF_OK);
    after.unsaved_rows = before.unsaved_rows; /* not saved before it is closed */
    assert_memory_equal(&before, &after, sizeof before);
}

/* ---- space ---- */

static void a_full_disk_is_refused_early(void **state)
{
    struct fixture *f = *state;
    struct log_key key = key_of(1);
    struct hf_err err;
    size_t n, m;

    f->options.space_max = 100000;
    open_log(f);
    store(f, 1, 40000, 1);
    store(f, 2, 40000, 2);
    assert_int_equal(put(f->log, 3, 40000, 3, &err), HF_NO_SPACE);
    assert_int_equal(segment_log_remove(f->log, &key, NULL, 0, &err), HF_OK);
    store(f, 3, 40000, 3);
    f->options.space_max = 0;
    f->options.reserve = UINT64_MAX; /* more than any disk has left */
    open_log(f);
    free(load(f, SEGMENT_1, &n));
    assert_int_equal(put(f->log, 4, 10, 4, &err), HF_NO_SPACE);
    free(load(f, SEGMENT_1, &m));
    assert_int_equal(n, m);
    expect(f, 3, 40000, 3);
    key = key_of(3);
    assert_int_equal(segment_log_remove(f->log, &key, NULL, 0, &err), HF_OK);
}

/* ---- failures of the disk ---- */

#define FAULT_ENTRIES 12u

/* A run over a failing disk; what was acknowledged is noted. */
static void run_over_faults(struct fixture *f, bool acked[static FAULT_ENTRIES])
{
    struct log_key key = key_of(1);
    struct hf_err err;

    memset(acked, 0, FAULT_ENTRIES * sizeof *acked);
    if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK) return;
    for (uint32_t i = 0; i < FAULT_ENTRIES; i++) {
        enum hf_code rc = put(f->log, i, 900, i, &err);

        acked[i] = rc == HF_OK;
        assert_true(rc == HF_OK || rc == HF_IO || rc == HF_NO_SPACE);
        if (i == 6 && segment_log_remove(f->log, &key, NULL, 0, &err) != HF_OK)
            acked[1] = false;
    }
    for (uint32_t i = 0; i < FAULT_ENTRIES; i++)
        if (acked[i] && i != 1) expect(f, i, 900, i);
    close_log(f);
}

/* With the n-th operation failing; returns false when there was no n-th. */
static bool try_fault(struct fixture *f, uint64_t n, int errnum, bool sticky)
{
    bool acked[FAULT_ENTRIES];
    struct fault_files *faults = &f->faults;
    size_t acked_count = 0;
    struct hf_err err;
    bool reached;

    fault_files_init(faults);
    faults->fail_at = n;
    faults->errnum = errnum;
    faults->sticky = sticky;
    f->options.files = &faults->ops;
    f->options.segment_size = 4096;
    f->options.checkpoint_rows = 4;
    run_over_faults(f, acked);
    assert_false(faults->broken_promise);
    reached = faults->calls >= n;
    fault_files_done(faults);
    f->options.files = NULL;
    open_log(f);
    for (uint32_t i = 0; i < FAULT_ENTRIES; i++) {
        enum hf_code rc = check(f->log, i, 900, i, &err);

        if (acked[i]) acked_count++;
        if (acked[i] && i != 1) assert_int_equal(rc, HF_OK);
        assert_true(rc == HF_OK || rc == HF_NOT_FOUND);
    }
    /* One failure costs no more than what was being written. */
    if (!sticky && acked_count > 0) assert_true(acked_count + 2 >= FAULT_ENTRIES);
    store(f, 100, 5000, 100);
    close_log(f);
    scratch_remove(f->dir);
    scratch_make(f->dir);
    return reached;
}

static void every_operation_may_fail(void **state)
{
    const struct {
        int errnum;
        bool sticky;
    } ways[] = {{EIO, false}, {EIO, true}, {ENOSPC, false}, {ENOSPC, true}};
    struct fixture *f = *state;

    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        uint64_t n = 1;

        while (try_fault(f, n, ways[w].errnum, ways[w].sticky))
            n++;
        assert_true(n > 30); /* there was something to fail */
    }
}

/* Not only at the end: what a full disk took in part is in the way of the index. */
static void a_failed_segment_is_cut_off_at_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;
    struct hf_err err;
    size_t before, after;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    open_log(f);
    store(f, 1, 5000, 1);
    free(load(f, SEGMENT_1, &before));
    faults->fail_datasyncs = true;
    assert_int_equal(put(f->log, 2, 5000, 2, &err), HF_IO);
    faults->fail_datasyncs = false;
    assert_int_equal(segment_log_checkpoint(f->log, &err), HF_OK);
    free(load(f, SEGMENT_1, &after));
    assert_int_equal(after, before);
    store(f, 3, 5000, 3);
    open_log(f);
    expect(f, 1, 5000, 1);
    expect_absent(f, 2);
    expect(f, 3, 5000, 3);
    close_log(f);
    fault_files_done(faults);
}

static void a_short_write_is_completed(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    open_log(f);
    store(f, 1, 5000, 1);
    faults->fail_at = faults->calls + 1;
    faults->short_once = true;
    store(f, 2, 5000, 2);
    faults->fail_at = 0;
    expect(f, 2, 5000, 2);
    open_log(f);
    expect(f, 2, 5000, 2);
    close_log(f);
    fault_files_done(faults);
}

/* ---- threads ---- */

#define THREADS 8u

struct worker {
    struct fixture *f;
    uint32_t number;
    bool failed;
};

static void *put_one(void *arg)
{
    struct worker *w = arg;
    struct hf_err err;

    if (put(w->f->log, w->number, 2000, w->number, &err) != HF_OK) w->failed = true;
    return NULL;
}

static void run_threads(struct fixture *f, void *(*work)(void *), size_t count,
                        size_t failures)
{
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    size_t failed = 0;

    for (uint32_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (workers[i].failed) failed++;
    }
    assert_int_equal(failed, failures);
}

/* The disk has room for one more entry; while that is written another is refused. */
static void what_others_write_takes_room(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;
    struct worker first = {.f = f, .number = 1};
    struct hf_err err;
    enum hf_code beside;
    pthread_t thread;

    fault_files_init(faults);
    faults->room = LOG_RESERVE + 3000 + LOG_FRAME_MAX;
    f->options.files = &faults->ops;
    open_log(f);
    store(f, 0, 2000, 0);
    faults->hold_write = true;
    assert_int_equal(pthread_create(&thread, NULL, put_one, &first), 0);
    (void)pthread_mutex_lock(&faults->lock);
    while (!faults->held)
        (void)pthread_cond_wait(&faults->changed, &faults->lock);
    (void)pthread_mutex_unlock(&faults->lock);
    beside = put(f->log, 2, 2000, 2, &err);
    (void)pthread_mutex_lock(&faults->lock);
    faults->hold_write = false;
    (void)pthread_cond_broadcast(&faults->changed);
    (void)pthread_mutex_unlock(&faults->lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(beside, HF_NO_SPACE);
    assert_false(first.failed);
    store(f, 2, 2000, 2);
    expect(f, 1, 2000, 1);
    close_log(f);
    fault_files_done(faults);
}

/* The first sync is held until everybody has written.  Then one more does for all the
 * others, unless one of them is slow to say that it has: so there are several tries. */
static void puts_share_a_sync(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;
    bool shared = false;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    open_log(f);
    for (size_t attempt = 0; attempt < 100 && !shared; attempt++) {
        faults->hold_until = faults->writes + THREADS;
        faults->datasyncs = 0;
        run_threads(f, put_one, THREADS, 0);
        shared = faults->datasyncs <= 2;
        for (uint32_t i = 0; i < THREADS; i++)
            expect(f, i, 2000, i);
    }
    close_log(f);
    fault_files_done(faults);
    assert_true(shared);
}

/* The sync is held until everybody has written, so that all share it: who writes just when
 * another's sync fails is told that it failed, and that is no promise broken. */
static void a_failed_sync_fails_all_that_share_it(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    open_log(f);
    store(f, 100, 2000, 100);
    faults->hold_until = faults->writes + THREADS;
    faults->datasyncs = 0;
    faults->fail_datasyncs = true;
    run_threads(f, put_one, THREADS, THREADS);
    faults->fail_datasyncs = false;
    assert_int_equal(faults->datasyncs, 1);
    assert_false(faults->broken_promise);
    for (uint32_t i = 0; i < THREADS; i++)
        expect_absent(f, i);
    store(f, 101, 2000, 101);
    f->options.files = NULL;
    open_log(f);
    expect(f, 100, 2000, 100);
    expect(f, 101, 2000, 101);
    fault_files_done(faults);
}

/* Everybody works on the same few keys; the bytes of a version are always whole. */
static void *churn(void *arg)
{
    struct worker *w = arg;
    struct log_key key;
    uint8_t bytes[3000];
    struct hf_err err;
    uint64_t seed;
    size_t n;

    for (uint32_t i = 0; i < 120; i++) {
        uint32_t number = (w->number * 5 + i) % 6;
        enum hf_code rc;

        key = key_of(number);
        seed = w->number * 1000 + i;
        switch ((i + w->number) % 4) {
        case 0: /* the first eight bytes tell the seed */
            pattern_fill(bytes + 8, sizeof bytes - 8, seed);
            memcpy(bytes, &seed, 8);
            rc = segment_log_put(w->f->log,
                                 &(struct log_put){.key = key,
                                                   .payload = bytes,
                                                   .payload_size = sizeof bytes},
                                 &err);
            if (rc != HF_OK) w->failed = true;
            break;
        case 1:
            if (segment_log_remove(w->f->log, &key, NULL, 0, &err) != HF_OK)
                w->failed = true;
            break;
        default:
            rc = (i % 2 == 0)
                     ? segment_log_load(w->f->log, &key, bytes, sizeof bytes, &n, &err)
                     : segment_log_get(w->f->log, &key, 0, sizeof bytes, bytes, &err);
            memcpy(&seed, bytes, 8);
            if (rc == HF_OK && !pattern_matches(bytes + 8, sizeof bytes - 8, seed))
                w->failed = true;
            if (rc != HF_OK && rc != HF_NOT_FOUND) w->failed = true;
        }
    }
    return NULL;
}

static void threads_read_write_and_remove_at_once(void **state)
{
    struct fixture *f = *state;
    struct log_status before, after;
    struct hf_err err;

    f->options.segment_size = 20000;
    f->options.checkpoint_rows = 5;
    open_log(f);
    run_threads(f, churn, THREADS, 0);
    open_log(f);
    assert_int_equal(segment_log_status(f->log, &before, &err), HF_OK);
    close_log(f);
    delete_index(f);
    open_log(f);
    assert_int_equal(segment_log_status(f->log, &after, &err), HF_OK);
    assert_memory_equal(before.entries, after.entries, sizeof before.entries);
    assert_int_equal(before.disk_bytes, after.disk_bytes);
}

/* ---- processes ---- */

static void a_killed_writer_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int acks[2], status;
    uint32_t acked = 0, number;
    pid_t child;

    f->options.checkpoint_rows = 10;
    assert_int_equal(pipe(acks), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct hf_err err;

        if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK) _exit(1);
        for (number = 0;; number++) {
            if (put(f->log, number % 1000, 3000, number % 1000, &err) != HF_OK) _exit(1);
            if (write(acks[1], &number, sizeof number) != sizeof number) _exit(1);
        }
    }
    (void)close(acks[1]);
    while (acked < 137 && read(acks[0], &number, sizeof number) == sizeof number)
        acked++;
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(acks[0], &number, sizeof number) == sizeof number)
        acked++;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    (void)close(acks[0]);
    open_log(f);
    for (number = 0; number < acked && number < 1000; number++)
        expect(f, number, 3000, number);
}

static size_t unsaved(struct segment_log *log)
{
    struct log_status status;
    struct hf_err err;

    assert_int_equal(segment_log_status(log, &status, &err), HF_OK);
    return status.unsaved_rows;
}

/* It is sealed after every checkpoint, not only at the end. */
static void a_killed_writer_leaves_an_index_that_is_believed(void **state)
{
    struct fixture *f = *state;
    struct hf_err err;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        open_log(f);
        for (uint32_t i = 0; i < 50; i++)
            store(f, i, 1000, i);
        if (segment_log_checkpoint(f->log, &err) != HF_OK) _exit(1);
        store(f, 50, 1000, 50);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    f->options.read_only = true;
    open_log(f);
    expect(f, 50, 1000, 50);
    assert_int_equal(unsaved(f->log), 1);
    f->options.read_only = false;
    open_log(f);
    assert_int_equal(unsaved(f->log), 1);
    close_log(f);
    /* Killed in the middle of one: all is read again. */
    scratch_remove_below(f->dir, "index/seal");
    f->options.read_only = true;
    open_log(f);
    assert_int_equal(unsaved(f->log), 51);
    f->options.read_only = false;
    open_log(f);
    assert_int_equal(unsaved(f->log), 51);
    expect(f, 7, 1000, 7);
}

/* A reader's files; when it looks for the seal the third time the writer has finished. */
struct waiting_files {
    struct hf_files ops; /* first */
    struct segment_log *writer;
    size_t looks;
};

static int waiting_open(struct hf_files *files, int dir_fd, const char *name, int flags,
                        mode_t mode)
{
    struct waiting_files *w = (struct waiting_files *)files;
    struct hf_files *system = hf_files_system();
    struct hf_err err;

    if (strcmp(name, "seal") == 0 && ++w->looks == 3)
        assert_int_equal(segment_log_checkpoint(w->writer, &err), HF_OK);
    return system->open(system, dir_fd, name, flags, mode);
}

static void a_reader_waits_for_the_end_of_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct waiting_files files = {.ops = *hf_files_system()};
    struct log_options options = {.read_only = true, .files = &files.ops};
    struct segment_log *reader;
    struct hf_err err;

    open_log(f);
    for (uint32_t i = 0; i < 50; i++)
        store(f, i, 1000, i);
    scratch_remove_below(f->dir, "index/seal"); /* as if it had just begun */
    files.writer = f->log;
    files.ops.open = waiting_open;
    if (segment_log_open(f->dir, &options, &reader, &err) != HF_OK) fail_msg("%s", err.msg);
    assert_true(files.looks >= 3);
    assert_int_equal(unsaved(reader), 0);
    segment_log_close(reader);
}

/* Killed between writing and syncing: what is in the page cache only must not count as
 * stored before it is synced. */
static void what_a_killed_writer_left_is_synced_first(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;
    struct hf_err err;
    int status;
    pid_t child;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK) _exit(1);
        faults->kill_at_datasync = true;
        (void)put(f->log, 1, 3000, 1, &err);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    open_log(f);
    expect(f, 1, 3000, 1);
    assert_int_equal(faults->datasyncs, 1);
    close_log(f);
    faults->datasyncs = 0;
    open_log(f); /* nothing to replay, nothing to sync */
    assert_int_equal(faults->datasyncs, 0);
    close_log(f);
    fault_files_done(faults);
}

/* A full disk, say, when a segment was just begun: the index was told of a place in it, and
 * the segment is gone.  Were its number used again, what a killed writer put there would
 * be taken for what is in the index. */
static void the_number_of_a_segment_that_failed_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    struct fault_files *faults = &f->faults;
    struct hf_err err;
    int status;
    pid_t child;

    fault_files_init(faults);
    f->options.files = &faults->ops;
    f->options.segment_size = 10000;
    open_log(f);
    store(f, 1, 5000, 1);
    faults->fail_datasyncs = true;
    assert_int_equal(put(f->log, 2, 8000, 2, &err), HF_IO); /* of a segment of its own */
    faults->fail_datasyncs = false;
    close_log(f);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK) _exit(1);
        _exit(put(f->log, 3, 2000, 3, &err) == HF_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_log(f);
    expect(f, 1, 5000, 1);
    expect_absent(f, 2);
    expect(f, 3, 2000, 3);
    close_log(f);
    fault_files_done(faults);
}

/* The writer is a child that does one step for each byte it is sent. */
static void writer_child(struct fixture *f, int commands, int replies)
{
    struct hf_err err;
    char step;

    if (segment_log_open(f->dir, &f->options, &f->log, &err) != HF_OK) _exit(1);
    while (write(replies, "", 1) == 1 && read(commands, &step, 1) == 1) {
        struct log_key key = key_of(1);
        enum hf_code rc = HF_OK;

        switch (step) {
        case 'p': rc = put(f->log, 1, 30000, 1, &err); break;
        case 'q': rc = put(f->log, 1, 30000, 2, &err); break;
        case 'r': rc = segment_log_remove(f->log, &key, NULL, 0, &err); break;
        case 'c': rc = segment_log_checkpoint(f->log, &err); break;
        default: rc = put(f->log, (uint32_t)step, 100, (uint64_t)step, &err);
        }
        if (rc != HF_OK) _exit(1);
    }
    segment_log_close(f->log);
    _exit(0);
}

static void tell(const int *pipes, char step)
{
    char reply;

    assert_int_equal(write(pipes[0], &step, 1), 1);
    assert_int_equal(read(pipes[1], &reply, 1), 1);
}

static void a_reader_sees_what_is_written_and_removed(void **state)
{
    struct fixture *f = *state;
    int commands[2], replies[2], status, pipes[2];
    struct hf_err err;
    uint32_t count;
    pid_t child;
    char reply;

    f->options.segment_size = 40000;
    assert_int_equal(pipe(commands), 0);
    assert_int_equal(pipe(replies), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(commands[1]);
        writer_child(f, commands[0], replies[1]);
    }
    (void)close(commands[0]);
    (void)close(replies[1]);
    pipes[0] = commands[1];
    pipes[1] = replies[0];
    assert_int_equal(read(replies[0], &reply, 1), 1);
    f->options.read_only = true;
    open_log(f);
    expect_absent(f, 1);
    tell(pipes, 'p');
    expect(f, 1, 30000, 1);
    tell(pipes, 'q'); /* replaced: either is right until the old one is gone */
    tell(pipes, 'c');
    expect(f, 1, 30000, 2);
    for (char i = 10; i < 60; i++) {
        tell(pipes, i);
        if (i % 7 == 0) tell(pipes, 'c');
        expect(f, (uint32_t)i, 100, (uint64_t)i);
    }
    assert_int_equal(list_all(f, &count), HF_OK);
    assert_int_equal(count, 51);
    tell(pipes, 'r');
    tell(pipes, 'c');
    assert_int_equal(check(f->log, 1, 30000, 2, &err), HF_NOT_FOUND);
    assert_int_equal(list_all(f, &count), HF_OK);
    assert_int_equal(count, 50);
    (void)close(commands[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(replies[0]);
    expect(f, 20, 100, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(entries_read_back_whole_and_in_parts),
        TEST(limits_are_refused),
        TEST(a_newer_entry_replaces_an_older_one),
        TEST(removal_is_remembered_with_an_order),
        TEST(removal_gives_space_back),
        TEST(lists_are_sorted_and_complete),
        TEST(a_flipped_byte_never_gives_wrong_bytes),
        TEST(nor_does_it_without_an_index),
        TEST(a_damaged_identity_is_mended_from_its_copy),
        TEST(a_damaged_index_is_built_anew),
        TEST(the_index_of_another_store_is_not_believed),
        TEST(lists_say_when_they_are_incomplete),
        TEST(a_rebuilt_index_is_equal),
        TEST(a_full_disk_is_refused_early),
        TEST(every_operation_may_fail),
        TEST(a_failed_segment_is_cut_off_at_a_checkpoint),
        TEST(a_short_write_is_completed),
        TEST(what_others_write_takes_room),
        TEST(puts_share_a_sync),
        TEST(a_failed_sync_fails_all_that_share_it),
        TEST(threads_read_write_and_remove_at_once),
        TEST(a_killed_writer_loses_nothing),
        TEST(a_killed_writer_leaves_an_index_that_is_believed),
        TEST(a_reader_waits_for_the_end_of_a_checkpoint),
        TEST(what_a_killed_writer_left_is_synced_first),
        TEST(the_number_of_a_segment_that_failed_is_not_used_again),
        TEST(a_reader_sees_what_is_written_and_removed),
#undef TEST
    };

    hf_log_open(HF_LOG_ERROR, STDERR_FILENO, 0); /* recovery warns, as it should */
    return cmocka_run_group_tests_name("blockstore/segment_log", tests, NULL, NULL);
}
