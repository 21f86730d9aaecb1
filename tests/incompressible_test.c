/* snapshot/incompressible.h: what is like noise, and what is not. */
#include "test.h"

#include "snapshot/incompressible.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define SIZE 300000u

static uint8_t bytes[SIZE];
static uint8_t packed[SIZE + 4096];

static void noise_of_every_size_is_found_out(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (size_t n = 512; n <= SIZE; n += n / 7) {
        test_random_bytes(&seed, bytes, n);
        assert_true(looks_incompressible(bytes, n));
    }
}

static void what_is_compressed_already_is_found_out(void **state)
{
    uint64_t seed = 2;
    size_t n;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(test_random(&seed) % 40);
    n = ZSTD_compress(packed, sizeof packed, bytes, SIZE, 3);
    assert_false(ZSTD_isError(n));
    assert_true(looks_incompressible(packed + 1000, n - 1000));
}

static void what_shrinks_is_not_taken_for_noise(void **state)
{
    uint64_t seed = 3;

    (void)state;
    memset(bytes, 0, SIZE);
    assert_false(looks_incompressible(bytes, SIZE));
    for (size_t i = 0; i < SIZE; i++) /* six bits a byte */
        bytes[i] = (uint8_t)(' ' + test_random(&seed) % 64);
    assert_false(looks_incompressible(bytes, SIZE));
    for (size_t i = 0; i < SIZE; i += 4) { /* numbers of 24 bits */
        test_random_bytes(&seed, bytes + i, 3);
        bytes[i + 3] = 0;
    }
    assert_false(looks_incompressible(bytes, SIZE));
}

static void too_little_is_no_sample(void **state)
{
    uint64_t seed = 4;

    (void)state;
    test_random_bytes(&seed, bytes, 511);
    for (size_t n = 0; n < 512; n++)
        assert_false(looks_incompressible(bytes, n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_of_every_size_is_found_out),
        cmocka_unit_test(what_is_compressed_already_is_found_out),
        cmocka_unit_test(what_shrinks_is_not_taken_for_noise),
        cmocka_unit_test(too_little_is_no_sample),
    };

    return cmocka_run_group_tests_name("snapshot/incompressible", tests, NULL, NULL);
}
