#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "sim/founding.h"
#include "sim/judge.h"
#include "sim/stock.h"

#define HOSTS 20u

struct fixture {
    struct world *world;
    struct stock stock;
    uint32_t positions[HOSTS];
};

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct fixture *f = context;

    (void)world;
    assert_true(storage_answer(f->stock.storage, answer));
}

/* A ring without faults; host 3 stands on four positions. */
static struct fixture *ring_new(bool judged)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct world_options options = {.seed = 9,
                                          .hosts = HOSTS,
                                          .positions = f->positions,
                                          .chord = {.stabilise_ms = 30000,
                                                    .rpc_timeout_ms = 1000,
                                                    .lookup_timeout_ms = 10000,
                                                    .successors = 4,
                                                    .lookups = 16},
                                          .network = {.plane_ms = 20, .delay_us = 1000},
                                          .encode = true,
                                          .judged = judged};
    const struct world_client client = {.context = f, .on_answer = on_answer};
    const struct storage_options storage = {.disk_us = 1000, .haste = 1};

    assert_non_null(f);
    for (size_t i = 0; i < HOSTS; i++)
        f->positions[i] = i == 3 ? 4 : 1;
    f->world = world_new(&options, &client);
    assert_non_null(f->world);
    assert_true(stock_init(&f->stock, f->world, &storage));
    for (size_t i = 0; i < HOSTS; i++)
        world_start(f->world, i);
    founding_make_ring(f->world, true);
    assert_true(world_is_ideal(f->world));
    return f;
}

static void ring_free(struct fixture *f)
{
    assert_null(f->world->broken);
    world_free(f->world);
    stock_done(&f->stock);
    free(f);
}

static size_t put(struct fixture *f, size_t host)
{
    const size_t block = stock_put(&f->stock, host, 0, 0);

    world_run(f->world, WORLD_MINUTE);
    return block;
}

static enum hf_code fetch(struct fixture *f, size_t host, size_t block)
{
    const size_t number = f->stock.fetch_count;

    stock_fetch(&f->stock, host, block);
    world_run(f->world, 10 * WORLD_MINUTE);
    assert_true(f->stock.fetches[number].ended);
    return f->stock.fetches[number].code;
}

/* Holders fail until `left` fragments are within reach; `host` stays. */
static void fail_holders(struct fixture *f, size_t host, size_t block, unsigned left)
{
    const struct hf_id *id = &f->stock.blocks[block].sample.id;

    for (size_t i = 0; i < HOSTS && storage_within_reach(f->stock.storage, id) > left;
         i++) {
        if (i != host && world_host_is_live(f->world, i) &&
            storage_holds(f->stock.storage, i, id))
            world_crash(f->world, i);
    }
    assert_int_equal(storage_within_reach(f->stock.storage, id), left);
}

/* All n fragments are on disks of others, each on one. */
static void a_put_reaches_the_disks(void **state)
{
    struct fixture *f = ring_new(true);
    const size_t block = put(f, 5);
    const struct stock_block *b = &f->stock.blocks[block];
    unsigned holders = 0;

    (void)state;
    assert_int_equal(b->state, STOCK_SAFE);
    assert_int_equal(b->acknowledged, 14);
    assert_int_equal(storage_ever(f->stock.storage, &b->sample.id), 14);
    assert_false(storage_holds(f->stock.storage, 5, &b->sample.id));
    for (size_t i = 0; i < HOSTS; i++)
        holders += storage_holds(f->stock.storage, i, &b->sample.id);
    assert_int_equal(holders, 14);
    assert_int_equal(fetch(f, 0, block), HF_OK);
    assert_int_equal(fetch(f, 5, block), HF_OK);
    ring_free(f);
}

/* Seven of fourteen are enough, one fewer is not; whoever comes back counts again. */
static void holders_fail_and_return(void **state)
{
    struct fixture *f = ring_new(false);
    const size_t block = put(f, 5);
    const struct hf_id *id = &f->stock.blocks[block].sample.id;
    size_t gone = HOSTS;

    (void)state;
    fail_holders(f, 5, block, 7);
    assert_int_equal(fetch(f, 5, block), HF_OK);
    fail_holders(f, 5, block, 6);
    assert_int_equal(fetch(f, 5, block), HF_UNAVAILABLE);
    while (world_host_is_live(f->world, gone - 1) ||
           !storage_holds(f->stock.storage, gone - 1, id))
        gone--;
    world_start(f->world, gone - 1);
    world_roster(f->world, gone - 1, f->world->peers, f->world->count);
    world_run(f->world, 5 * WORLD_MINUTE);
    assert_int_equal(fetch(f, 5, block), HF_OK);
    ring_free(f);
}

/* What a lost disk had is remembered as lost, and is not given out. */
static void a_wiped_disk_has_nothing(void **state)
{
    struct fixture *f = ring_new(false);
    const size_t block = put(f, 5);
    const struct hf_id *id = &f->stock.blocks[block].sample.id;
    size_t host = 0;

    (void)state;
    while (!storage_holds(f->stock.storage, host, id))
        host++;
    world_crash(f->world, host);
    storage_wipe(f->stock.storage, host);
    world_start(f->world, host);
    assert_false(storage_holds(f->stock.storage, host, id));
    assert_int_equal(storage_within_reach(f->stock.storage, id), 13);
    assert_int_equal(storage_ever(f->stock.storage, id), 14);
    ring_free(f);
}

/* A host cut off from everybody puts nothing, and says so; when it is mended it can. */
static void who_reaches_nobody_puts_nothing(void **state)
{
    struct fixture *f = ring_new(false);
    size_t block;

    (void)state;
    network_part(&f->world->network, 5, 1);
    block = stock_put(&f->stock, 5, 0, 0);
    world_run(f->world, 30 * WORLD_MINUTE);
    assert_int_equal(f->stock.blocks[block].state, STOCK_REFUSED);
    assert_int_equal(storage_ever(f->stock.storage, &f->stock.blocks[block].sample.id), 0);
    network_heal(&f->world->network);
    world_run(f->world, 5 * WORLD_MINUTE);
    assert_int_equal(f->stock.blocks[put(f, 5)].state, STOCK_SAFE);
    ring_free(f);
}

/* One host with several positions fails with all of them, and comes back with all. */
static void a_host_fails_as_a_whole(void **state)
{
    struct fixture *f = ring_new(true);
    const struct world_host *host = &f->world->hosts[3];

    (void)state;
    assert_int_equal(f->world->count, HOSTS + 3);
    assert_int_equal(host->place_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(world_host_of(f->world, host->places[i]), 3);
        assert_int_equal(f->world->peers[host->places[i]].index, i);
    }
    assert_true(judge_may_fail(f->world->judge, f->world, 3));
    world_crash(f->world, 3);
    assert_int_equal(f->world->live, HOSTS - 1);
    assert_false(world_is_ideal(f->world));
    world_run(f->world, 10 * WORLD_MINUTE);
    assert_true(world_is_ideal(f->world));
    world_start(f->world, 3);
    world_join(f->world, 3, f->world->hosts[0].places[0]);
    world_run(f->world, 10 * WORLD_MINUTE);
    assert_true(world_is_ideal(f->world));
    assert_int_equal(f->world->live, HOSTS + 3);
    ring_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_reaches_the_disks),
        cmocka_unit_test(holders_fail_and_return),
        cmocka_unit_test(a_wiped_disk_has_nothing),
        cmocka_unit_test(who_reaches_nobody_puts_nothing),
        cmocka_unit_test(a_host_fails_as_a_whole),
    };
    return cmocka_run_group_tests_name("sim/storage", tests, NULL, NULL);
}
