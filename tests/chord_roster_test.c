#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "chord/circle.h"
#include "chord_ring.h"

#include <string.h>

#define QUIET_MS UINT64_C(60000)

static const struct ring_options plain = {.seed = 21, .successors = 2, .delay_max_ms = 30};

/* Positions of members[from..to): the roster must stay while nodes borrow it. */
static size_t roster_of(const struct chord_ring *ring, size_t from, size_t to,
                        struct chord_peer *roster)
{
    for (size_t i = from; i < to; i++)
        roster[i - from] = ring->members[i].peer;
    return to - from;
}

static void start_all(struct chord_ring *ring)
{
    for (size_t i = 0; i < ring->member_count; i++)
        chord_ring_start(ring, i);
}

static void give_all(struct chord_ring *ring, const struct chord_peer *roster, size_t count)
{
    for (size_t i = 0; i < ring->member_count; i++)
        chord_ring_roster(ring, i, roster, count);
}

/* Rings of 1 to 5 members with r = 2: every lookup gives everybody, clockwise from the
 * key, at once and without a message. */
static void small_rings_use_the_order(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 5; n++) {
        struct chord_ring *ring = chord_ring_new(&plain, n);
        struct chord_peer roster[RING_NODES_MAX];

        start_all(ring);
        give_all(ring, roster, roster_of(ring, 0, n, roster));
        for (size_t i = 0; i < 4 * n; i++) {
            struct hf_id key;
            size_t at;

            hf_sha256(&i, sizeof i, &key);
            if (i < n) key = ring->members[i].peer.position;
            at = chord_ring_lookup(ring, i % n, &key, 1);
            assert_int_equal(ring->lookups[at].ended, 1);
            assert_true(ring->lookups[at].found);
            assert_int_equal(ring->lookups[at].peer_count, n);
            for (size_t k = 0; k < n; k++)
                assert_true(
                    chord_peer_equal(&ring->lookups[at].peers[k],
                                     &ring->members[chord_ring_owner(ring, &key, k)].peer));
        }
        assert_int_equal(ring->messages, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(chord_node_mode(ring->members[i].node), CHORD_MODE_ORDER);
            assert_true(chord_node_check(ring->members[i].node));
        }
        chord_ring_free(ring);
    }
}

/* 5, 6, 20 and back to 5 members, each of whom hears of it at another time. */
static void passes_between_order_and_ring(void **state)
{
    struct chord_ring *ring = chord_ring_new(&plain, 20);
    struct chord_peer rosters[4][RING_NODES_MAX];
    static const size_t sizes[] = {5, 6, 20, 5};
    size_t members = 0;

    (void)state;
    for (size_t phase = 0; phase < 4; phase++) {
        const size_t n = roster_of(ring, 0, sizes[phase], rosters[phase]);

        while (members < n)
            chord_ring_start(ring, members++);
        for (size_t i = n; i < members; i++)
            chord_ring_leave(ring, i);
        for (size_t i = 0; i < n; i++) {
            chord_ring_roster(ring, i, rosters[phase], n);
            chord_ring_run(ring, 150);
        }
        chord_ring_run(ring, QUIET_MS);
        assert_null(ring->violation);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(chord_node_mode(ring->members[i].node),
                             n < 6 ? CHORD_MODE_ORDER : CHORD_MODE_RING);
        if (n >= 6) assert_true(chord_ring_is_ideal(ring));
    }
    chord_ring_free(ring);
}

/* With a whole roster a lookup asks one peer. */
static void roster_makes_lookups_one_hop(void **state)
{
    const struct ring_options options = {.seed = 2, .successors = 4, .delay_max_ms = 20};
    struct chord_ring *ring = chord_ring_new(&options, 60);
    struct chord_peer roster[RING_NODES_MAX];
    const size_t n = roster_of(ring, 0, 60, roster);

    (void)state;
    start_all(ring);
    give_all(ring, roster, n);
    chord_ring_run(ring, QUIET_MS);
    assert_true(chord_ring_is_ideal(ring));
    for (size_t i = 0; i < 200; i++) {
        struct hf_id key;
        uint64_t before = ring->messages;
        uint64_t started = ring->now_ms;
        size_t at;

        hf_sha256(&i, sizeof i, &key);
        at = chord_ring_lookup(ring, i % 60, &key, 4);
        while (!ring->lookups[at].ended)
            chord_ring_run(ring, 1);
        assert_true(ring->lookups[at].found);
        assert_int_equal(ring->lookups[at].peer_count, 4);
        for (size_t k = 0; k < 4; k++)
            assert_true(
                chord_peer_equal(&ring->lookups[at].peers[k],
                                 &ring->members[chord_ring_owner(ring, &key, k)].peer));
        assert_true(ring->messages > before || ring->now_ms == started);
        assert_true(ring->now_ms - started <= 40); /* one way there, one back */
    }
    chord_ring_free(ring);
}

/* A member of the roster that died does not keep lookups from ending well. */
static void stale_roster_is_survived(void **state)
{
    const struct ring_options options = {.seed = 6, .successors = 4, .delay_max_ms = 20};
    struct chord_ring *ring = chord_ring_new(&options, 30);
    struct chord_peer roster[RING_NODES_MAX];
    const size_t n = roster_of(ring, 0, 30, roster);

    (void)state;
    start_all(ring);
    give_all(ring, roster, n);
    chord_ring_run(ring, QUIET_MS);
    ring->check_principals = true;
    for (size_t i = 3; i < 30; i += 5) {
        assert_true(chord_ring_may_fail(ring, i));
        chord_ring_kill(ring, i);
        chord_ring_run(ring, 3000);
    }
    chord_ring_run(ring, QUIET_MS);
    assert_null(ring->violation);
    assert_true(chord_ring_is_ideal(ring));
    for (size_t i = 0; i < 30; i++) {
        size_t at;

        /* The dead member's own position: the roster says to ask it. */
        at = chord_ring_lookup(ring, 0, &ring->members[i].peer.position, 2);
        chord_ring_run(ring, 2500);
        assert_int_equal(ring->lookups[at].ended, 1);
        assert_true(ring->lookups[at].found);
        assert_true(chord_peer_equal(
            &ring->lookups[at].peers[0],
            &ring->members[chord_ring_owner(ring, &ring->members[i].peer.position, 0)]
                 .peer));
    }
    chord_ring_free(ring);
}

static bool liars[RING_NODES_MAX];

/* A fifth of the ring names only its own kind, and claims every key. */
static void lie_for_friends(struct chord_ring *ring, size_t from,
                            struct chord_message *message)
{
    if (!liars[from] ||
        (message->kind != CHORD_MESSAGE_NEXT && message->kind != CHORD_MESSAGE_STATE))
        return;
    message->peer_count = 0;
    for (size_t i = 1; i < ring->member_count && message->peer_count < 4; i++) {
        const size_t friend = (from + i) % ring->member_count;

        if (liars[friend])
            message->peers[message->peer_count++] = ring->members[friend].peer;
    }
    message->done = true;
}

static void liars_hide_nobody(void **state)
{
    const struct ring_options options = {.seed = 12, .successors = 4, .delay_max_ms = 20};
    struct chord_ring *ring = chord_ring_new(&options, 60);
    struct chord_peer roster[RING_NODES_MAX];
    const size_t n = roster_of(ring, 0, 60, roster);
    uint64_t hops = 0;

    (void)state;
    start_all(ring);
    give_all(ring, roster, n);
    chord_ring_run(ring, QUIET_MS);
    memset(liars, 0, sizeof liars);
    for (size_t i = 0; i < 12; i++)
        liars[chord_ring_random(ring, 60)] = true;
    ring->tamper = lie_for_friends;
    chord_ring_run(ring, QUIET_MS);
    for (size_t i = 0; i < 300; i++) {
        const size_t at_node = i % 60;
        struct hf_id key;
        size_t at;

        if (liars[at_node]) continue;
        hf_sha256(&i, sizeof i, &key);
        at = chord_ring_lookup(ring, at_node, &key, 4);
        chord_ring_run(ring, 2500);
        assert_int_equal(ring->lookups[at].ended, 1);
        assert_int_equal(ring->lookups[at].peer_count, 4);
        for (size_t k = 0; k < 4; k++)
            assert_true(
                chord_peer_equal(&ring->lookups[at].peers[k],
                                 &ring->members[chord_ring_owner(ring, &key, k)].peer));
    }
    for (size_t i = 0; i < 60; i++)
        hops += chord_ring_statistics(ring, i).hops;
    assert_true(hops > 300); /* they did cost something */
    chord_ring_free(ring);
}

static struct hf_id wanted_key;

/* Nodes that are nowhere, as near to the key as can be: a whole answer full. */
static void make_up_all(struct chord_ring *ring, size_t from, struct chord_message *message)
{
    struct hf_id id = wanted_key;

    (void)ring;
    (void)from;
    if (message->kind != CHORD_MESSAGE_NEXT) return;
    message->done = true;
    for (message->peer_count = 0; message->peer_count < CHORD_MESSAGE_PEERS_MAX;
         chord_add_power(&id, 0, &id))
        message->peers[message->peer_count++] = chord_peer_of(&id, 0);
}

/* Everybody but the asker says so: it finds those on the roster, and asks each once. */
static void made_up_members_keep_nobody_out(void **state)
{
    const struct ring_options options = {.seed = 13, .successors = 4, .delay_max_ms = 20};
    struct chord_ring *ring = chord_ring_new(&options, 40);
    struct chord_peer roster[RING_NODES_MAX];
    const size_t n = roster_of(ring, 0, 40, roster);

    (void)state;
    start_all(ring);
    give_all(ring, roster, n);
    chord_ring_run(ring, QUIET_MS);
    ring->tamper = make_up_all;
    for (size_t i = 0; i < 40; i++) {
        const uint64_t hops = chord_ring_statistics(ring, i).hops;
        size_t at;

        hf_sha256(&i, sizeof i, &wanted_key);
        at = chord_ring_lookup(ring, i, &wanted_key, 4);
        chord_ring_run(ring, 2500);
        assert_int_equal(ring->lookups[at].ended, 1);
        assert_true(ring->lookups[at].found);
        for (size_t k = 0; k < ring->lookups[at].peer_count; k++)
            assert_true(chord_peer_equal(
                &ring->lookups[at].peers[k],
                &ring->members[chord_ring_owner(ring, &wanted_key, k)].peer));
        assert_true(chord_ring_statistics(ring, i).hops - hops < 40);
    }
    chord_ring_free(ring);
}

/* Two rings that know nothing of one another become one when the roster tells. */
static void roster_heals_a_split(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct ring_options options = {
            .seed = seed, .successors = 3, .delay_max_ms = 30};
        struct chord_ring *ring = chord_ring_new(&options, 24);
        struct chord_peer half[2][RING_NODES_MAX];
        struct chord_peer whole[RING_NODES_MAX];
        size_t counts[2] = {0, 0};

        start_all(ring);
        for (size_t i = 0; i < 24; i++) {
            const size_t side = chord_ring_random(ring, 2);

            half[side][counts[side]++] = ring->members[i].peer;
        }
        for (size_t i = 0; i < 24; i++) {
            for (size_t side = 0; side < 2; side++) {
                for (size_t k = 0; k < counts[side]; k++) {
                    if (chord_peer_equal(&half[side][k], &ring->members[i].peer))
                        chord_ring_roster(ring, i, half[side], counts[side]);
                }
            }
        }
        chord_ring_run(ring, QUIET_MS);
        assert_false(chord_ring_is_ideal(ring));
        give_all(ring, whole, roster_of(ring, 0, 24, whole));
        chord_ring_run(ring, 2 * QUIET_MS);
        assert_null(ring->violation);
        assert_true(chord_ring_is_ideal(ring));
        chord_ring_free(ring);
    }
}

/* A roster that is unordered, or lacks the node, is refused. */
static void bad_roster_is_no_roster(void **state)
{
    struct chord_ring *ring = chord_ring_new(&plain, 8);
    struct chord_peer roster[RING_NODES_MAX];
    const size_t n = roster_of(ring, 0, 8, roster);
    struct chord_peer swap;

    (void)state;
    chord_ring_start(ring, 0);
    chord_ring_roster(ring, 0, roster + 1, n - 1);
    assert_int_equal(chord_ring_statistics(ring, 0).ignored, 1);
    swap = roster[3];
    roster[3] = roster[4];
    roster[4] = swap;
    chord_ring_roster(ring, 0, roster, n);
    assert_int_equal(chord_ring_statistics(ring, 0).ignored, 2);
    assert_int_equal(chord_node_mode(ring->members[0].node), CHORD_MODE_ALONE);
    chord_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_rings_use_the_order),
        cmocka_unit_test(passes_between_order_and_ring),
        cmocka_unit_test(roster_makes_lookups_one_hop),
        cmocka_unit_test(stale_roster_is_survived),
        cmocka_unit_test(liars_hide_nobody),
        cmocka_unit_test(made_up_members_keep_nobody_out),
        cmocka_unit_test(roster_heals_a_split),
        cmocka_unit_test(bad_roster_is_no_roster),
    };
    return cmocka_run_group_tests_name("chord/roster", tests, NULL, NULL);
}
