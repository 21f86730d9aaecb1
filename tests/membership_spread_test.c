#include "test.h"

#include "membership/spread.h"
#include "sim/gossip_numbers.h"
#include "spread_ring.h"

#include <stdio.h>
#include <string.h>

/* One step of telling: the news wait a moment, digest, digest, facts. */
#define STEP       4u
#define SETTLED_US (12u * SPREAD_ROUND_US)

static const size_t sizes[] = {8, 64, 256, 1024};
#define SIZES (sizeof sizes / sizeof sizes[0])

static unsigned log2_of(size_t count)
{
    unsigned bits = 0;

    while ((size_t)1 << bits < count)
        bits++;
    return bits;
}

static uint64_t rounded_up(uint64_t ticks, uint64_t unit)
{
    return (ticks + unit - 1) / unit;
}

static struct gossip_world *settled(struct gossip_world *ring)
{
    gossip_world_run(ring, SETTLED_US);
    assert_true(gossip_world_agrees(ring));
    return ring;
}

static struct gossip_world *settled_ring(size_t count)
{
    return settled(spread_ring_new(count, 7 + count));
}

/* max + 1 when they do not. */
static uint64_t ticks_until_agreed(struct gossip_world *ring, uint64_t max)
{
    const uint64_t us = gossip_world_until_agreed(ring, max * SPREAD_TICK_US);

    return us == UINT64_MAX ? max + 1 : rounded_up(us, SPREAD_TICK_US);
}

static void report(const char *what, const struct gossip_world *ring, uint64_t rounds)
{
    print_message("%s: %zu nodes: %llu rounds; %llu digests, %llu facts sent\n", what,
                  ring->count, (unsigned long long)rounds,
                  (unsigned long long)ring->digests, (unsigned long long)ring->told);
}

/* ---- the whole ring ---- */

/* Nobody waits for the rounds of 2 s: whoever hears passes it on. */
static void news_reach_all_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const uint64_t max = (uint64_t)STEP * log2_of(sizes[i]);
        uint64_t ticks;

        gossip_world_count(ring);
        gossip_numbers_announce(ring, 3);
        ticks = ticks_until_agreed(ring, max);
        report("news, in steps of telling", ring, rounded_up(ticks, STEP));
        assert_true(ticks > 0 && ticks <= max);
        assert_int_equal(gossip_numbers_seq(ring, 0, 3), 2);
        gossip_world_free(ring);
    }
}

/* The same with the real thing: rosters, whose every fact is signed and verified. */
static void real_rosters_do_the_same(void **state)
{
    static const size_t few[] = {8, 64};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct gossip_world *ring = settled(spread_ring_new_real(few[i], 7));
        const uint64_t max = (uint64_t)STEP * log2_of(few[i]);
        uint64_t ticks;

        gossip_world_count(ring);
        spread_ring_announce_real(ring, 3, "elsewhere:2");
        ticks = ticks_until_agreed(ring, max);
        report("news on real rosters, in steps", ring, rounded_up(ticks, STEP));
        assert_true(ticks <= max);
        assert_int_equal(spread_ring_member(ring, 0, 3)->announcement.seq, 2);
        gossip_world_free(ring);
    }
}

/* One message in four is lost, one member in five is gone: the rounds make up for it. */
static void losses_delay_news_by_rounds_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const uint64_t max = 2u * (uint64_t)SPREAD_ROUND * log2_of(sizes[i]);
        uint64_t ticks;

        for (size_t k = 0; k < ring->count / 5; k++)
            gossip_world_sleep(ring, 5 * k);
        ring->network.options.loss = 250;
        gossip_world_count(ring);
        for (size_t k = 1; k <= 3; k++)
            gossip_numbers_announce(ring, k);
        ticks = ticks_until_agreed(ring, max);
        report("news among losses", ring, rounded_up(ticks, SPREAD_ROUND));
        assert_true(ticks <= max);
        assert_int_equal(gossip_numbers_seq(ring, ring->count - 1, 2), 2);
        gossip_world_free(ring);
    }
}

/* A member that slept through much is told all of it by the first that it meets. */
static void one_exchange_brings_a_sleeper_up_to_date(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const size_t sleeper = sizes[i] / 2;
        uint64_t ticks;

        gossip_world_sleep(ring, sleeper);
        for (size_t k = 0; k < ring->count; k += 2) {
            if (k != sleeper) gossip_numbers_announce(ring, k);
        }
        gossip_world_run(ring, SETTLED_US);
        gossip_world_skip(ring, UINT64_C(3) * 24 * 3600 * 1000000);
        gossip_world_wake(ring, sleeper);
        while (ring->nodes[sleeper].links == 0)
            gossip_world_run(ring, SPREAD_TICK_US);
        gossip_world_count(ring);
        ticks = ticks_until_agreed(ring, 2u * STEP);
        report("back after days, in steps", ring, rounded_up(ticks, STEP));
        assert_true(ticks <= STEP); /* up, digest, facts */
        gossip_world_free(ring);
    }
}

/* A member falls asleep before it could pass on its own news: it does so when it wakes. */
static void news_outlast_a_sleep(void **state)
{
    struct gossip_world *ring = settled_ring(64);

    (void)state;
    gossip_numbers_announce(ring, 3);
    gossip_world_sleep(ring, 3);
    gossip_world_run(ring, SETTLED_US);
    assert_int_equal(gossip_numbers_seq(ring, 0, 3), 1);
    gossip_world_wake(ring, 3);
    assert_true(ticks_until_agreed(ring, 2u * SPREAD_ROUND) <= 2u * SPREAD_ROUND);
    assert_int_equal(gossip_numbers_seq(ring, 0, 3), 2);
    gossip_world_run(ring, SETTLED_US);
    gossip_numbers_announce(ring, 3);
    assert_true(ticks_until_agreed(ring, STEP) <= STEP);
    gossip_world_free(ring);
}

/* Two halves, with news on both sides, that see each other again. */
static void halves_find_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const uint64_t max = 2u * (uint64_t)SPREAD_ROUND * log2_of(sizes[i]);
        uint64_t ticks;

        for (size_t k = 0; k < ring->count; k++)
            ring->nodes[k].side = (unsigned)(k % 2);
        gossip_world_cut(ring);
        for (size_t k = 0; k < ring->count; k += 3)
            gossip_numbers_announce(ring, k);
        gossip_world_run(ring, SETTLED_US);
        assert_false(gossip_world_agrees(ring));
        for (size_t k = 0; k < ring->count; k++)
            ring->nodes[k].side = 0;
        gossip_world_count(ring);
        ticks = ticks_until_agreed(ring, max);
        report("halves that met again", ring, rounded_up(ticks, SPREAD_ROUND));
        assert_true(ticks <= max);
        assert_int_equal(gossip_numbers_seq(ring, 1, 0), 2);
        assert_int_equal(gossip_numbers_seq(ring, 0, 3), 2);
        gossip_world_free(ring);
    }
}

/* Cut in two while all start: nobody has ever seen the other half, or lacks a link. */
static void halves_that_never_met_find_each_other(void **state)
{
    struct gossip_world *ring = spread_ring_new(256, 5);
    const uint64_t max = 2u * (uint64_t)SPREAD_ROUND * log2_of(ring->count);
    uint64_t ticks;

    (void)state;
    for (size_t k = 0; k < ring->count; k++)
        ring->nodes[k].side = (unsigned)(k % 2);
    gossip_numbers_announce(ring, 0);
    gossip_numbers_announce(ring, 1);
    gossip_world_run(ring, 5u * SETTLED_US);
    assert_false(gossip_world_agrees(ring));
    for (size_t k = 0; k < ring->count; k++) {
        assert_true(ring->nodes[k].links >= SPREAD_LINKED_MAX); /* it has all it wants */
        ring->nodes[k].side = 0;
    }
    gossip_world_count(ring);
    ticks = ticks_until_agreed(ring, max);
    report("halves that never met", ring, rounded_up(ticks, SPREAD_ROUND));
    assert_true(ticks <= max);
    gossip_world_free(ring);
}

/* After a power cut each has its saved roster, no link, and something new to say. */
static void all_start_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const uint64_t max = 2u * (uint64_t)SPREAD_ROUND * log2_of(sizes[i]);
        uint64_t ticks;

        gossip_world_restart(ring);
        gossip_world_count(ring);
        for (size_t k = 0; k < ring->count; k++)
            gossip_numbers_announce(ring, k);
        ticks = ticks_until_agreed(ring, max);
        report("all restart", ring, rounded_up(ticks, SPREAD_ROUND));
        assert_true(ticks > 0 && ticks <= max);
        assert_int_equal(gossip_numbers_seq(ring, 0, ring->count - 1), 2);
        gossip_world_free(ring);
    }
}

/* In a small ring everybody is linked to everybody; in a large one to some at random, and
 * that does not grow. */
static void links_are_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        struct gossip_world *ring = settled_ring(sizes[i]);
        const bool small = sizes[i] <= SPREAD_LINKED_MAX;
        const size_t least = small ? sizes[i] - 1 : SPREAD_LINKED_MAX;
        const size_t most = small ? least : 3u * SPREAD_LINKED_MAX;

        gossip_world_run(ring, SETTLED_US);
        for (size_t k = 0; k < ring->count; k++) {
            assert_true(ring->nodes[k].links >= least);
            assert_true(ring->nodes[k].links <= most);
        }
        gossip_world_free(ring);
    }
}

/* Once all know the same, nothing but a digest a round is said. */
static void silence_costs_a_digest_a_round(void **state)
{
    struct gossip_world *ring = settled_ring(64);

    (void)state;
    gossip_numbers_announce(ring, 0);
    gossip_world_run(ring, SETTLED_US);
    gossip_world_count(ring);
    gossip_world_run(ring, 100u * SPREAD_ROUND_US);
    assert_int_equal(ring->told, 0);
    assert_true(ring->digests <= ring->count * 110);
    assert_true(ring->digests >= ring->count * 90);
    gossip_world_free(ring);
}

/* ---- addresses ---- */

static const char *address_at(const struct gossip_world *ring, size_t at, size_t of)
{
    return spread_ring_member(ring, at, of)->announcement.addresses[0];
}

/* A new address replaces the old one everywhere, is tried at once, and stays when somebody
 * who has slept comes with the old one. */
static void a_new_address_wins_everywhere(void **state)
{
    struct gossip_world *ring = settled(spread_ring_new_real(8, 7));

    (void)state;
    gossip_world_sleep(ring, 5);
    for (size_t i = 0; i < ring->count; i++)
        ring->nodes[i].readdressed = 0;
    spread_ring_announce_real(ring, 2, "moved:2");
    assert_true(ticks_until_agreed(ring, 10 * STEP) <= 10 * STEP);
    gossip_world_run(ring, 2 * SPREAD_TICK_US);
    for (size_t i = 0; i < ring->count; i++) {
        if (i == 5) continue;
        assert_string_equal(address_at(ring, i, 2), "moved:2");
        assert_int_equal(ring->nodes[i].readdressed, i != 2);
    }
    assert_string_equal(address_at(ring, 5, 2), "host:1");
    gossip_world_wake(ring, 5);
    gossip_world_run(ring, 5u * SPREAD_ROUND_US);
    assert_true(gossip_world_agrees(ring));
    for (size_t i = 0; i < ring->count; i++) {
        assert_string_equal(address_at(ring, i, 2), "moved:2");
        assert_int_equal(ring->nodes[i].readdressed, i != 2);
    }
    gossip_world_free(ring);
}

/* ---- one node ---- */

struct one {
    struct spread *spread;
    struct hf_id self, other, third;
};

static int setup(void **state)
{
    struct one *one = calloc(1, sizeof *one);
    const struct spread_knowledge known = {.revision = 3, .digest = {.b = {3}}};
    struct spread_member members[3];
    struct hf_err err;

    assert_non_null(one);
    one->self = (struct hf_id){.b = {1}};
    one->other = (struct hf_id){.b = {2}};
    one->third = (struct hf_id){.b = {3}};
    members[0] = (struct spread_member){.node = one->self};
    members[1] = (struct spread_member){.node = one->other};
    members[2] = (struct spread_member){.node = one->third};
    one->spread = spread_new(&one->self, &known);
    assert_non_null(one->spread);
    assert_int_equal(spread_set_members(one->spread, members, 3, 100, &err), HF_OK);
    assert_null(spread_next(one->spread));
    *state = one;
    return 0;
}

static int teardown(void **state)
{
    struct one *one = *state;

    spread_free(one->spread);
    free(one);
    return 0;
}

static void expect(struct one *one, enum spread_action_kind kind, const struct hf_id *node,
                   uint64_t since)
{
    const struct spread_action *action = spread_next(one->spread);

    assert_non_null(action);
    assert_int_equal(action->kind, kind);
    if (node != NULL) assert_true(hf_id_equal(&action->node, node));
    assert_int_equal(action->since, since);
}

static void expect_no_more(struct one *one)
{
    assert_null(spread_next(one->spread));
}

static void compare(struct one *one, uint8_t digest, uint64_t now_ms)
{
    const struct hf_id theirs = {.b = {digest}};

    spread_compare(one->spread, &one->other, &theirs, now_ms);
}

/* What is told is what was not told before; all of it when that was lost. */
static void each_is_told_what_it_lacks(void **state)
{
    struct one *one = *state;
    const struct spread_knowledge more = {.revision = 5, .digest = {.b = {5}}};

    spread_up(one->spread, &one->other, 200);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    compare(one, 9, 300);
    expect(one, SPREAD_ROSTER, &one->other, 0);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    compare(one, 9, 400); /* it is under way */
    expect_no_more(one);
    compare(one, 8, 500); /* it has news itself */
    expect(one, SPREAD_DIGEST, &one->other, 0);
    expect_no_more(one);
    spread_knows(one->spread, &more);
    expect(one, SPREAD_NEWS, NULL, 0);
    compare(one, 8, 600);
    expect(one, SPREAD_ROSTER, &one->other, 3);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    compare(one, 8, 599 + SPREAD_AGAIN_MS);
    expect_no_more(one);
    compare(one, 8, 600 + SPREAD_AGAIN_MS);
    expect(one, SPREAD_ROSTER, &one->other, 0);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    expect_no_more(one);
}

/* Who says that it knows the same has nothing of it sent again with the next news. */
static void an_equal_digest_counts_as_told(void **state)
{
    struct one *one = *state;
    const struct spread_knowledge more = {.revision = 4, .digest = {.b = {4}}};

    spread_up(one->spread, &one->other, 200);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    compare(one, 3, 300);
    expect_no_more(one);
    spread_knows(one->spread, &more);
    expect(one, SPREAD_NEWS, NULL, 0);
    spread_pass_on(one->spread, 1);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    expect(one, SPREAD_CONNECT, &one->third, 0);
    expect_no_more(one);
    compare(one, 3, 400);
    expect(one, SPREAD_ROSTER, &one->other, 3);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    expect_no_more(one);
}

static void news_are_asked_to_be_passed_on_once(void **state)
{
    struct one *one = *state;
    const struct spread_knowledge more = {.revision = 4, .digest = {.b = {4}}};
    const struct spread_knowledge most = {.revision = 5, .digest = {.b = {5}}};

    spread_knows(one->spread, &more);
    expect(one, SPREAD_NEWS, NULL, 0);
    spread_knows(one->spread, &more);
    spread_knows(one->spread, &most);
    expect_no_more(one);
    spread_pass_on(one->spread, 1);
    while (spread_next(one->spread) != NULL)
        continue;
    spread_knows(one->spread, &most);
    expect_no_more(one);
}

static void strangers_are_told_nothing(void **state)
{
    struct one *one = *state;
    const struct hf_id stranger = {.b = {77}};
    const struct hf_id digest = {.b = {78}};

    spread_compare(one->spread, &stranger, &digest, 1);
    spread_down(one->spread, &stranger, 1);
    expect_no_more(one);
    assert_null(spread_peer(one->spread, &stranger));
    assert_null(spread_peer(one->spread, &one->self));
}

static void who_is_seen_is_remembered(void **state)
{
    struct one *one = *state;
    const struct spread_peer *peer = spread_peer(one->spread, &one->other);

    assert_false(peer->up);
    assert_int_equal(peer->since_ms, 100);
    spread_down(one->spread, &one->other, 150);
    assert_int_equal(peer->since_ms, 100);
    spread_up(one->spread, &one->other, 200);
    assert_true(peer->up);
    assert_int_equal(peer->since_ms, 200);
    spread_up(one->spread, &one->other, 300);
    assert_int_equal(peer->since_ms, 200);
    spread_down(one->spread, &one->other, 400);
    assert_false(peer->up);
    assert_true(peer->missed);
    assert_int_equal(peer->since_ms, 400);
}

/* In a ring where not all are linked a member is there until a call fails. */
static void who_was_not_called_is_believed_to_be_there(void **state)
{
    struct one *one = *state;
    struct spread_member members[SPREAD_LINKED_MAX + 1] = {{.node = one->self}};
    const struct hf_id *called = &members[7].node;
    const struct hf_id *silent = &members[8].node;
    struct hf_err err;

    assert_false(spread_believes(one->spread, &one->other)); /* here all are */
    for (size_t i = 1; i <= SPREAD_LINKED_MAX; i++) {
        members[i] = (struct spread_member){.node = one->self, .announced = i != 8};
        members[i].node.b[HF_ID_SIZE - 1] = (uint8_t)(one->self.b[HF_ID_SIZE - 1] + i);
    }
    members[9].evicted = true;
    assert_int_equal(
        spread_set_members(one->spread, members, SPREAD_LINKED_MAX + 1, 100, &err), HF_OK);
    assert_true(spread_believes(one->spread, called));
    assert_false(spread_believes(one->spread, silent)); /* nobody knows where it is */
    assert_false(spread_believes(one->spread, &members[9].node));
    assert_false(spread_believes(one->spread, &one->self));
    spread_down(one->spread, called, 500);
    assert_false(spread_believes(one->spread, called));
    assert_int_equal(spread_peer(one->spread, called)->since_ms, 500);
    spread_down(one->spread, called, 600);
    assert_int_equal(spread_peer(one->spread, called)->since_ms, 500);
    spread_up(one->spread, called, 700);
    assert_true(spread_believes(one->spread, called));
    spread_rest(one->spread, called, 800);
    assert_true(spread_believes(one->spread, called));
    assert_false(spread_peer(one->spread, called)->up);
    spread_up(one->spread, silent, 900);
    assert_true(spread_believes(one->spread, silent));
}

static void the_evicted_are_dropped_and_left_alone(void **state)
{
    struct one *one = *state;
    const struct spread_member members[] = {
        {.node = one->self}, {.node = one->other, .evicted = true}, {.node = one->third}};
    struct hf_err err;

    spread_up(one->spread, &one->other, 200);
    expect(one, SPREAD_DIGEST, &one->other, 0);
    assert_int_equal(spread_set_members(one->spread, members, 3, 300, &err), HF_OK);
    expect(one, SPREAD_DROP, &one->other, 0);
    expect_no_more(one);
    spread_down(one->spread, &one->other, 301);
    assert_int_equal(spread_set_members(one->spread, members, 3, 302, &err), HF_OK);
    expect_no_more(one);
    spread_round(one->spread, 9);
    expect(one, SPREAD_CONNECT, &one->third, 0);
    expect_no_more(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_reach_all_at_once),
        cmocka_unit_test(real_rosters_do_the_same),
        cmocka_unit_test(losses_delay_news_by_rounds_only),
        cmocka_unit_test(one_exchange_brings_a_sleeper_up_to_date),
        cmocka_unit_test(news_outlast_a_sleep),
        cmocka_unit_test(halves_find_each_other),
        cmocka_unit_test(halves_that_never_met_find_each_other),
        cmocka_unit_test(all_start_at_once),
        cmocka_unit_test(links_are_bounded),
        cmocka_unit_test(silence_costs_a_digest_a_round),
        cmocka_unit_test(a_new_address_wins_everywhere),
        cmocka_unit_test_setup_teardown(each_is_told_what_it_lacks, setup, teardown),
        cmocka_unit_test_setup_teardown(an_equal_digest_counts_as_told, setup, teardown),
        cmocka_unit_test_setup_teardown(news_are_asked_to_be_passed_on_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(strangers_are_told_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_seen_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(who_was_not_called_is_believed_to_be_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_evicted_are_dropped_and_left_alone, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
