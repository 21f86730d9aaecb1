#include "store_suite.h"

#include "store_fixture.h"

#include "base/record.h"
#include "base/tree_hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS           4u
#define BLOCKS_PER_THREAD 6u

static void only_size_classes_are_taken(struct block_store *store, uint8_t *data)
{
    const size_t sizes[] = {0,
                            1,
                            BLOCK_SIZE_MIN - 1,
                            BLOCK_SIZE_MIN + 1,
                            3 * BLOCK_SIZE_MIN - 1,
                            BLOCK_SIZE_MAX - 1,
                            BLOCK_SIZE_MAX + BLOCK_SIZE_MIN};
    struct hf_id id;
    struct hf_err err;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(block_store_put(store, data, sizes[i], &id, &err), HF_INVALID);
}

static void ranges_read_back(struct block_store *store, const struct hf_id *id,
                             size_t block_size, const uint8_t *data)
{
    const struct {
        size_t offset, size;
    } ranges[] = {{0, block_size}, {0, 1},     {block_size - 1, 1},
                  {1, 65535},      {12345, 0}, {block_size / 2 - 3, 7}};
    uint8_t *buf = malloc(block_size);
    struct hf_err err;

    assert_non_null(buf);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        memset(buf, 0x5a, block_size);
        assert_int_equal(
            block_store_get(store, id, ranges[i].offset, ranges[i].size, buf, &err), HF_OK);
        assert_memory_equal(buf, data + ranges[i].offset, ranges[i].size);
    }
    assert_int_equal(block_store_get(store, id, block_size, 1, buf, &err), HF_CORRUPT);
    assert_int_equal(block_store_get(store, id, 1, block_size, buf, &err), HF_CORRUPT);
    assert_int_equal(block_store_get(store, id, SIZE_MAX, 2, buf, &err), HF_CORRUPT);
    free(buf);
}

static void size_classes_read_back(struct block_store *store, uint8_t *data)
{
    static const unsigned multiples[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 33, 48, 63, 64};
    struct hf_id leaves[HF_LEAVES_MAX], want, id, again;
    struct hf_err err;

    for (size_t i = 0; i < sizeof multiples / sizeof multiples[0]; i++) {
        size_t size = multiples[i] * BLOCK_SIZE_MIN;

        pattern_fill(data, size, size);
        hf_tree_root(leaves, hf_leaf_hashes(data, size, leaves), &want);
        assert_int_equal(block_store_put(store, data, size, &id, &err), HF_OK);
        assert_true(hf_id_equal(&id, &want));
        ranges_read_back(store, &id, size, data);
        assert_int_equal(block_store_put(store, data, size, &again, &err), HF_OK);
        assert_true(hf_id_equal(&id, &again));
    }
}

static void what_is_not_there_is_not_found(struct block_store *store, uint8_t *data)
{
    struct hf_id ids[3], absent;
    bool have[3] = {false, true, false};
    struct hf_err err;

    pattern_fill(absent.b, sizeof absent.b, 99);
    assert_int_equal(block_store_get(store, &absent, 0, 1, data, &err), HF_NOT_FOUND);
    pattern_fill(data, BLOCK_SIZE_MIN, 7);
    assert_int_equal(block_store_put(store, data, BLOCK_SIZE_MIN, &ids[0], &err), HF_OK);
    ids[1] = absent;
    ids[2] = ids[0];
    assert_int_equal(block_store_have(store, ids, 3, have, &err), HF_OK);
    assert_true(have[0]);
    assert_false(have[1]);
    assert_true(have[2]);
    assert_int_equal(block_store_have(store, ids, 0, have, &err), HF_OK);
    assert_int_equal(block_store_have(store, ids, BLOCK_HAVE_MAX + 1, have, &err),
                     HF_TOO_LARGE);
}

/* ---- records ---- */

struct seen {
    size_t count, size;
    struct hf_id hosts[4];
    uint8_t bytes[HF_RECORD_MAX];
};

static void see_record(void *arg, const uint8_t *record, size_t n)
{
    struct seen *seen = arg;
    struct hf_record parsed;
    struct hf_err err;

    assert_int_equal(hf_record_parse(record, n, &parsed, &err), HF_OK);
    assert_true(seen->count < 4);
    seen->hosts[seen->count++] = parsed.host;
    seen->size = n;
    memcpy(seen->bytes, record, n);
}

static void expect_record(struct block_store *store, const uint8_t *record, size_t n)
{
    struct seen seen = {0};
    struct hf_err err;

    assert_int_equal(block_store_get_records(store, see_record, &seen, &err), HF_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.size, n);
    assert_memory_equal(seen.bytes, record, n);
}

static void the_highest_record_is_kept(struct block_store *store,
                                       const struct block_owner *owner)
{
    uint8_t first[HF_RECORD_MAX], second[HF_RECORD_MAX], other[HF_RECORD_MAX];
    struct seen seen = {0};
    struct hf_err err;
    size_t n, m;

    assert_int_equal(block_store_get_records(store, see_record, &seen, &err), HF_OK);
    assert_int_equal(seen.count, 0);
    n = record_make(owner, 1, 1, 'a', first, sizeof first);
    assert_int_equal(block_store_put_record(store, first, n, &err), HF_OK);
    assert_int_equal(block_store_put_record(store, first, n, &err), HF_OK);
    expect_record(store, first, n);
    /* another one with the same numbers */
    m = record_make(owner, 1, 1, 'b', other, sizeof other);
    assert_int_equal(block_store_put_record(store, other, m, &err), HF_EXISTS);
    expect_record(store, first, n);
    /* gaps are allowed, going back is not */
    m = record_make(owner, 1, 5, 'c', second, sizeof second);
    assert_int_equal(block_store_put_record(store, second, m, &err), HF_OK);
    assert_int_equal(block_store_put_record(store, first, n, &err), HF_EXISTS);
    expect_record(store, second, m);
    /* the incarnation counts more than the seq */
    n = record_make(owner, 2, 2, 'd', first, sizeof first);
    assert_int_equal(block_store_put_record(store, first, n, &err), HF_OK);
    assert_int_equal(block_store_put_record(store, second, m, &err), HF_EXISTS);
    expect_record(store, first, n);
    /* nor is garbage taken */
    first[n / 2] ^= 1;
    assert_int_equal(block_store_put_record(store, first, n, &err), HF_CORRUPT);
    assert_int_equal(block_store_put_record(store, first, 0, &err), HF_CORRUPT);
}

/* ---- threads ---- */

struct putter {
    struct block_store *store;
    uint64_t seed;
    struct hf_id ids[BLOCKS_PER_THREAD];
    bool failed;
};

/* Blocks of its own, and every second one the same as everybody's. */
static uint64_t putter_seed(const struct putter *putter, size_t i)
{
    return i % 2 == 0 ? 1000 + i : putter->seed * 100 + i;
}

static void *put_blocks(void *arg)
{
    struct putter *putter = arg;
    uint8_t *data = malloc(BLOCK_SIZE_MIN), *back = malloc(BLOCK_SIZE_MIN);
    struct hf_err err;

    if (data == NULL || back == NULL) abort();
    for (size_t i = 0; i < BLOCKS_PER_THREAD; i++) {
        pattern_fill(data, BLOCK_SIZE_MIN, putter_seed(putter, i));
        if (block_store_put(putter->store, data, BLOCK_SIZE_MIN, &putter->ids[i], &err) !=
                HF_OK ||
            block_store_get(putter->store, &putter->ids[i], 0, BLOCK_SIZE_MIN, back,
                            &err) != HF_OK ||
            memcmp(data, back, BLOCK_SIZE_MIN) != 0)
            putter->failed = true;
    }
    free(data);
    free(back);
    return NULL;
}

static void threads_put_and_get_at_once(struct block_store *store, uint8_t *data)
{
    struct putter putters[THREADS] = {0};
    pthread_t threads[THREADS];
    struct hf_err err;

    for (size_t t = 0; t < THREADS; t++) {
        putters[t].store = store;
        putters[t].seed = t + 1;
        assert_int_equal(pthread_create(&threads[t], NULL, put_blocks, &putters[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_int_equal(block_store_flush(store, &err), HF_OK);
    for (size_t t = 0; t < THREADS; t++) {
        assert_false(putters[t].failed);
        for (size_t i = 0; i < BLOCKS_PER_THREAD; i++) {
            assert_int_equal(
                block_store_get(store, &putters[t].ids[i], 0, BLOCK_SIZE_MIN, data, &err),
                HF_OK);
            assert_true(pattern_matches(data, BLOCK_SIZE_MIN, putter_seed(&putters[t], i)));
        }
    }
}

void store_suite_run(struct block_store *store, const struct block_owner *owner)
{
    uint8_t *data = malloc(BLOCK_SIZE_MAX);

    assert_non_null(data);
    block_store_begin(store, 1);
    only_size_classes_are_taken(store, data);
    size_classes_read_back(store, data);
    what_is_not_there_is_not_found(store, data);
    the_highest_record_is_kept(store, owner);
    threads_put_and_get_at_once(store, data);
    free(data);
}
