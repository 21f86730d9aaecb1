/* dht/put.h and dht/flush.h in rings of 2 to 20, with holders that are away, full or slow.
 */
#include "dht_net.h"

/* The redundancy of a block that node 0 writes. */
static struct dht_redundancy redundancy(const struct net *net)
{
    return dht_node_redundancy(net->nodes[0].dht, (struct dht_redundancy){0, 0});
}

static struct net_block *block_of(struct net *net, uint32_t content)
{
    struct dht_redundancy r = redundancy(net);

    return net_block_new(net, 0, content, r.k, r.n, 1);
}

static void every_ring_size_holds_and_gives(void **state)
{
    (void)state;
    for (size_t count = 2; count <= 20; count++) {
        struct net *net = net_new(count, count);
        struct net_block *block = block_of(net, 1);
        const struct net_outcome *put = net_wait(net, net_put(net, 0, block));
        uint32_t n = count > 14 ? 14 : (uint32_t)count - 1;

        assert_int_equal(block->manifest.shape.n, n);
        assert_int_equal(block->manifest.shape.k, n / 2 > 1 ? n / 2 : 1);
        assert_int_equal(put->action.code, HF_OK);
        assert_int_equal(put->action.tally.answered, n);
        assert_int_equal(put->action.tally.denied, 0); /* the source is not even asked */
        assert_int_equal(net_indices(net, block), n);
        assert_int_equal(net_holders(net, block), n); /* one each */
        assert_int_equal(net->nodes[0].fragment_count, 0);
        assert_int_equal(net_wait(net, net_flush(net, 0))->action.code, HF_OK);
        for (size_t i = 0; i < count; i++)
            net_check_block(net, net_wait(net, net_get(net, i, block)), block);
        assert_int_equal(net->warning_count, 0);
        net_block_free(block);
        net_free(net);
    }
}

static void any_two_of_four_holders_may_die(void **state)
{
    (void)state;
    for (size_t a = 1; a < 5; a++) {
        for (size_t b = a + 1; b < 5; b++) {
            struct net *net = net_new(5, a * 8 + b);
            struct net_block *block = block_of(net, 2);

            assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
            net_kill(net, a);
            net_kill(net, b);
            for (size_t i = 0; i < 5; i++)
                if (!net->nodes[i].dead)
                    net_check_block(net, net_wait(net, net_get(net, i, block)), block);
            net_block_free(block);
            net_free(net);
        }
    }
}

/* Five members: n = 4 whoever is away this minute, accepted with 3. */
static void members_away_degrade_then_fail(bool links)
{
    for (size_t away = 0; away <= 3; away++) {
        struct net *net = net_new(5, 50 + away);
        struct net_block *block = block_of(net, 3);
        const struct net_outcome *put;

        net->links = links;
        for (size_t i = 0; i < away; i++)
            net_kill(net, 1 + (i * 2) % 4);
        put = net_wait(net, net_put(net, 0, block));
        assert_int_equal(block->manifest.shape.n, 4);
        assert_int_equal(put->action.tally.accepted, 3);
        if (away < 2) assert_int_equal(put->action.tally.answered, 4 - (away > 0));
        assert_int_equal(put->action.code, away == 0   ? HF_OK
                                           : away == 1 ? HF_DEGRADED
                                                       : HF_UNAVAILABLE);
        net_block_free(block);
        net_free(net);
    }
}

static void away_and_silent(void **state)
{
    (void)state;
    members_away_degrade_then_fail(false);
}

static void away_and_known_to_be(void **state)
{
    (void)state;
    members_away_degrade_then_fail(true);
}

static void thresholds_are_those_of_the_design(void **state)
{
    (void)state;
    assert_int_equal(dht_accepted(1, 1), 1);
    assert_int_equal(dht_accepted(1, 2), 1);
    assert_int_equal(dht_accepted(1, 3), 2);
    assert_int_equal(dht_accepted(2, 4), 3);
    assert_int_equal(dht_accepted(7, 14), 10);
}

static void the_next_host_takes_the_place_of_a_dead_one(void **state)
{
    struct net *net = net_new(20, 7);
    struct net_block *block = block_of(net, 4);

    (void)state;
    for (size_t i = 1; i <= 5; i++) /* 14 of 19 are left */
        net_kill(net, i * 3);
    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
    assert_int_equal(net_indices(net, block), 14);
    assert_int_equal(net_holders(net, block), 14);
    net_block_free(block);
    net_free(net);
}

/* The message was lost, or the holder slept: it is asked a second time. */
static void a_silent_holder_is_asked_twice(void **state)
{
    struct net *net = net_new(5, 17);
    struct net_block *block = block_of(net, 7);
    uint64_t tag;

    (void)state;
    net_kill(net, 2);
    tag = net_put(net, 0, block);
    net_run(net, 5000);
    net_revive(net, 2);
    assert_int_equal(net_wait(net, tag)->action.code, HF_OK);
    assert_int_equal(net_holders(net, block), 4);
    net_block_free(block);
    net_free(net);
}

static void a_full_holder_is_passed_over(void **state)
{
    struct net *net = net_new(18, 8);
    struct net_block *block = block_of(net, 5);
    const struct net_outcome *put;

    (void)state;
    for (size_t i = 1; i <= 3; i++)
        net_fault(net, i, NET_FULL);
    put = net_wait(net, net_put(net, 0, block));
    assert_int_equal(put->action.code, HF_OK);
    assert_int_equal(net_indices(net, block), 14);
    net_block_free(block);
    net_free(net);

    net = net_new(5, 8);
    block = block_of(net, 6);
    net_fault(net, 3, NET_FULL);
    put = net_wait(net, net_put(net, 0, block));
    assert_int_equal(put->action.code, HF_DEGRADED);
    assert_int_equal(put->action.tally.no_space, 1);
    net_block_free(block);
    net_free(net);
}

static void a_flush_tries_missing_holders_again(void **state)
{
    struct net *net = net_new(5, 9);
    struct net_block *blocks[6];
    const struct net_outcome *flush;
    uint64_t tag;

    (void)state;
    net_kill(net, 2);
    for (uint32_t i = 0; i < 6; i++) {
        blocks[i] = block_of(net, 10 + i);
        tag = net_put(net, 0, blocks[i]);
        assert_int_equal(net_wait(net, tag)->action.code, HF_DEGRADED);
    }
    net_revive(net, 2);
    flush = net_wait(net, net_flush(net, 0));
    assert_int_equal(flush->action.code, HF_OK);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(net_indices(net, blocks[i]), 4);
        assert_int_equal(net_holders(net, blocks[i]), 4);
        net_block_free(blocks[i]);
    }
    net_free(net);
}

static void retries_leave_places_for_clients(void **state)
{
    struct net *net = net_new(5, 9);
    struct net_block *block = block_of(net, 10);
    uint64_t tags[DHT_OPERATIONS_MAX - DHT_RETRIES_MAX - 1], flush;

    (void)state;
    net_kill(net, 2);
    for (uint32_t i = 0; i < DHT_RETRIES_MAX + 20; i++)
        assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_DEGRADED);
    net_revive(net, 2);
    flush = net_flush(net, 0);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        tags[i] = net_put(net, 0, block);
    assert_int_equal(net_wait(net, flush)->action.code, HF_OK); /* with those behind */
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        assert_int_equal(net->outcomes[tags[i]].action.code, HF_OK);
    net_block_free(block);
    net_free(net);
}

static void a_flush_counts_what_stays_degraded(void **state)
{
    struct net *net = net_new(5, 10);
    struct net_block *blocks[3];
    const struct net_outcome *flush;
    uint64_t tags[3], tag;

    (void)state;
    net_kill(net, 4);
    for (uint32_t i = 0; i < 3; i++) {
        blocks[i] = block_of(net, 20 + i);
        tags[i] = net_put(net, 0, blocks[i]);
    }
    tag = net_flush(net, 0); /* while all of them are on their way */
    flush = net_wait(net, tag);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(net->outcomes[tags[i]].times, 1); /* it waited for them */
        net_block_free(blocks[i]);
    }
    assert_int_equal(flush->action.code, HF_DEGRADED);
    assert_int_equal(flush->action.degraded, 3);
    flush = net_wait(net, net_flush(net, 0));
    assert_int_equal(flush->action.code, HF_OK); /* it was told once */
    net_free(net);
}

static void a_flush_of_nothing_ends(void **state)
{
    struct net *net = net_new(3, 11);

    (void)state;
    assert_int_equal(net_wait(net, net_flush(net, 0))->action.code, HF_OK);
    net_free(net);
}

static void evicted_and_long_missing_members_get_nothing(void **state)
{
    struct net *net = net_new(7, 12);
    struct net_block *block;

    (void)state;
    net->members[2].evicted = true;
    net->members[3].missing = true;
    net_tell_members(net);
    block = block_of(net, 30);
    assert_int_equal(block->manifest.shape.n, 4);
    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
    assert_int_equal(net->nodes[2].fragment_count, 0);
    assert_int_equal(net->nodes[3].fragment_count, 0);
    net_block_free(block);
    net_free(net);
}

static void sites_share_the_risk(void **state)
{
    struct net *net = net_new(13, 13);
    struct net_block *block;
    size_t at_site = 0;

    (void)state;
    for (size_t i = 1; i <= 8; i++)
        net->members[i].site.b[0] = 1;
    net_tell_members(net);
    block = net_block_new(net, 0, 31, 4, 8, 1); /* at most 4 to the site of eight */
    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
    for (size_t i = 1; i <= 8; i++)
        at_site += net->nodes[i].fragment_count;
    assert_int_equal(at_site, 4);
    assert_int_equal(net_holders(net, block), 8);
    net_block_free(block);

    block = net_block_new(net, 0, 32, 4, 10, 1); /* more than sites allow: 4 + 6 at it */
    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
    assert_int_equal(net_holders(net, block), 10);
    net_block_free(block);
    net_free(net);
}

static void bad_arguments_end_at_once(void **state)
{
    struct net *net = net_new(5, 14);
    struct net_block *block = block_of(net, 33);
    uint64_t tag;

    (void)state;
    block->fragments[1]->size--;
    tag = net_put(net, 0, block);
    assert_int_equal(net->outcomes[tag].times, 1);
    assert_int_equal(net->outcomes[tag].action.code, HF_INVALID);
    block->fragments[1]->size++;
    block->manifest_bytes->b[40] ^= 1;
    tag = net_put(net, 0, block);
    assert_int_equal(net->outcomes[tag].action.code, HF_CORRUPT);
    assert_int_equal(net_holders(net, block), 0);
    net_block_free(block);
    net_free(net);
}

static void too_many_operations_are_refused(void **state)
{
    struct net *net = net_new(5, 15);
    struct net_block *block = block_of(net, 34);
    uint64_t tag = 0;

    (void)state;
    net_kill(net, 1);
    for (unsigned i = 0; i <= DHT_OPERATIONS_MAX; i++)
        tag = net_put(net, 0, block);
    assert_int_equal(net->outcomes[tag].times, 1);
    assert_int_equal(net->outcomes[tag].action.code, HF_NO_MEMORY);
    assert_int_equal(net_wait(net, tag - 1)->action.code, HF_DEGRADED);
    net_block_free(block);
    net_free(net);
}

static void nobody_to_hold_anything(void **state)
{
    struct net *net = net_new(1, 16);
    struct net_block *block = net_block_new(net, 0, 35, 1, 1, 1);

    (void)state;
    assert_int_equal(redundancy(net).n, 0);
    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_UNAVAILABLE);
    net_block_free(block);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ring_size_holds_and_gives),
        cmocka_unit_test(any_two_of_four_holders_may_die),
        cmocka_unit_test(away_and_silent),
        cmocka_unit_test(away_and_known_to_be),
        cmocka_unit_test(thresholds_are_those_of_the_design),
        cmocka_unit_test(the_next_host_takes_the_place_of_a_dead_one),
        cmocka_unit_test(a_silent_holder_is_asked_twice),
        cmocka_unit_test(a_full_holder_is_passed_over),
        cmocka_unit_test(a_flush_tries_missing_holders_again),
        cmocka_unit_test(retries_leave_places_for_clients),
        cmocka_unit_test(a_flush_counts_what_stays_degraded),
        cmocka_unit_test(a_flush_of_nothing_ends),
        cmocka_unit_test(evicted_and_long_missing_members_get_nothing),
        cmocka_unit_test(sites_share_the_risk),
        cmocka_unit_test(bad_arguments_end_at_once),
        cmocka_unit_test(too_many_operations_are_refused),
        cmocka_unit_test(nobody_to_hold_anything),
    };
    return cmocka_run_group_tests_name("dht/put", tests, NULL, NULL);
}
