#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/draw.h"
#include "sim/founding.h"
#include "sim/judge.h"
#include "sim/queue.h"
#include "sim/statistics.h"
#include "sim/world.h"

/* Events come out by time, and those of one moment in the order in which they went in. */
static void queue_keeps_the_order(void **state)
{
    struct draw draw = draw_init(1, 1);
    struct queue queue = {0};
    struct queue_event last = {0};

    (void)state;
    for (uint64_t i = 0; i < 50000; i++) {
        struct queue_event event = {.at_us = draw_below(&draw, 1000), .what.number = i};

        assert_true(queue_push(&queue, &event));
        if (draw_below(&draw, 4) == 0) (void)queue_pop(&queue);
    }
    last = queue_pop(&queue);
    while (queue_first(&queue) != NULL) {
        const struct queue_event event = queue_pop(&queue);

        assert_true(event.at_us >= last.at_us);
        if (event.at_us == last.at_us) assert_true(event.what.number > last.what.number);
        last = event;
    }
    queue_done(&queue);
}

static void percentiles_are_of_the_sample(void **state)
{
    struct statistics s = {0};

    (void)state;
    assert_true(statistics_percentile(&s, 50) == 0.0);
    for (int i = 100; i > 0; i--)
        assert_true(statistics_add(&s, i));
    assert_true(statistics_mean(&s) == 50.5);
    assert_true(statistics_percentile(&s, 1) == 1);
    assert_true(statistics_percentile(&s, 50) == 50);
    assert_true(statistics_percentile(&s, 99) == 99);
    assert_true(statistics_max(&s) == 100);
    statistics_done(&s);
}

static struct world *small_ring(size_t places)
{
    const struct world_options options = {.seed = 5,
                                          .hosts = places,
                                          .chord = {.stabilise_ms = 10000,
                                                    .rpc_timeout_ms = 500,
                                                    .lookup_timeout_ms = 5000,
                                                    .successors = 2,
                                                    .lookups = 4},
                                          .network = {.delay_us = 1000},
                                          .judged = true};
    const struct world_client client = {0};
    struct world *world = world_new(&options, &client);

    assert_non_null(world);
    for (size_t i = 0; i < places; i++)
        world_start(world, i);
    founding_make_ring(world, true);
    assert_true(world_is_ideal(world));
    assert_null(world->broken);
    return world;
}

/* Whom judge_may_fail lets go, the ring survives; the other way round it is seen. */
static void judge_sees_a_broken_ring(void **state)
{
    struct world *world = small_ring(8);

    (void)state;
    assert_true(judge_may_fail(world->judge, world, 3));
    world_crash(world, 3);
    assert_null(world->broken);
    assert_false(judge_may_fail(world->judge, world, 4)); /* all that place 2 lists */
    world_crash(world, 4);
    assert_non_null(world->broken);
    world_free(world);
}

/* A message from one part never comes to another, and a cut is of one direction. */
static void network_keeps_parts_apart(void **state)
{
    const struct network_options options = {.delay_us = 10};
    struct network network;

    (void)state;
    assert_true(network_init(&network, &options, 4, 4, 7));
    assert_int_equal(network_send(&network, 0, 1, 1, 0).copies, 1);
    network_part(&network, 1, 1);
    assert_int_equal(network_send(&network, 0, 1, 1, 0).copies, 0);
    network_heal(&network);
    assert_true(network_cut(&network, 0, 1, true));
    assert_int_equal(network_send(&network, 0, 1, 1, 0).copies, 0);
    assert_int_equal(network_send(&network, 1, 0, 4, 0).copies, 1);
    network_heal(&network);
    assert_int_equal(network_send(&network, 0, 1, 1, 0).copies, 1);
    network_done(&network);
}

/* Fair loss takes no two in a row, however much is lost. */
static void fair_loss_takes_no_two_in_a_row(void **state)
{
    const struct network_options options = {.loss = 900, .fair_loss = true};
    struct network network;
    bool before = false;
    unsigned lost = 0;

    (void)state;
    assert_true(network_init(&network, &options, 2, 2, 7));
    for (unsigned i = 0; i < 1000; i++) {
        const bool now = network_send(&network, 0, 1, 1, 3).copies == 0;

        assert_false(before && now);
        before = now;
        lost += now;
    }
    assert_true(lost > 400);
    network_done(&network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_keeps_the_order),
        cmocka_unit_test(percentiles_are_of_the_sample),
        cmocka_unit_test(judge_sees_a_broken_ring),
        cmocka_unit_test(network_keeps_parts_apart),
        cmocka_unit_test(fair_loss_takes_no_two_in_a_row),
    };
    return cmocka_run_group_tests_name("sim/parts", tests, NULL, NULL);
}
