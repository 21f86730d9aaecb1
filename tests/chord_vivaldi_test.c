/* chord/vivaldi.h: coordinates converge, and stay converged.  The network: a plane with
 * clusters, access links as heights, and distances that no plane can hold (lognormal). */
#include "test.h"

#include "chord/vivaldi.h"

#include <math.h>
#include <stdlib.h>

#define NODES      200u
#define NEIGHBOURS 32u
#define SIGMA      0.15

struct place {
    double x, y, height;
};

static struct place places[NODES];
static struct vivaldi nodes[NODES];
static size_t neighbours[NODES][NEIGHBOURS];
static uint64_t seed = 20040830;

static double uniform(void)
{
    return (double)(test_random(&seed) >> 11) / 9007199254740992.0;
}

static double gauss(void)
{
    return sqrt(-2 * log(uniform() + 1e-12)) * cos(6.283185307179586 * uniform());
}

/* The persistent misfit of a pair: the same each time, and in both directions. */
static double misfit(size_t a, size_t b)
{
    uint64_t pair = 1 + (a < b ? a * NODES + b : b * NODES + a);
    const uint64_t saved = seed;
    double value;

    seed = pair * UINT64_C(0x9e3779b97f4a7c15);
    (void)test_random(&seed);
    value = exp(SIGMA * gauss());
    seed = saved;
    return value;
}

static double rtt_us(size_t a, size_t b)
{
    const double dx = places[a].x - places[b].x;
    const double dy = places[a].y - places[b].y;

    return (sqrt(dx * dx + dy * dy) + places[a].height + places[b].height) * misfit(a, b);
}

static void make_network(void)
{
    for (size_t i = 0; i < NODES; i++) {
        places[i] = (struct place){.x = 40000.0 * (double)(i % 4) + 6000 * gauss(),
                                   .y = 60000.0 * (double)(i % 3) + 6000 * gauss(),
                                   .height = 1000 + 15000 * uniform() * uniform()};
        vivaldi_init(&nodes[i], test_random(&seed));
        for (size_t j = 0; j < NEIGHBOURS; j++) {
            do
                neighbours[i][j] = test_random(&seed) % NODES;
            while (neighbours[i][j] == i);
        }
    }
}

static void ping(size_t from, size_t to)
{
    const struct chord_coordinate remote = vivaldi_coordinate(&nodes[to]);

    vivaldi_sample(&nodes[from], &remote, (uint64_t)rtt_us(from, to), test_random(&seed));
}

static void rounds(size_t count)
{
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < NODES; i++)
            ping(i, neighbours[i][test_random(&seed) % NEIGHBOURS]);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Median relative error of one node's distances to all others. */
static double error_of(size_t node)
{
    const struct chord_coordinate here = vivaldi_coordinate(&nodes[node]);
    double errors[NODES];
    size_t count = 0;

    for (size_t i = 0; i < NODES; i++) {
        const struct chord_coordinate there = vivaldi_coordinate(&nodes[i]);

        if (i == node) continue;
        errors[count++] =
            fabs((double)vivaldi_rtt_us(&here, &there) - rtt_us(node, i)) / rtt_us(node, i);
    }
    return median(errors, count);
}

static double median_error(void)
{
    double errors[NODES];

    for (size_t i = 0; i < NODES; i++)
        errors[i] = error_of(i);
    return median(errors, NODES);
}

/* What no coordinates can know: the misfit of a pair. */
static double floor_error(void)
{
    static double errors[NODES * NODES];
    size_t count = 0;

    for (size_t i = 0; i < NODES; i++) {
        for (size_t j = i + 1; j < NODES; j++)
            errors[count++] = fabs(1 / misfit(i, j) - 1);
    }
    return median(errors, count);
}

static void coordinates_converge_and_stay(void **state)
{
    double least;

    make_network();
    least = floor_error();
    rounds(600);
    print_message("floor %.3f, settled %.3f\n", least, median_error());
    assert_true(median_error() <= 1.3 * least);
    rounds(2000); /* no drift, no freezing */
    assert_true(median_error() <= 1.3 * least);
    (void)state;
}

/* The ancestor's coordinates stood still for half a year: these follow when a network
 * changes. */
static void coordinates_follow_the_network(void **state)
{
    make_network();
    rounds(600);
    for (size_t i = 0; i < NODES; i += 10)
        places[i].x += 200000;
    assert_true(error_of(0) > 0.3);
    rounds(600);
    assert_true(median_error() <= 1.3 * floor_error());
    assert_true(error_of(0) <= 0.25);
    (void)state;
}

static void a_joiner_is_placed_after_32_answers(void **state)
{
    double joined[NODES];
    double settled;

    make_network();
    rounds(800);
    settled = median_error();
    for (size_t i = 0; i < NODES; i++) {
        const struct vivaldi saved = nodes[i];

        vivaldi_init(&nodes[i], test_random(&seed));
        for (size_t j = 0; j < 32; j++)
            ping(i, (i + 1 + test_random(&seed) % (NODES - 1)) % NODES);
        joined[i] = error_of(i);
        nodes[i] = saved;
    }
    print_message("settled %.3f, joiner %.3f\n", settled, median(joined, NODES));
    assert_true(median(joined, NODES) <= 1.1 * settled);
    (void)state;
}

/* Nothing that a peer says or a clock shows moves a coordinate out of its bounds. */
static void lies_move_nobody_far(void **state)
{
    struct vivaldi v;
    struct chord_coordinate before;
    struct chord_coordinate c = {.x_us = VIVALDI_PLACE_MAX_US,
                                 .y_us = -VIVALDI_PLACE_MAX_US,
                                 .height_us = VIVALDI_PLACE_MAX_US,
                                 .error_milli = 1};

    vivaldi_init(&v, 1);
    before = vivaldi_coordinate(&v);
    vivaldi_sample(&v, &c, 0, 1);
    vivaldi_sample(&v, &c, VIVALDI_RTT_MAX_US + 1, 1);
    c.error_milli = 0;
    vivaldi_sample(&v, &c, 50000, 1);
    c.error_milli = VIVALDI_ERROR_MAX + 1;
    vivaldi_sample(&v, &c, 50000, 1);
    assert_int_equal(v.samples, 0);
    assert_int_equal(vivaldi_coordinate(&v).x_us, before.x_us);
    c.error_milli = 1;
    for (size_t i = 0; i < 1000; i++) {
        vivaldi_sample(&v, &c, 1 + i * 9999, test_random(&seed));
        before = vivaldi_coordinate(&v);
        assert_true(vivaldi_plausible(&before));
    }
    (void)state;
}

/* 32 answers say more when they are looked at together than one by one. */
static void a_fit_places_better(void **state)
{
    double alone[NODES], fitted[NODES];
    double one_by_one, together;

    make_network();
    rounds(800);
    for (size_t i = 0; i < NODES; i++) {
        const struct vivaldi saved = nodes[i];
        struct vivaldi_measured measured[32];

        vivaldi_init(&nodes[i], test_random(&seed));
        for (size_t j = 0; j < 32; j++) {
            const size_t peer = (i + 1 + test_random(&seed) % (NODES - 1)) % NODES;

            ping(i, peer);
            measured[j] = (struct vivaldi_measured){vivaldi_coordinate(&nodes[peer]),
                                                    (uint64_t)rtt_us(i, peer)};
        }
        alone[i] = error_of(i);
        for (size_t step = 0; step < 4; step++)
            vivaldi_fit(&nodes[i], measured, 32);
        fitted[i] = error_of(i);
        nodes[i] = saved;
    }
    one_by_one = median(alone, NODES);
    together = median(fitted, NODES);
    print_message("one by one %.3f, together %.3f\n", one_by_one, together);
    assert_true(together < 0.97 * one_by_one);
    assert_true(together <= 1.1 * median_error());
    (void)state;
}

/* Of 32 peers two say that they are twenty seconds away. */
static void liars_do_not_spoil_a_fit(void **state)
{
    struct chord_coordinate before, after;
    struct vivaldi_measured measured[32];
    struct vivaldi *v = &nodes[0];

    make_network();
    rounds(800);
    for (size_t j = 0; j < 32; j++)
        measured[j] = (struct vivaldi_measured){vivaldi_coordinate(&nodes[j + 1]),
                                                (uint64_t)rtt_us(0, j + 1)};
    for (size_t step = 0; step < 50; step++)
        vivaldi_fit(v, measured, 32);
    before = vivaldi_coordinate(v);
    for (size_t j = 0; j < 2; j++)
        measured[j].remote = (struct chord_coordinate){.x_us = VIVALDI_PLACE_MAX_US,
                                                       .y_us = VIVALDI_PLACE_MAX_US,
                                                       .height_us = 0,
                                                       .error_milli = 1};
    for (size_t step = 0; step < 50; step++)
        vivaldi_fit(v, measured, 32);
    after = vivaldi_coordinate(v);
    print_message("moved by %d and %d us\n", after.x_us - before.x_us,
                  after.y_us - before.y_us);
    assert_in_range(after.x_us - before.x_us + 20000, 0, 40000);
    assert_in_range(after.y_us - before.y_us + 20000, 0, 40000);
    /* Nonsense says nothing. */
    measured[0] = (struct vivaldi_measured){.rtt_us = 0};
    measured[1] = (struct vivaldi_measured){.rtt_us = VIVALDI_RTT_MAX_US + 1};
    before = vivaldi_coordinate(v);
    vivaldi_fit(v, measured, 2);
    after = vivaldi_coordinate(v);
    assert_memory_equal(&before, &after, sizeof before);
    vivaldi_fit(v, measured, 0);
    (void)state;
}

static void nodes_at_one_place_move_apart(void **state)
{
    struct vivaldi a = {.height = 100, .error = 1};
    struct vivaldi b = a;
    struct chord_coordinate at_a, at_b;

    for (size_t i = 0; i < 200; i++) {
        at_b = vivaldi_coordinate(&b);
        vivaldi_sample(&a, &at_b, 40000, test_random(&seed));
        at_a = vivaldi_coordinate(&a);
        vivaldi_sample(&b, &at_a, 40000, test_random(&seed));
    }
    at_a = vivaldi_coordinate(&a);
    at_b = vivaldi_coordinate(&b);
    assert_in_range(vivaldi_rtt_us(&at_a, &at_b), 36000, 44000);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coordinates_converge_and_stay),
        cmocka_unit_test(coordinates_follow_the_network),
        cmocka_unit_test(a_joiner_is_placed_after_32_answers),
        cmocka_unit_test(lies_move_nobody_far),
        cmocka_unit_test(a_fit_places_better),
        cmocka_unit_test(liars_do_not_spoil_a_fit),
        cmocka_unit_test(nodes_at_one_place_move_apart),
    };
    return cmocka_run_group_tests_name("chord/vivaldi", tests, NULL, NULL);
}
