#include "chord/join.h"

#include "chord/circle.h"
#include "chord/lookup.h"
#include "chord/probe.h"
#include "chord/ring.h"
#include "chord/table.h"

#include <string.h>

#define CHORD_SAMPLES 64u /* draws from the roster to find CHORD_CONTACTS_MAX contacts */

/* ---- contacts ---- */

void join_add_contact(struct chord_node *node, const struct chord_peer *peer)
{
    struct chord_join *join = &node->join;

    for (size_t i = 0; i < join->contact_count; i++) {
        if (chord_peer_equal(&join->contacts[i], peer)) return;
    }
    if (join->contact_count == CHORD_CONTACTS_MAX) {
        join->contact_count--;
        memmove(&join->contacts[0], &join->contacts[1],
                join->contact_count * sizeof join->contacts[0]);
        memmove(&join->refused[0], &join->refused[1],
                join->contact_count * sizeof join->refused[0]);
        if (join->index > 0) join->index--;
    }
    join->refused[join->contact_count] = false;
    join->contacts[join->contact_count++] = *peer;
}

static void collect(struct chord_node *node, const struct chord_peer *peer)
{
    struct chord_join *join = &node->join;

    if (join->contact_count == CHORD_CONTACTS_MAX || table_is_suspect(node, peer) ||
        chord_peer_equal(peer, &node->self))
        return;
    join_add_contact(node, peer);
}

void join_collect_contacts(struct chord_node *node)
{
    node->join.contact_count = 0;
    for (size_t i = 0; i < node->successor_count; i++)
        collect(node, &node->successors[i]);
    if (node->has_predecessor) collect(node, &node->predecessor);
    for (size_t i = CHORD_FINGERS_MAX; i-- > 0 && node->join.contact_count < 12;) {
        if (node->finger_known[i]) collect(node, &node->fingers[i]);
    }
    for (size_t i = 0; i < CHORD_SAMPLES && node->roster_count > 0; i++)
        collect(node, &node->roster[chord_random(node) % node->roster_count]);
}

/* ---- founding anew ---- */

static void become(struct chord_node *node, enum chord_mode mode)
{
    node->mode = mode;
    node->join.retry_ms = UINT64_MAX;
    node->stabilise_ms = chord_soon(node);
    node->finger_ms = chord_soon(node);
}

/* The contacts that live, in the order of the circle. */
static void take_refused_for_neighbours(struct chord_node *node)
{
    struct chord_join *join = &node->join;
    struct chord_peer alive[CHORD_CONTACTS_MAX];
    size_t count = 0;

    /* Ordered by their way to this node: the last is its successor. */
    for (size_t i = 0; i < join->contact_count; i++) {
        if (join->refused[i])
            table_add_closer(node, &node->self.position, alive, &count, CHORD_CONTACTS_MAX,
                             &join->contacts[i]);
    }
    if (count == 0) {
        become(node, CHORD_MODE_ALONE);
        return;
    }
    node->has_predecessor = true;
    node->predecessor = alive[0];
    for (size_t i = 0; i < count && i < node->config.successors; i++)
        node->successors[node->successor_count++] = alive[count - 1 - i];
    become(node, CHORD_MODE_RING);
}

/* Some of the contacts live, but most do not: nor do most of the roster. */
static bool few_live(const struct chord_node *node)
{
    const struct chord_join *join = &node->join;
    size_t alive = 0;

    for (size_t i = 0; i < join->contact_count; i++)
        alive += join->refused[i];
    return alive > 0 && 2 * alive < join->contact_count;
}

static void found_anew(struct chord_node *node)
{
    const bool roster = table_has_roster(node);

    if (roster && !few_live(node)) {
        table_take_order(node);
        become(node, CHORD_MODE_RING);
    } else if (roster || node->join.was_member) {
        take_refused_for_neighbours(node);
    }
}

/* ---- joining ---- */

void join_start(struct chord_node *node, bool was_member)
{
    struct chord_join *join = &node->join;

    node->mode = CHORD_MODE_JOINING;
    lookup_fail_all(node);
    node->query.kind = QUERY_NONE;
    node->has_notifier = false;
    node->has_predecessor = false;
    node->successor_count = 0;
    memset(node->finger_known, 0, sizeof node->finger_known);
    memset(join->refused, 0, sizeof join->refused);
    join->index = 0;
    join->rounds = 0;
    join->was_member = was_member;
    join->retry_ms = node->now_ms;
    if (join->contact_count == 0) found_anew(node);
}

uint64_t join_deadline(const struct chord_node *node)
{
    const uint64_t known_ms =
        node->awake_ms + CHORD_JOIN_WAIT * node->config.rpc_timeout_ms;
    const uint64_t retry_ms = node->join.retry_ms;

    if (node->mode != CHORD_MODE_JOINING) return UINT64_MAX;
    return retry_ms < known_ms ? known_ms : retry_ms;
}

void join_tick(struct chord_node *node)
{
    struct chord_join *join = &node->join;

    if (node->mode != CHORD_MODE_JOINING || join_deadline(node) > node->now_ms) return;
    join->retry_ms = UINT64_MAX;
    lookup_start_join(node, &join->contacts[join->index]);
}

void join_contact_failed(struct chord_node *node, bool again)
{
    struct chord_join *join = &node->join;

    join->retry_ms = chord_soon(node);
    if (again) return;
    join->index++;
    if (join->index < join->contact_count) {
        /* On to the next one: a pause is only to be out of step with others like this. */
        join->retry_ms = chord_after(node, node->config.stabilise_ms / 60);
        return;
    }
    join->index = 0;
    join->rounds++;
    if (join->rounds >= CHORD_JOIN_ROUNDS) found_anew(node);
    /* Who lives is judged by one round: links may have come back meanwhile. */
    if (node->mode == CHORD_MODE_JOINING) memset(join->refused, 0, sizeof join->refused);
}

void join_refused(struct chord_node *node, const struct chord_peer *peer)
{
    for (size_t i = 0; i < node->join.contact_count; i++) {
        if (chord_peer_equal(&node->join.contacts[i], peer)) node->join.refused[i] = true;
    }
}

void join_found(struct chord_node *node, const struct chord_peer *m)
{
    node->join.rounds = 0; /* there is a ring: it is not to be founded anew */
    node->join.predecessor = *m;
    ring_ask(node, QUERY_JOIN_STATE, m);
}

void join_query_failed(struct chord_node *node, bool again)
{
    join_contact_failed(node, again);
}

void join_state_arrived(struct chord_node *node, const struct chord_message *state)
{
    struct chord_join *join = &node->join;
    const struct chord_peer *m = &join->predecessor;
    const struct chord_peer *list = state->peers;
    size_t count = state->peer_count;

    /* m still lists this node from before it failed: that entry is dead. */
    if (count > 0 && hf_id_equal(&list[0].position, &node->self.position)) {
        list++;
        count--;
    }
    if (count == 0) { /* m is alone */
        join->successors[0] = *m;
        join->successor_count = 1;
        join_finish(node);
        return;
    }
    if (!chord_peer_valid(&list[0]) ||
        !chord_between(&m->position, &node->self.position, &list[0].position)) {
        join_contact_failed(node, false); /* others joined meanwhile: look it up again */
        return;
    }
    join->successor_count =
        ring_copy_list(node, &list[0], &list[1], count - 1, join->successors);
    ring_ask(node, QUERY_JOIN_PING, &join->successors[0]);
}

void join_finish(struct chord_node *node)
{
    const struct chord_join *join = &node->join;

    memcpy(node->successors, join->successors,
           join->successor_count * sizeof join->successors[0]);
    node->successor_count = join->successor_count;
    node->has_predecessor = true;
    node->predecessor = join->predecessor;
    probe_named(node, node->successors, node->successor_count);
    become(node, CHORD_MODE_RING);
}
