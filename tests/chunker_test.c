/* Where files are cut: limits, insertions, and vectors that pin it for ever. */
#include "test.h"

#include "base/hash.h"
#include "snapshot/chunker.h"
#include "snapshot/limits.h"

#include <string.h>

#define DATA_SIZE ((size_t)24 << 20)

static size_t cut_all(const struct chunker *c, const uint8_t *p, size_t n, size_t *cuts,
                      size_t max)
{
    size_t count = 0;
    size_t at = 0;

    while (at < n) {
        size_t size = chunker_cut(c, p + at, n - at);

        assert_true(size > 0 && size <= CHUNK_SIZE_MAX && size <= n - at);
        if (at + size < n) assert_true(size >= CHUNK_SIZE_MIN);
        at += size;
        assert_true(count < max);
        cuts[count++] = at;
    }
    return count;
}

static void sizes_keep_their_limits_and_mean(void **state)
{
    static const uint8_t key[32] = {1};
    uint64_t seed = 3;
    uint8_t *data = malloc(DATA_SIZE);
    size_t cuts[1024];
    struct chunker c;
    size_t count;

    test_random_bytes(&seed, data, DATA_SIZE);
    chunker_init(&c, key);
    count = cut_all(&c, data, DATA_SIZE, cuts, 1024);
    assert_in_range(DATA_SIZE / count, CHUNK_SIZE_MEAN / 2, CHUNK_SIZE_MEAN * 3 / 2);
    memset(data, 0, DATA_SIZE); /* no cut to be found: the largest chunks */
    assert_int_equal(cut_all(&c, data, DATA_SIZE, cuts, 1024), DATA_SIZE / CHUNK_SIZE_MAX);
    for (size_t n = 0; n <= CHUNK_SIZE_MIN; n += 4097)
        assert_int_equal(chunker_cut(&c, data, n), n);
    free(data);
    (void)state;
}

/* After an insertion the cuts fall into step again. */
static void cuts_survive_insertions(void **state)
{
    static const uint8_t key[32] = {2};
    const size_t n = (size_t)8 << 20;
    struct chunker c;
    size_t before[512];
    size_t after[512];
    uint8_t *data = malloc(n + 100);
    uint8_t *changed = malloc(n + 100);

    chunker_init(&c, key);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t s = seed;
        size_t at = (size_t)(test_random(&s) % n);
        size_t by = 1 + (size_t)(test_random(&s) % 99);
        size_t same = 0;
        size_t counts[2];

        test_random_bytes(&s, data, n);
        memcpy(changed, data, at);
        memset(changed + at, 0x55, by);
        memcpy(changed + at + by, data + at, n - at);
        counts[0] = cut_all(&c, data, n, before, 512);
        counts[1] = cut_all(&c, changed, n + by, after, 512);
        for (size_t i = 0, j = 0; i < counts[0] && j < counts[1];) {
            size_t want = before[i] <= at ? before[i] : before[i] + by;

            if (want == after[j]) {
                same++;
                i++;
                j++;
            } else if (want < after[j]) {
                i++;
            } else {
                j++;
            }
        }
        assert_true(same + 8 >= counts[0]);
    }
    free(data);
    free(changed);
    (void)state;
}

/* Where two files cut the same way again after a change at `at`, which made the second
 * longer by `by`: the number of chunks until then, and that it stays so. */
static size_t chunks_until_in_step(const size_t *before, size_t before_count,
                                   const size_t *after, size_t after_count, size_t at,
                                   ptrdiff_t by)
{
    size_t i = 0;
    size_t j = 0;
    size_t first = 0;

    while (before[first] <= at) { /* what lies before it is cut as it was */
        assert_int_equal(before[first], after[first]);
        first++;
    }
    i = j = first;
    while (i < before_count && j < after_count) {
        size_t want = (size_t)((ptrdiff_t)before[i] + by);

        if (want == after[j]) break;
        if (want < after[j])
            i++;
        else
            j++;
    }
    assert_true(i < before_count && j < after_count); /* the end at the latest */
    assert_int_equal(before_count - i, after_count - j);
    for (size_t n = 0; i + n < before_count; n++)
        assert_int_equal((ptrdiff_t)before[i + n] + by, after[j + n]);
    return i - first;
}

/* An edit anywhere, of any kind, makes few chunks new. */
static void cuts_fall_into_step_within_a_few_chunks(void **state)
{
    static const uint8_t key[32] = {3};
    const size_t n = (size_t)6 << 20;
    struct chunker c;
    size_t before[256];
    size_t after[256];
    size_t worst = 0;
    size_t total = 0;
    size_t count;
    uint64_t s = 11;
    uint8_t *data = malloc(n);
    uint8_t *changed = malloc(2 * n);

    chunker_init(&c, key);
    test_random_bytes(&s, data, n);
    count = cut_all(&c, data, n, before, 256);
    for (size_t round = 0; round < 60; round++) {
        size_t at = (size_t)(test_random(&s) % (n / 2));
        size_t out = round % 3 == 0 ? 0 : 1 + (size_t)(test_random(&s) % 200000);
        size_t in = round % 3 == 1 ? 0 : 1 + (size_t)(test_random(&s) % 200000);
        size_t until;

        if (round % 3 == 2) in = out; /* put in, taken out, put in place */
        memcpy(changed, data, at);
        test_random_bytes(&s, changed + at, in);
        memcpy(changed + at + in, data + at + out, n - at - out);
        until = chunks_until_in_step(before, count, after,
                                     cut_all(&c, changed, n - out + in, after, 256), at,
                                     (ptrdiff_t)in - (ptrdiff_t)out);
        if (until > worst) worst = until;
        total += until;
    }
    assert_true(worst <= 10);
    assert_true(total <= 60 * 3);
    free(data);
    free(changed);
    (void)state;
}

/* A cut is made by the 64 bytes before it and the chunk's beginning: what comes behind the
 * largest chunk, and what stands in the first 64 KiB, does not matter. */
static void only_what_is_in_reach_decides(void **state)
{
    static const uint8_t key[32] = {4};
    const size_t n = (size_t)2 << 20;
    struct chunker c;
    uint64_t s = 5;
    uint8_t *data = malloc(n);

    chunker_init(&c, key);
    for (size_t round = 0; round < 20; round++) {
        size_t cut;

        test_random_bytes(&s, data, n);
        cut = chunker_cut(&c, data, n);
        assert_int_equal(chunker_cut(&c, data, CHUNK_SIZE_MAX), cut);
        test_random_bytes(&s, data + cut, n - cut);
        assert_int_equal(chunker_cut(&c, data, n), cut);
        test_random_bytes(&s, data, CHUNK_SIZE_MIN - 64);
        assert_int_equal(chunker_cut(&c, data, n), cut);
    }
    free(data);
    (void)state;
}

/* What repeats never gives chunks that are too small or too large, whatever its period. */
static void periodic_data_keeps_the_limits(void **state)
{
    static const size_t periods[] = {1, 2, 3, 63, 64, 65, 255, 4096, 65535, 65536, 70001};
    static const uint8_t key[32] = {5};
    const size_t n = ((size_t)4 << 20) + 7;
    struct chunker c;
    size_t cuts[256];
    uint64_t s = 6;
    uint8_t *data = malloc(n);

    chunker_init(&c, key);
    for (size_t i = 0; i < 4 * sizeof periods / sizeof *periods; i++) {
        size_t period = periods[i / 4];

        test_random_bytes(&s, data, period);
        for (size_t at = period; at < n; at++)
            data[at] = data[at - period];
        (void)cut_all(&c, data, n, cuts, 256); /* asserts the limits */
    }
    free(data);
    (void)state;
}

static void keys_cut_differently(void **state)
{
    static const uint8_t key_a[32] = {1};
    static const uint8_t key_b[32] = {2};
    const size_t n = (size_t)8 << 20;
    uint64_t seed = 9;
    uint8_t *data = malloc(n);
    struct chunker a;
    struct chunker b;
    size_t cuts_a[512];
    size_t cuts_b[512];
    size_t same = 0;
    size_t na;
    size_t nb;

    test_random_bytes(&seed, data, n);
    chunker_init(&a, key_a);
    chunker_init(&b, key_b);
    na = cut_all(&a, data, n, cuts_a, 512);
    nb = cut_all(&b, data, n, cuts_b, 512);
    for (size_t i = 0; i < na; i++) {
        for (size_t j = 0; j < nb; j++)
            same += cuts_a[i] == cuts_b[j] && cuts_a[i] != n;
    }
    assert_int_equal(same, 0);
    free(data);
    (void)state;
}

/* A change of these would make every file of every vault new data once. */
static void golden_cuts(void **state)
{
    static const uint8_t key[32] = "the key of the golden vectors...";
    const size_t n = (size_t)2 << 20;
    uint8_t *data = malloc(n);
    struct chunker c;
    size_t cuts[64];
    size_t count;
    struct hf_id digest;
    char hex[HF_ID_HEX_SIZE];
    struct hf_sha256 h;

    for (size_t i = 0; i < n;
         i += 32) { /* data that anybody can make: SHA-256 of a counter */
        uint8_t counter[8] = {0};
        struct hf_id block;

        for (unsigned b = 0; b < 8; b++)
            counter[b] = (uint8_t)(i >> (8 * b));
        hf_sha256(counter, sizeof counter, &block);
        memcpy(data + i, block.b, 32);
    }
    chunker_init(&c, key);
    count = cut_all(&c, data, n, cuts, 64);
    hf_sha256_init(&h);
    for (size_t i = 0; i < count; i++) {
        uint8_t at[4] = {(uint8_t)(cuts[i] >> 24), (uint8_t)(cuts[i] >> 16),
                         (uint8_t)(cuts[i] >> 8), (uint8_t)cuts[i]};

        hf_sha256_add(&h, at, sizeof at);
    }
    hf_sha256_final(&h, &digest);
    assert_string_equal(hf_id_hex(&digest, hex),
                        "ff4b149b90c6e46e9c170b704a1352943c347921e7fffa83feadc59e7849ad82");
    free(data);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_keep_their_limits_and_mean),
        cmocka_unit_test(cuts_survive_insertions),
        cmocka_unit_test(cuts_fall_into_step_within_a_few_chunks),
        cmocka_unit_test(only_what_is_in_reach_decides),
        cmocka_unit_test(periodic_data_keeps_the_limits),
        cmocka_unit_test(keys_cut_differently),
        cmocka_unit_test(golden_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
