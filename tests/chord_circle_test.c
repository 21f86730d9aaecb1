#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chord/circle.h"

#include <string.h>

static struct hf_id id_of(uint8_t high, uint8_t low)
{
    struct hf_id id;

    memset(&id, 0, sizeof id);
    id.b[0] = high;
    id.b[HF_ID_SIZE - 1] = low;
    return id;
}

/* Every triple of nine points, against the definition by counting steps. */
static void between_is_the_open_arc(void **state)
{
    (void)state;
    for (uint8_t a = 0; a < 9; a++) {
        for (uint8_t b = 0; b < 9; b++) {
            for (uint8_t x = 0; x < 9; x++) {
                const struct hf_id ia = id_of(a, 7);
                const struct hf_id ib = id_of(b, 7);
                const struct hf_id ix = id_of(x, 7);
                const int to_x = (x + 9 - a) % 9;
                const int to_b = a == b ? 9 : (b + 9 - a) % 9;

                assert_int_equal(chord_between(&ia, &ix, &ib), to_x > 0 && to_x < to_b);
                assert_int_equal(chord_between_or_at(&ia, &ix, &ib),
                                 a == b || (to_x > 0 && to_x <= to_b));
            }
        }
    }
}

/* Against counting steps, for every triple of nine points. */
static void nearer_is_fewer_steps_clockwise(void **state)
{
    (void)state;
    for (uint8_t from = 0; from < 9; from++) {
        for (uint8_t a = 0; a < 9; a++) {
            for (uint8_t b = 0; b < 9; b++) {
                const struct hf_id ifrom = id_of(from, 7);
                const struct hf_id ia = id_of(a, 7);
                const struct hf_id ib = id_of(b, 7);
                const int to_a = (a + 9 - from) % 9;
                const int to_b = (b + 9 - from) % 9;
                const int order = chord_compare_from(&ifrom, &ia, &ib);

                assert_int_equal((order > 0) - (order < 0), (to_a > to_b) - (to_a < to_b));
            }
        }
    }
}

/* 2^256 - 1 + 2^bit = 2^bit - 1: the carry runs through all that is above. */
static void powers_add_up(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < CHORD_ID_BITS; bit++) {
        struct hf_id a;
        struct hf_id sum;

        memset(&a, 0xff, sizeof a);
        chord_add_power(&a, bit, &sum);
        for (unsigned i = 0; i < CHORD_ID_BITS; i++) {
            const unsigned byte = sum.b[HF_ID_SIZE - 1 - i / 8];

            assert_int_equal((byte >> (i % 8)) & 1u, i < bit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_is_the_open_arc),
        cmocka_unit_test(nearer_is_fewer_steps_clockwise),
        cmocka_unit_test(powers_add_up),
    };
    return cmocka_run_group_tests_name("chord/circle", tests, NULL, NULL);
}
