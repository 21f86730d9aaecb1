#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "chord/circle.h"
#include "chord/state.h" /* how many samples a node has taken */
#include "chord_ring.h"

#include <stdlib.h>
#include <string.h>

#define ADVERSARY_SEEDS 1000u
#define QUIET_MS        UINT64_C(60000) /* 30 rounds of stabilisation */
#define SPACE_MS \
    UINT64_C(1500) /* between failures: beyond the failure timeout and a round */

static void assert_holds(const struct chord_ring *ring)
{
    if (ring->violation != NULL)
        fail_msg("seed %llu, %zu nodes, at %llu ms: %s",
                 (unsigned long long)ring->options.seed, ring->member_count,
                 (unsigned long long)ring->now_ms, ring->violation);
}

static void assert_ideal(struct chord_ring *ring)
{
    assert_holds(ring);
    if (!chord_ring_is_ideal(ring))
        fail_msg("seed %llu, %zu nodes: not ideal", (unsigned long long)ring->options.seed,
                 ring->member_count);
}

static void random_key(struct chord_ring *ring, struct hf_id *key)
{
    const uint64_t draw = chord_ring_random(ring, UINT64_MAX);

    hf_sha256(&draw, sizeof draw, key);
}

/* Every node asks for a random key, for its own position and for another's: the answers
 * are the true successors. */
static void assert_lookups(struct chord_ring *ring)
{
    const size_t live = chord_ring_live(ring);
    struct hf_id keys[3];
    size_t first[3];

    for (size_t i = 0; i < ring->member_count; i++) {
        uint32_t wanted;

        if (!ring->members[i].alive) continue;
        random_key(ring, &keys[0]);
        keys[1] = ring->members[i].peer.position;
        keys[2] = ring->members[chord_ring_owner(ring, &keys[0], 0)].peer.position;
        wanted = 1 + (uint32_t)chord_ring_random(ring, ring->options.successors);
        for (size_t k = 0; k < 3; k++)
            first[k] = chord_ring_lookup(ring, i, &keys[k], wanted);
        chord_ring_run(ring, 2500);
        assert_holds(ring);
        for (size_t k = 0; k < 3; k++) {
            const struct ring_lookup *lookup = &ring->lookups[first[k]];

            assert_int_equal(lookup->ended, 1);
            assert_true(lookup->found);
            assert_true(lookup->peer_count >= (wanted < live ? wanted : live - 1));
            assert_true(lookup->peer_count >= 1);
            for (size_t n = 0; n < lookup->peer_count; n++) {
                const size_t owner = chord_ring_owner(ring, &keys[k], n);

                assert_true(
                    chord_peer_equal(&lookup->peers[n], &ring->members[owner].peer));
            }
        }
    }
}

/* The given number of nodes in random order, the first r + 1 as founders. */
static void shuffle(struct chord_ring *ring, size_t *order)
{
    for (size_t i = 0; i < ring->member_count; i++)
        order[i] = i;
    for (size_t i = ring->member_count; i > 1; i--) {
        const size_t j = chord_ring_random(ring, i);
        const size_t swap = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swap;
    }
}

static const struct hf_id *sorting_key;
static size_t pings;

static void count_pings(struct chord_ring *ring, size_t from, struct chord_message *message)
{
    (void)ring;
    (void)from;
    pings += message->kind == CHORD_MESSAGE_PING;
}

static int compare_index(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a;
    const size_t y = *(const size_t *)b;

    return (x > y) - (x < y);
}

static struct chord_ring *founded(const struct ring_options *options, size_t count,
                                  size_t *order)
{
    const size_t founders = options->successors + 1u;
    struct chord_ring *ring = chord_ring_new(options, count);

    shuffle(ring, order);
    qsort(order, founders, sizeof order[0], compare_index);
    chord_ring_found(ring, order, founders);
    return ring;
}

static size_t random_live(struct chord_ring *ring)
{
    size_t index;

    do {
        index = chord_ring_random(ring, ring->member_count);
    } while (!ring->members[index].alive ||
             chord_node_mode(ring->members[index].node) != CHORD_MODE_RING);
    return index;
}

/* Joins one by one and all at once, then silent failures, all over a bad network. */
static void churn(const struct ring_options *options, size_t count)
{
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(options, count, order);
    size_t at = options->successors + 1u;

    assert_holds(ring);
    while (at < count) {
        /* Up to eight at the same moment, then a pause that may be too short to settle. */
        const size_t together = 1 + chord_ring_random(ring, 8);

        for (size_t i = 0; i < together && at < count; i++, at++)
            chord_ring_join(ring, order[at], random_live(ring));
        chord_ring_run(ring, chord_ring_random(ring, 3000));
        assert_holds(ring);
    }
    chord_ring_run(ring, 10000);
    for (size_t failures = 0; failures < count / 2; failures++) {
        const size_t index = random_live(ring);

        if (!chord_ring_may_fail(ring, index)) continue;
        if (chord_ring_random(ring, 3) == 0)
            chord_ring_leave(ring, index);
        else
            chord_ring_kill(ring, index);
        chord_ring_run(ring, SPACE_MS);
        assert_holds(ring);
        /* Some of those that failed come back, with nothing in their memory. */
        if (chord_ring_random(ring, 3) == 0)
            chord_ring_join(ring, index, random_live(ring));
        chord_ring_run(ring, chord_ring_random(ring, 2 * SPACE_MS));
        assert_holds(ring);
    }
    ring->options.loss_percent = 0;
    ring->options.delay_max_ms = 20;
    for (size_t i = 0; i < count; i++) {
        /* Its contact may have failed: whoever asked it to join knows others. */
        if (ring->members[i].alive &&
            chord_node_mode(ring->members[i].node) == CHORD_MODE_JOINING)
            chord_ring_contact(ring, i, random_live(ring));
    }
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    assert_lookups(ring);
    chord_ring_free(ring);
}

/* A lossy network delays by less than half of a try's timeout, so that the last of four
 * tries still tells the living from the dead; one that loses nothing delays by more than
 * two tries. */
static void invariant_survives_churn(void **state)
{
    static const uint32_t lengths[] = {2, 3, 4, 8};

    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        const uint32_t r = lengths[seed % 4];
        const bool lossy = seed % 3 != 0;
        const struct ring_options options = {
            .seed = seed,
            .successors = r,
            .delay_max_ms = lossy ? 5 + seed % 44 : 5 + seed % 150,
            .loss_percent = lossy ? (unsigned)(seed % 31) : 0,
            .duplicate_percent = (unsigned)(seed % 23)};

        churn(&options, r + 1u + seed % 24);
    }
}

static void invariant_survives_churn_of_64(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1006; seed++) {
        const struct ring_options options = {.seed = seed,
                                             .successors = seed % 2 ? 2 : 4,
                                             .delay_max_ms = 48,
                                             .loss_percent = 15,
                                             .duplicate_percent = 10};

        churn(&options, 64);
    }
}

static bool try_kill(struct chord_ring *ring, size_t index)
{
    if (!ring->members[index].alive || !chord_ring_may_fail(ring, index)) return false;
    chord_ring_kill(ring, index);
    return true;
}

/* The tightest that the proof allows: r = 2, hardly more than r + 1 members, and blow
 * after blow at neighbours of the last victim, long before the first is given up. */
static void adversary(uint64_t seed)
{
    const struct ring_options options = {
        .seed = seed, .successors = 2, .delay_max_ms = 49, .duplicate_percent = 10};
    const size_t count = 6 + seed % 4;
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, count, order);
    size_t last = 0;

    for (size_t i = 3; i < count; i++)
        chord_ring_join(ring, order[i], random_live(ring));
    chord_ring_run(ring, chord_ring_random(ring, 3000));
    for (size_t blow = 0; blow < 30; blow++) {
        const size_t side = chord_ring_random(ring, 2) ? 1 : count - 1;

        for (size_t i = 1; i < count; i++) {
            const size_t victim = (last + i * side) % count;

            if (!try_kill(ring, victim)) continue;
            last = victim;
            break;
        }
        chord_ring_run(ring, 420 + chord_ring_random(ring, 400));
        for (size_t i = 0; i < count; i++) {
            if (!ring->members[i].alive && chord_ring_random(ring, 2) == 0)
                chord_ring_join(ring, i, random_live(ring));
        }
        chord_ring_run(ring, chord_ring_random(ring, 700));
        assert_holds(ring);
    }
    chord_ring_free(ring);
}

static void invariant_survives_an_adversary(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ADVERSARY_SEEDS; seed++)
        adversary(seed);
}

/* Zave, Join: the whole list of the predecessor is there from the first moment. */
static void a_joiner_has_a_whole_list(void **state)
{
    const struct ring_options options = {.seed = 12, .successors = 4, .delay_max_ms = 30};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 6, order);
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    struct chord_peer predecessor;

    (void)state;
    chord_ring_join(ring, order[5], order[0]);
    while (chord_node_mode(ring->members[order[5]].node) != CHORD_MODE_RING)
        chord_ring_run(ring, 1);
    assert_int_equal(chord_node_successors(ring->members[order[5]].node, successors), 4);
    assert_true(chord_node_predecessor(ring->members[order[5]].node, &predecessor));
    chord_ring_free(ring);
}

/* Zave's operations are atomic: in the middle of one a node lets nobody see its state, but
 * still answers a ping. */
static void a_node_that_asks_is_busy(void **state)
{
    const struct ring_options options = {.seed = 14, .successors = 2, .delay_max_ms = 30};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 3, order);
    struct chord_message question = {.kind = CHORD_MESSAGE_GET_STATE, .rpc = 7};
    struct chord_event event = {.kind = CHORD_MESSAGE, .message = &question};
    struct ring_member *asker = &ring->members[0];

    (void)state;
    question.from = ring->members[1].peer;
    question.to = asker->peer.position;
    event.peer = &ring->members[1].peer;
    event.now_ms = ring->now_ms;
    chord_step(asker->node, &event, &ring->out);
    assert_int_equal(ring->out.actions[0].message->kind, CHORD_MESSAGE_STATE);
    /* At its deadline it asks its successor; nobody answers here. */
    for (bool asked = false; !asked;
         asked = ring->out.action_count > 0 &&
                 ring->out.actions[0].message->kind == CHORD_MESSAGE_GET_STATE) {
        const struct chord_event tick = {.kind = CHORD_TICK,
                                         .now_ms = ring->out.deadline_ms};

        chord_step(asker->node, &tick, &ring->out);
        event.now_ms = tick.now_ms;
    }
    assert_int_equal(ring->out.actions[0].message->kind, CHORD_MESSAGE_GET_STATE);
    chord_step(asker->node, &event, &ring->out);
    assert_int_equal(ring->out.actions[0].message->kind, CHORD_MESSAGE_BUSY);
    assert_int_equal(ring->out.actions[0].message->rpc, 7);
    question.kind = CHORD_MESSAGE_PING;
    chord_step(asker->node, &event, &ring->out);
    assert_int_equal(ring->out.actions[0].message->kind, CHORD_MESSAGE_PONG);
    chord_ring_free(ring);
}

/* From one node, without a roster: each ring on the way is whole and answers. */
static void grows_from_one_node(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct ring_options options = {
            .seed = seed, .successors = 2 + (uint32_t)(seed % 3), .delay_max_ms = 30};
        struct chord_ring *ring = chord_ring_new(&options, 12);
        size_t order[RING_NODES_MAX];

        shuffle(ring, order);
        chord_ring_start(ring, order[0]);
        chord_ring_run(ring, 100);
        assert_ideal(ring);
        assert_lookups(ring);
        for (size_t i = 1; i < ring->member_count; i++) {
            chord_ring_join(ring, order[i], order[chord_ring_random(ring, i)]);
            chord_ring_run(ring, QUIET_MS);
            assert_ideal(ring);
            assert_lookups(ring);
        }
        chord_ring_free(ring);
    }
}

/* A ring that lasts gets longer lists, and keeps them. */
static void lists_grow_and_do_not_shrink(void **state)
{
    const struct ring_options options = {.seed = 1, .successors = 2, .delay_max_ms = 30};
    struct chord_ring *ring = chord_ring_new(&options, 12);
    size_t order[RING_NODES_MAX];

    (void)state;
    shuffle(ring, order);
    chord_ring_start(ring, order[0]);
    for (size_t i = 1; i < ring->member_count; i++)
        chord_ring_join(ring, order[i], order[0]);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    ring->options.successors = 4;
    chord_ring_lengthen(ring, 4);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    chord_ring_lengthen(ring, 2);
    assert_ideal(ring);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    assert_lookups(ring);
    chord_ring_free(ring);
}

/* Three, two, one: those who stay find out, and the last is alone. */
static void shrinks_to_one_node(void **state)
{
    const struct ring_options options = {.seed = 5, .successors = 4, .delay_max_ms = 30};
    struct chord_ring *ring = chord_ring_new(&options, 3);

    (void)state;
    chord_ring_start(ring, 0);
    chord_ring_join(ring, 1, 0);
    chord_ring_join(ring, 2, 0);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    chord_ring_kill(ring, 1);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    assert_lookups(ring);
    chord_ring_kill(ring, 0);
    chord_ring_run(ring, QUIET_MS);
    assert_int_equal(chord_node_mode(ring->members[2].node), CHORD_MODE_ALONE);
    assert_ideal(ring);
    assert_lookups(ring);
    chord_ring_free(ring);
}

/* Up to half of a ring fails, one member after another, while lookups are under way: each
 * ends, once, nearly all of them with an answer; when the ring has settled, with the right
 * one. */
static void lookups_under_failures_end(void **state)
{
    size_t found = 0;
    size_t total = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct ring_options options = {
            .seed = seed, .successors = 8, .delay_max_ms = 30, .loss_percent = 5};
        size_t order[RING_NODES_MAX];
        struct chord_ring *ring = founded(&options, 40, order);

        for (size_t i = 9; i < 40; i++) {
            chord_ring_join(ring, order[i], order[0]);
            chord_ring_run(ring, 500);
        }
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        for (size_t i = 0; i < 60; i++) {
            struct hf_id key;
            const size_t victim = random_live(ring);

            random_key(ring, &key);
            (void)chord_ring_lookup(ring, random_live(ring), &key, 3);
            if (i % 3 == 0 && chord_ring_may_fail(ring, victim)) {
                chord_ring_kill(ring, victim);
                chord_ring_run(ring, SPACE_MS);
            }
            assert_holds(ring);
        }
        chord_ring_run(ring, 5000);
        assert_holds(ring);
        for (size_t i = 0; i < ring->lookup_count; i++) {
            const struct ring_lookup *lookup = &ring->lookups[i];

            assert_true(lookup->ended <= 1); /* 0: the asker died */
            found += lookup->found;
            total += lookup->ended;
        }
        ring->options.loss_percent = 0;
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        assert_lookups(ring);
        chord_ring_free(ring);
    }
    assert_true(total > 500);
    assert_true(found * 100 >= total * 95);
}

/* Seven of eight that know a key's successors die at once, and nobody has noticed: a
 * lookup asks on until it comes to the eighth, which knows fewer than are wanted. */
static void lookup_goes_round_many_dead(void **state)
{
    const struct ring_options options = {.seed = 17, .successors = 8, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 40, order);

    (void)state;
    for (size_t i = 9; i < 40; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    for (size_t i = 20; i < 27; i++)
        ring->members[i].alive = false;
    for (size_t asker = 0; asker < 20; asker++) {
        const size_t at =
            chord_ring_lookup(ring, asker, &ring->members[27].peer.position, 6);
        const struct ring_lookup *lookup;

        while (ring->lookups[at].ended == 0)
            chord_ring_run(ring, 100);
        lookup = &ring->lookups[at];
        assert_true(lookup->found);
        assert_true(chord_peer_equal(&lookup->peers[0], &ring->members[27].peer));
    }
    chord_ring_free(ring);
}

static int compare_from_key(const void *a, const void *b)
{
    return chord_compare_from(sorting_key, &((const struct chord_peer *)a)->position,
                              &((const struct chord_peer *)b)->position);
}

/* The sixteen nearest before a key of whom the asker knows die at once: it goes on with the
 * others that it knows. */
static void lookup_tries_all_that_it_knows(void **state)
{
    const struct ring_options options = {.seed = 41, .successors = 16, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 64, order);
    struct chord_peer known[CHORD_SUCCESSORS_MAX + CHORD_FINGERS_MAX];
    size_t count, killed = 0;

    (void)state;
    for (size_t i = 17; i < 64; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    chord_ring_run(ring, 2 * QUIET_MS);
    assert_ideal(ring);
    sorting_key = &ring->members[0].peer.position;
    count = chord_node_successors(ring->members[0].node, known);
    count += chord_node_fingers(ring->members[0].node, known + count);
    qsort(known, count, sizeof known[0], compare_from_key);
    for (size_t i = count; i-- > 0 && killed < 16;) {
        for (size_t k = 1; k < 60; k++) {
            if (!ring->members[k].alive ||
                !chord_peer_equal(&ring->members[k].peer, &known[i]))
                continue;
            ring->members[k].alive = false;
            killed++;
        }
    }
    assert_int_equal(killed, 16);
    for (uint32_t wanted = 1; wanted <= 6; wanted += 5) {
        const size_t at =
            chord_ring_lookup(ring, 0, &ring->members[60].peer.position, wanted);

        while (ring->lookups[at].ended == 0)
            chord_ring_run(ring, 100);
        assert_true(ring->lookups[at].found);
        assert_true(chord_peer_equal(&ring->lookups[at].peers[0], &ring->members[60].peer));
    }
    chord_ring_free(ring);
}

/* Where a new member stands is known after few periods: it asks members at random until it
 * has heard from enough.  Then it hardly does. */
static void a_joiner_is_placed_soon(void **state)
{
    const struct ring_options options = {.seed = 43, .successors = 8, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 50, order);
    const struct chord_node *joiner;
    size_t asked;

    (void)state;
    for (size_t i = 9; i < 49; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    chord_ring_run(ring, QUIET_MS);
    ring->tamper = count_pings;
    pings = 0;
    chord_ring_run(ring, QUIET_MS);
    asked = pings;
    assert_true(asked > 0 && asked <= 49 * QUIET_MS / 2000 / 4);
    chord_ring_join(ring, order[49], order[0]);
    chord_ring_run(ring, 4000);
    joiner = ring->members[order[49]].node;
    assert_int_equal(chord_node_mode(joiner), CHORD_MODE_RING);
    assert_true(joiner->vivaldi.samples >= 32);
    assert_ideal(ring);
    chord_ring_free(ring);
}

/* A new member is on every list that it belongs to within one period: each change is told
 * to the predecessor. */
static void news_goes_back_through_all_lists(void **state)
{
    const struct ring_options options = {.seed = 23, .successors = 16, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 40, order);
    size_t last;

    (void)state;
    for (size_t i = 17; i < 39; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    last = order[39];
    chord_ring_run(ring, QUIET_MS);
    assert_holds(ring);
    chord_ring_join(ring, last, order[0]);
    /* Its neighbours hear of it within a period; the other lists within the next. */
    chord_ring_run(ring, 6000);
    assert_ideal(ring);
    chord_ring_free(ring);
}

static size_t liar;

/* Names only peers that are no closer, or claims the key for itself and out of order. */
static void lie(struct chord_ring *ring, size_t from, struct chord_message *message)
{
    if (from != liar || message->kind != CHORD_MESSAGE_NEXT) return;
    message->peers[0] = ring->members[from].peer;
    message->peers[1] = ring->members[(from + ring->member_count - 1) % 64].peer;
    message->peers[2] = ring->members[(from + 1) % 64].peer;
    message->peer_count = 3;
    message->done = chord_ring_random(ring, 2) == 0;
}

static void lying_hop_is_rejected(void **state)
{
    const struct ring_options options = {.seed = 9, .successors = 4, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 64, order);
    uint64_t rejected = 0;

    (void)state;
    for (size_t i = 5; i < 64; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 300);
    }
    chord_ring_run(ring, 2 * QUIET_MS);
    assert_ideal(ring);
    for (liar = 0; liar < 64; liar += 7) {
        ring->tamper = lie;
        for (size_t asker = 0; asker < 64; asker++) {
            struct hf_id key;
            size_t at;

            random_key(ring, &key);
            /* The liar's own keys are its predecessor's to tell; skip what only it knows.
             */
            if (asker == liar || chord_ring_owner(ring, &key, 0) == (liar + 1) % 64)
                continue;
            at = chord_ring_lookup(ring, asker, &key, 1);
            chord_ring_run(ring, 2500);
            assert_int_equal(ring->lookups[at].ended, 1);
            assert_true(ring->lookups[at].found);
            assert_true(
                chord_peer_equal(&ring->lookups[at].peers[0],
                                 &ring->members[chord_ring_owner(ring, &key, 0)].peer));
        }
    }
    for (size_t i = 0; i < 64; i++) {
        rejected += chord_ring_statistics(ring, i).rejected;
        assert_int_equal(ring->named[i] > 0, i % 7 == 0); /* the liars, and nobody else */
    }
    assert_true(rejected > 0);
    chord_ring_free(ring);
}

/* The question that the last step sent, if any. */
static const struct chord_action *hop_sent(const struct chord_output *out)
{
    for (size_t i = 0; i < out->action_count; i++) {
        if (out->actions[i].kind == CHORD_SEND &&
            out->actions[i].message->kind == CHORD_MESSAGE_NEXT_HOP)
            return &out->actions[i];
    }
    return NULL;
}

/* Every hop names one a step behind itself: none of those is ever asked, and the lookup
 * ends when its alternates do. */
static void hop_that_is_not_closer_is_not_asked(void **state)
{
    const struct ring_options options = {.seed = 31, .successors = 4, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 40, order);
    struct chord_event event = {.kind = CHORD_LOOKUP, .tag = 5, .wanted = 1};
    const struct chord_action *hop;
    struct chord_message answer;
    struct chord_peer asked;
    size_t hops = 0;

    (void)state;
    for (size_t i = 5; i < 40; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    chord_ring_run(ring, 2 * QUIET_MS);
    assert_ideal(ring);
    event.key = ring->members[30].peer.position;
    event.now_ms = ring->now_ms;
    chord_step(ring->members[0].node, &event, &ring->out);
    for (hop = hop_sent(&ring->out); hop != NULL; hop = hop_sent(&ring->out)) {
        asked = hop->peer;
        assert_true(++hops <= 1 + CHORD_MISSES_MAX);
        memset(&answer, 0, sizeof answer);
        answer.kind = CHORD_MESSAGE_NEXT;
        answer.rpc = hop->message->rpc;
        answer.from = asked;
        answer.to = ring->members[0].peer.position;
        answer.peers[0] = asked;
        answer.peers[1] = asked;
        answer.peers[1].position.b[0]--; /* behind itself, and nobody's place */
        answer.peers[1].node = answer.peers[1].position;
        answer.peer_count = 2;
        event.kind = CHORD_MESSAGE;
        event.message = &answer;
        event.peer = &asked;
        chord_step(ring->members[0].node, &event, &ring->out);
        hop = hop_sent(&ring->out);
        if (hop != NULL) {
            assert_false(chord_peer_equal(&hop->peer, &answer.peers[0]));
            assert_false(chord_peer_equal(&hop->peer, &answer.peers[1]));
        }
    }
    assert_true(hops > 1);
    assert_int_equal(ring->out.actions[0].kind, CHORD_WRONG);
    assert_true(chord_peer_equal(&ring->out.actions[0].peer, &asked));
    assert_int_equal(ring->out.actions[1].kind, CHORD_FAILED);
    assert_int_equal(ring->out.actions[1].tag, 5);
    chord_ring_free(ring);
}

/* Hops that name one another: each is asked once, or a lookup would go round in circles. */
static void nobody_is_asked_twice(void **state)
{
    const struct ring_options options = {.seed = 31, .successors = 4, .delay_max_ms = 20};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 40, order);
    struct chord_event event = {.kind = CHORD_LOOKUP, .tag = 6, .wanted = 1};
    unsigned asked[40] = {0};
    const struct chord_action *hop;
    struct chord_message answer;
    struct chord_peer peer;

    (void)state;
    for (size_t i = 5; i < 40; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 500);
    }
    chord_ring_run(ring, 2 * QUIET_MS);
    assert_ideal(ring);
    event.key = ring->members[30].peer.position;
    event.now_ms = ring->now_ms;
    chord_step(ring->members[0].node, &event, &ring->out);
    for (hop = hop_sent(&ring->out); hop != NULL; hop = hop_sent(&ring->out)) {
        peer = hop->peer;
        for (size_t i = 0; i < 40; i++) {
            if (chord_peer_equal(&ring->members[i].peer, &peer))
                assert_int_equal(++asked[i], 1);
        }
        memset(&answer, 0, sizeof answer);
        answer.kind = CHORD_MESSAGE_NEXT;
        answer.rpc = hop->message->rpc;
        answer.from = peer;
        answer.to = ring->members[0].peer.position;
        for (size_t i = 26; i < 30; i++)
            answer.peers[answer.peer_count++] = ring->members[i].peer;
        event.kind = CHORD_MESSAGE;
        event.message = &answer;
        event.peer = &peer;
        chord_step(ring->members[0].node, &event, &ring->out);
    }
    for (size_t i = 26; i < 30; i++)
        assert_int_equal(asked[i], 1);
    chord_ring_free(ring);
}

/* A message in another's name, or for somebody else, changes nothing. */
static void messages_in_anothers_name_are_ignored(void **state)
{
    const struct ring_options options = {.seed = 3, .successors = 2, .delay_max_ms = 20};
    struct chord_ring *ring = chord_ring_new(&options, 3);
    struct chord_message message = {.kind = CHORD_MESSAGE_NOTIFY};
    struct chord_event event = {.kind = CHORD_MESSAGE, .now_ms = 10, .message = &message};
    struct chord_node *node;

    (void)state;
    chord_ring_start(ring, 0);
    node = ring->members[0].node;
    message.from = ring->members[1].peer;
    message.to = ring->members[0].peer.position;
    event.peer = &ring->members[2].peer; /* whom the link knows it as */
    chord_step(node, &event, &ring->out);
    event.peer = &ring->members[1].peer;
    message.to = ring->members[2].peer.position;
    chord_step(node, &event, &ring->out);
    message.to = ring->members[0].peer.position;
    message.from.position = ring->members[2].peer.position; /* a place not its own */
    chord_step(node, &event, &ring->out);
    message.from = ring->members[0].peer;
    event.peer = &ring->members[0].peer; /* an echo */
    chord_step(node, &event, &ring->out);
    assert_int_equal(chord_ring_statistics(ring, 0).ignored, 4);
    assert_int_equal(chord_node_mode(node), CHORD_MODE_ALONE);
    message.from = ring->members[1].peer;
    event.peer = &ring->members[1].peer;
    chord_step(node, &event, &ring->out);
    assert_int_equal(chord_ring_statistics(ring, 0).ignored, 4);
    assert_true(ring->out.action_count > 0);
    chord_ring_free(ring);
}

/* A node that was suspended does not resume: it says REFUSED and joins again. */
static void suspended_node_joins_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct ring_options options = {
            .seed = seed, .successors = 3, .delay_max_ms = 30};
        size_t order[RING_NODES_MAX];
        struct chord_ring *ring = founded(&options, 12, order);
        struct chord_event tick = {.kind = CHORD_TICK};
        struct ring_member *sleeper;

        for (size_t i = 4; i < 12; i++) {
            chord_ring_join(ring, order[i], order[0]);
            chord_ring_run(ring, 2000);
        }
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        sleeper = &ring->members[seed % 12];
        sleeper->frozen = true;
        chord_ring_run(ring, seed % 2 ? 600 : 30000);
        sleeper->frozen = false;
        tick.now_ms = ring->now_ms;
        chord_step(sleeper->node, &tick, &ring->out);
        assert_int_equal(chord_node_mode(sleeper->node), CHORD_MODE_JOINING);
        sleeper->deadline_ms = ring->now_ms;
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        assert_lookups(ring);
        chord_ring_free(ring);
    }
}

/* A whole ring that was suspended at once has no member left to join through. */
static void ring_that_slept_as_a_whole_wakes(void **state)
{
    const struct ring_options options = {.seed = 4, .successors = 3, .delay_max_ms = 30};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 4, order);

    (void)state;
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    ring->check_principals = false; /* there are no members for a while */
    ring->now_ms += 3600000;
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    assert_lookups(ring);
    chord_ring_free(ring);
}

/* A ring of eight in which node 3 hears that the link to its successor broke. */
static struct chord_ring *ring_of_eight(void)
{
    const struct ring_options options = {.seed = 8, .successors = 2, .delay_max_ms = 10};
    size_t order[RING_NODES_MAX];
    struct chord_ring *ring = founded(&options, 8, order);

    for (size_t i = 3; i < 8; i++) {
        chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, 5000);
    }
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    return ring;
}

static void link_failure_is_believed_when_a_witness_agrees(void **state)
{
    struct chord_ring *ring = ring_of_eight();
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];

    (void)state;
    chord_ring_kill(ring, 4);
    chord_ring_unreachable(ring, 3, 4);
    (void)chord_node_successors(ring->members[3].node, successors);
    assert_true(chord_peer_equal(&successors[0], &ring->members[4].peer));
    chord_ring_run(ring, 500);
    (void)chord_node_successors(ring->members[3].node, successors);
    assert_true(chord_peer_equal(&successors[0], &ring->members[5].peer));
    assert_int_equal(chord_ring_statistics(ring, 3).silences, 1);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    chord_ring_free(ring);
}

/* Until a witness has spoken nothing goes from 3 to 4. */
static void cut_3_from_4(struct chord_ring *ring, size_t from,
                         struct chord_message *message)
{
    if (from == 3 && chord_ring_statistics(ring, 3).pardons == 0 &&
        hf_id_equal(&message->to, &ring->members[4].peer.position))
        memset(&message->to, 0, sizeof message->to);
}

static void a_neighbour_that_others_reach_is_kept(void **state)
{
    struct chord_ring *ring = ring_of_eight();

    (void)state;
    ring->tamper = cut_3_from_4;
    chord_ring_unreachable(ring, 3, 4);
    for (size_t i = 0; i < 300; i++) {
        chord_ring_run(ring, 10);
        assert_ideal(ring);
    }
    assert_int_equal(chord_ring_statistics(ring, 3).pardons, 1);
    assert_int_equal(chord_ring_statistics(ring, 3).silences, 0);
    chord_ring_free(ring);
}

/* One that only its own neighbour doubts, for want of a link, needs no witness to come
 * back. */
static void a_neighbour_that_answers_is_kept(void **state)
{
    struct chord_ring *ring = ring_of_eight();

    (void)state;
    chord_ring_kill(ring, 5); /* the witness: node 3 knows no other */
    chord_ring_unreachable(ring, 3, 4);
    for (size_t i = 0; i < 100; i++) {
        struct chord_peer successors[CHORD_SUCCESSORS_MAX];

        chord_ring_run(ring, 10);
        (void)chord_node_successors(ring->members[3].node, successors);
        assert_true(chord_peer_equal(&successors[0], &ring->members[4].peer));
    }
    assert_int_equal(chord_ring_statistics(ring, 3).pardons, 0);
    chord_ring_run(ring, QUIET_MS);
    assert_ideal(ring);
    chord_ring_free(ring);
}

/* Killed and started again before anybody has noticed, and told of the ring only later:
 * meanwhile it is nobody's neighbour, and it does not pull others into a ring of its own.
 */
static void a_node_started_anew_is_no_member_yet(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct ring_options options = {
            .seed = seed, .successors = 2, .delay_max_ms = 20};
        size_t order[RING_NODES_MAX];
        struct chord_ring *ring = founded(&options, 8, order);
        const size_t victim = seed % 8;

        for (size_t i = 3; i < 8; i++) {
            chord_ring_join(ring, order[i], order[0]);
            chord_ring_run(ring, 5000);
        }
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        chord_ring_kill(ring, victim);
        chord_ring_run(ring, chord_ring_random(ring, 3000));
        chord_ring_start(ring, victim);
        ring->check_principals = false; /* it counts as a member of a ring of its own */
        for (size_t i = 0; i < 300; i++) {
            struct chord_peer successors[CHORD_SUCCESSORS_MAX];

            chord_ring_run(ring, 10);
            for (size_t k = 0; k < 8; k++) {
                if (k != victim &&
                    chord_node_successors(ring->members[k].node, successors) == 1)
                    assert_false(
                        chord_peer_equal(&successors[0], &ring->members[victim].peer));
            }
        }
        ring->check_principals = true;
        if (chord_node_mode(ring->members[victim].node) == CHORD_MODE_ALONE)
            chord_ring_contact(ring, victim, (victim + 4) % 8);
        chord_ring_run(ring, QUIET_MS);
        assert_ideal(ring);
        chord_ring_free(ring);
    }
}

static void same_seed_same_trace(void **state)
{
    struct hf_id trace[3];

    (void)state;
    for (size_t run = 0; run < 3; run++) {
        const struct ring_options options = {.seed = run < 2 ? 77 : 78,
                                             .successors = 3,
                                             .delay_max_ms = 50,
                                             .loss_percent = 10,
                                             .duplicate_percent = 10};
        size_t order[RING_NODES_MAX];
        struct chord_ring *ring = founded(&options, 20, order);

        for (size_t i = 4; i < 20; i++)
            chord_ring_join(ring, order[i], order[0]);
        chord_ring_run(ring, QUIET_MS);
        assert_holds(ring);
        chord_ring_trace(ring, &trace[run]);
        chord_ring_free(ring);
    }
    assert_true(hf_id_equal(&trace[0], &trace[1]));
    assert_false(hf_id_equal(&trace[0], &trace[2]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariant_survives_churn),
        cmocka_unit_test(invariant_survives_churn_of_64),
        cmocka_unit_test(invariant_survives_an_adversary),
        cmocka_unit_test(a_joiner_has_a_whole_list),
        cmocka_unit_test(a_node_that_asks_is_busy),
        cmocka_unit_test(grows_from_one_node),
        cmocka_unit_test(lists_grow_and_do_not_shrink),
        cmocka_unit_test(shrinks_to_one_node),
        cmocka_unit_test(lookups_under_failures_end),
        cmocka_unit_test(lookup_goes_round_many_dead),
        cmocka_unit_test(lookup_tries_all_that_it_knows),
        cmocka_unit_test(a_joiner_is_placed_soon),
        cmocka_unit_test(news_goes_back_through_all_lists),
        cmocka_unit_test(lying_hop_is_rejected),
        cmocka_unit_test(hop_that_is_not_closer_is_not_asked),
        cmocka_unit_test(nobody_is_asked_twice),
        cmocka_unit_test(messages_in_anothers_name_are_ignored),
        cmocka_unit_test(suspended_node_joins_again),
        cmocka_unit_test(ring_that_slept_as_a_whole_wakes),
        cmocka_unit_test(link_failure_is_believed_when_a_witness_agrees),
        cmocka_unit_test(a_neighbour_that_others_reach_is_kept),
        cmocka_unit_test(a_neighbour_that_answers_is_kept),
        cmocka_unit_test(a_node_started_anew_is_no_member_yet),
        cmocka_unit_test(same_seed_same_trace),
    };
    return cmocka_run_group_tests_name("chord/node", tests, NULL, NULL);
}
