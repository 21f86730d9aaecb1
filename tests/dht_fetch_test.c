/* Many fetches: whom they go to, what a peer that does not answer costs, how much is under
 * way at once, and how much comes for nothing.  In virtual time. */
#include "dht_net.h"

#include "dht/budget.h"
#include "dht/pace.h"

#include <string.h>

#define NODES      10u
#define BLOCKS     100u
#define AT_ONCE    8u
#define PROMPT_MS  150u /* lookup 20, twice at most 40 on the way, disk 3, and a little */
#define TIMEOUT_MS 3000u

static struct net_block *blocks[BLOCKS];

/* Node 0 has put `count` blocks of 4 of 9. */
static struct net *net_with(uint64_t seed, size_t count)
{
    struct net *net = net_new(NODES, seed);
    struct dht_redundancy r =
        dht_node_redundancy(net->nodes[0].dht, (struct dht_redundancy){0, 0});

    assert_int_equal(r.k, 4);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = net_block_new(net, 0, (uint32_t)i, r.k, r.n, 1);
        assert_int_equal(net_wait(net, net_put(net, 0, blocks[i]))->action.code, HF_OK);
        memset(&net->outcomes[net->next_tag - 1], 0, sizeof net->outcomes[0]);
        net->next_tag = 1;
    }
    return net;
}

static void end(struct net *net, size_t count)
{
    for (size_t i = 0; i < count; i++)
        net_block_free(blocks[i]);
    net_free(net);
}

/* Reads blocks[first..first + count) at once; how long it took. */
static uint64_t read_at_once(struct net *net, size_t first, size_t count)
{
    const uint64_t begun = net->now_ms;
    uint64_t tags[BLOCKS];

    for (size_t i = 0; i < count; i++)
        tags[i] = net_get(net, 0, blocks[first + i]);
    for (size_t i = 0; i < count; i++)
        net_check_block(net, net_wait(net, tags[i]), blocks[first + i]);
    for (size_t i = 0; i < count; i++) {
        dht_action_done(&net->outcomes[tags[i]].action);
        memset(&net->outcomes[tags[i]], 0, sizeof net->outcomes[0]);
    }
    net->next_tag = 1;
    return net->now_ms - begun;
}

/* All blocks, some at once; how long it took. */
static uint64_t read_all(struct net *net, size_t count)
{
    const uint64_t begun = net->now_ms;

    for (size_t i = 0; i < count; i += AT_ONCE)
        (void)read_at_once(net, i, count - i < AT_ONCE ? count - i : AT_ONCE);
    return net->now_ms - begun;
}

static void a_dead_holder_costs_one_timeout_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct net *net = net_with(seed, BLOCKS);
        unsigned slow = 0;

        for (size_t i = 2; i <= 4; i++)
            net_kill(net, i);
        for (size_t i = 0; i < BLOCKS; i++) {
            const uint64_t ms = read_at_once(net, i, 1);

            slow += ms > PROMPT_MS;
            assert_true(ms < TIMEOUT_MS + 2 * PROMPT_MS);
        }
        assert_in_range(slow, 1, 3); /* once for each of the three */
        for (size_t i = 2; i <= 4; i++)
            assert_true(net->nodes[i].asked == 0);
        end(net, BLOCKS);
    }
}

/* Those who were never asked anything are asked in the order of their distance. */
static void the_near_ones_are_asked_first(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t ms[2];

        for (unsigned knows = 0; knows < 2; knows++) {
            struct net *net = net_with(seed, 1);

            net->distances = knows == 1;
            for (size_t i = 1; i <= 5; i++)
                net->nodes[i].slow_ms = 2000;
            ms[knows] = read_at_once(net, 0, 1);
            if (knows == 1) {
                for (size_t i = 1; i <= 5; i++)
                    assert_int_equal(net->nodes[i].asked, 0);
            }
            end(net, 1);
        }
        assert_true(ms[1] <= PROMPT_MS);
        assert_true(ms[0] > PROMPT_MS); /* else the order shows nothing */
    }
}

static void dead_holders_cost_one_timeout_together(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct net *net = net_with(seed, BLOCKS);
        uint64_t first, rest;

        for (size_t i = 5; i <= 7; i++)
            net_kill(net, i);
        first = read_at_once(net, 0, AT_ONCE);
        assert_true(first > PROMPT_MS && first < TIMEOUT_MS + 2 * PROMPT_MS);
        rest = 0;
        for (size_t i = AT_ONCE; i + AT_ONCE <= BLOCKS; i += AT_ONCE)
            rest += read_at_once(net, i, AT_ONCE);
        assert_true(rest <= BLOCKS / AT_ONCE * PROMPT_MS);
        end(net, BLOCKS);
    }
}

/* Its daemon hung and goes on: no link tells, but a probe does. */
static void a_holder_that_answers_again_is_asked_again(void **state)
{
    struct net *net = net_with(6, 64);

    (void)state;
    net_kill(net, 3);
    (void)read_all(net, 64);
    net_revive(net, 3);
    net_run(net, 2 * DHT_SILENCE_MAX_MS);
    assert_true(net->nodes[3].asked == 0);
    assert_true(read_all(net, 64) <= 64 / AT_ONCE * PROMPT_MS);
    assert_true(net->nodes[3].asked > 0);
    end(net, 64);
}

static void a_slow_holder_is_asked_for_little(void **state)
{
    struct net *net = net_with(7, BLOCKS);

    (void)state;
    for (size_t i = 1; i < NODES; i++)
        net->nodes[i].rate = i == 4 ? 50 : 1000; /* bytes in a ms */
    for (unsigned round = 0; round < 2; round++) {
        uint64_t all = 0;

        for (size_t i = 1; i < NODES; i++)
            net->nodes[i].asked = 0;
        (void)read_all(net, BLOCKS);
        for (size_t i = 1; i < NODES; i++)
            all += net->nodes[i].asked;
        /* While it is found out a third of its share, then a twentieth. */
        assert_true(net->nodes[4].asked * (NODES - 1) * (round == 0 ? 3 : 20) <= all);
    }
    end(net, BLOCKS);
}

static void the_budget_bounds_what_is_under_way(void **state)
{
    const size_t fragment = CODE_BLOCK_SIZE_MAX / 4; /* as it is reckoned before it comes */
    struct net *net = net_with(8, BLOCKS);
    struct hf_id id;
    uint64_t tags[BLOCKS], have;

    (void)state;
    for (size_t i = 1; i < NODES; i++)
        net->nodes[i].rate = 100;
    id = blocks[0]->id;
    for (size_t i = 0; i < 90; i++)
        tags[i] = net_get(net, 0, blocks[i]);
    net_run(net, 25); /* the lookups are answered, nothing else is */
    assert_int_equal(net->nodes[0].open, DHT_BUDGET_FIRST / fragment);
    have = net_have(net, 0, &id, 1); /* does not wait for any of it */
    net_run(net, PROMPT_MS);
    assert_int_equal(net->outcomes[have].times, 1);
    for (size_t i = 0; i < 90; i++)
        net_check_block(net, net_wait(net, tags[i]), blocks[i]);
    assert_true(net->nodes[0].open_max > DHT_BUDGET_FIRST / fragment);
    assert_true(net->nodes[0].open_max <= DHT_BUDGET_MAX / fragment);
    for (size_t i = 1; i < 90; i++) /* in order, but for what is slower or late */
        assert_true(net->outcomes[tags[i]].at_ms + 5000 > net->outcomes[tags[i - 1]].at_ms);
    end(net, BLOCKS);
}

static void hedges_are_few_in_a_healthy_ring(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct net *net = net_with(seed, BLOCKS);
        uint64_t useful = 0;

        net->delay_max_ms = 200; /* very uneven */
        for (size_t i = 1; i < NODES; i++)
            net->nodes[i].rate = 300 + 100 * i;
        for (unsigned round = 0; round < 3; round++) {
            (void)read_all(net, BLOCKS);
            useful += (uint64_t)BLOCKS * 4 * blocks[0]->manifest.shape.fragment_size;
        }
        net_run(net, 60000);
        assert_true(net->nodes[0].received >= useful);
        assert_true(net->nodes[0].received * 100 <= useful * 115);
        end(net, BLOCKS);
    }
}

/* A fragment that comes drop by drop is waited for, when nobody else has one. */
static void what_moves_is_not_silent(void **state)
{
    (void)state;
    for (unsigned moves = 0; moves < 2; moves++) {
        struct net *net = net_new(3, 9);
        struct net_block *block = net_block_new(net, 0, 1, 1, 2, 1);
        struct dht_event event = {.kind = DHT_PEER_GIVES, .peer = net->nodes[2].id};
        uint64_t tag;

        assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
        net_kill(net, 1);
        net->nodes[2].slow_ms = 100000;
        tag = net_get(net, 0, block);
        for (unsigned s = 0; s < 101; s++) {
            net_run(net, 1000);
            if (moves == 1) net_step(net, 0, &event);
        }
        assert_int_equal(net_wait(net, tag)->action.code,
                         moves == 1 ? HF_OK : HF_UNAVAILABLE);
        net_block_free(block);
        net_free(net);
    }
}

/* All holders are slow, and all of them send: the reader's own line is slow. */
static void a_slow_line_is_not_hedged(void **state)
{
    (void)state;
    for (unsigned others = 0; others < 2; others++) {
        struct net *net = net_with(10, 1);
        uint64_t tag;

        for (size_t i = 1; i < NODES; i++)
            net->nodes[i].slow_ms = 20000;
        net->nodes[0].fetches = 0;
        tag = net_get(net, 0, blocks[0]);
        for (unsigned s = 0; s < 50; s++) {
            net_run(net, 500);
            for (size_t i = 1; i < NODES; i++) {
                struct dht_event event = {.kind = DHT_PEER_GIVES, .peer = net->nodes[i].id};

                /* Then some send nothing: instead of them others are asked. */
                if (others == 0 || i % 2 == 0) net_step(net, 0, &event);
            }
        }
        net_check_block(net, net_wait(net, tag), blocks[0]);
        if (others == 0)
            assert_int_equal(net->nodes[0].fetches, 4);
        else
            assert_true(net->nodes[0].fetches > 4);
        end(net, 1);
    }
}

/* ---- the parts ---- */

static void the_budget_follows_the_delay(void **state)
{
    struct dht_budget budget;

    (void)state;
    dht_budget_init(&budget);
    assert_true(dht_budget_take(&budget, DHT_BUDGET_FIRST));
    assert_false(dht_budget_take(&budget, 1));
    dht_budget_learn(&budget, 1000, 10, false, 100); /* nobody wants more */
    assert_int_equal(budget.limit, DHT_BUDGET_FIRST);
    dht_budget_learn(&budget, 1000, DHT_BUDGET_SOON_MS, true, 1000);
    assert_int_equal(budget.limit, DHT_BUDGET_FIRST + 1000);
    assert_true(dht_budget_take(&budget, 1000));
    dht_budget_give(&budget, 1000);
    dht_budget_learn(&budget, DHT_BUDGET_MAX, 10, true, 1000);
    assert_int_equal(budget.limit, DHT_BUDGET_MAX);
    dht_budget_learn(&budget, 1000, DHT_BUDGET_LATE_MS, true, 20000);
    assert_int_equal(budget.limit, DHT_BUDGET_MAX / 8 * 7);
    dht_budget_learn(&budget, 1000, DHT_BUDGET_LATE_MS, true, 27999); /* of the same time */
    assert_int_equal(budget.limit, DHT_BUDGET_MAX / 8 * 7);
    for (uint64_t i = 0; i < 100; i++)
        dht_budget_learn(&budget, 1000, 9000, true, 40000 + i * 9000);
    assert_int_equal(budget.limit, DHT_BUDGET_MIN);
    dht_budget_give(&budget, DHT_BUDGET_FIRST);
    assert_int_equal(budget.used, 0);
    assert_true(dht_budget_take(&budget, DHT_BUDGET_MAX * 2)); /* one always */
    assert_false(dht_budget_take(&budget, 1));
}

static void hedges_are_earned(void **state)
{
    struct dht_budget budget;

    (void)state;
    dht_budget_init(&budget);
    for (unsigned i = 0; i < DHT_HEDGES_FIRST; i++)
        assert_true(dht_budget_hedge(&budget));
    assert_false(dht_budget_hedge(&budget));
    for (unsigned i = 1; i < DHT_HEDGE_EVERY; i++)
        dht_budget_useful(&budget);
    assert_false(dht_budget_hedge(&budget));
    dht_budget_useful(&budget);
    assert_true(dht_budget_hedge(&budget));
    for (unsigned i = 0; i < 100 * DHT_HEDGE_EVERY; i++)
        dht_budget_useful(&budget);
    for (unsigned i = 0; i < DHT_HEDGES_MAX; i++)
        assert_true(dht_budget_hedge(&budget));
    assert_false(dht_budget_hedge(&budget));
}

static void pace_follows_what_comes(void **state)
{
    struct dht_pace pace = {0};

    (void)state;
    assert_true(dht_pace_ms(&pace, 1 << 20, 0) < 20); /* so it is tried */
    dht_pace_add(&pace, DHT_PACE_SAMPLE_MIN - 1, 1000, 5);
    assert_false(dht_pace_known(&pace, 5));
    dht_pace_add(&pace, 1 << 20, 1024, 1000); /* 1 KiB in a ms */
    assert_int_equal(dht_pace_ms(&pace, 1 << 20, 1000), 1024);
    assert_int_equal(dht_pace_ms(&pace, 1 << 16, 1000), 64);
    dht_pace_add(&pace, 1 << 20, 5120, 2000);
    assert_int_equal(dht_pace_ms(&pace, 1 << 20, 2000), 2048); /* a quarter of the way */
    dht_pace_at_most(&pace, 1 << 20, 100, 2000);               /* known to be slower */
    assert_int_equal(dht_pace_ms(&pace, 1 << 20, 2000), 2048);
    dht_pace_at_most(&pace, 1 << 20, 10240, 2000);
    assert_int_equal(dht_pace_ms(&pace, 1 << 20, 2000), 10240);
    assert_false(dht_pace_known(&pace, 2001 + DHT_PACE_KEPT_MS));
    dht_pace_add(&pace, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    dht_pace_add(&pace, UINT64_MAX, 0, UINT64_MAX);
    assert_true(dht_pace_ms(&pace, UINT64_MAX, UINT64_MAX) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_holder_costs_one_timeout_once),
        cmocka_unit_test(the_near_ones_are_asked_first),
        cmocka_unit_test(dead_holders_cost_one_timeout_together),
        cmocka_unit_test(a_holder_that_answers_again_is_asked_again),
        cmocka_unit_test(a_slow_holder_is_asked_for_little),
        cmocka_unit_test(the_budget_bounds_what_is_under_way),
        cmocka_unit_test(hedges_are_few_in_a_healthy_ring),
        cmocka_unit_test(what_moves_is_not_silent),
        cmocka_unit_test(a_slow_line_is_not_hedged),
        cmocka_unit_test(the_budget_follows_the_delay),
        cmocka_unit_test(hedges_are_earned),
        cmocka_unit_test(pace_follows_what_comes),
    };
    return cmocka_run_group_tests_name("dht/fetch", tests, NULL, NULL);
}
