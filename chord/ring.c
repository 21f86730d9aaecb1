#include "chord/ring.h"

#include "chord/circle.h"
#include "chord/join.h"
#include "chord/table.h"
#include "chord/timing.h"
#include "chord/witness.h"

#include <assert.h>
#include <string.h>

static enum chord_message_kind query_message(enum chord_query_kind kind)
{
    return kind == QUERY_RECTIFY || kind == QUERY_JOIN_PING ? CHORD_MESSAGE_PING
                                                            : CHORD_MESSAGE_GET_STATE;
}

static void query_send(struct chord_node *node)
{
    struct chord_query *query = &node->query;

    query->attempts++;
    query->sent_ms = node->now_ms;
    query->deadline_ms =
        node->now_ms + timing_timeout_ms(node, &query->to, query->attempts);
    if (query->witnessed && query->deadline_ms > query->witness_ms)
        query->deadline_ms = query->witness_ms;
    chord_send(node, &query->to, query_message(query->kind), query->rpc);
}

void ring_ask(struct chord_node *node, enum chord_query_kind kind,
              const struct chord_peer *to)
{
    assert(node->query.kind == QUERY_NONE);
    node->query = (struct chord_query){.kind = kind, .to = *to, .rpc = chord_random(node)};
    query_send(node);
}

size_t ring_copy_list(const struct chord_node *node, const struct chord_peer *head,
                      const struct chord_peer *peers, size_t peer_count,
                      struct chord_peer list[static CHORD_SUCCESSORS_MAX])
{
    size_t count = 1;

    list[0] = *head;
    for (size_t i = 0; i < peer_count && count < node->config.successors; i++) {
        if (!chord_peer_valid(&peers[i]) ||
            !chord_between(&list[count - 1].position, &peers[i].position,
                           &node->self.position))
            break;
        list[count++] = peers[i];
    }
    return count;
}

static void adopt(struct chord_node *node, const struct chord_peer *head,
                  const struct chord_message *state)
{
    node->successor_count =
        ring_copy_list(node, head, state->peers, state->peer_count, node->successors);
    node->mode = CHORD_MODE_RING;
}

static void notify(struct chord_node *node, const struct chord_peer *peer)
{
    chord_send(node, peer, CHORD_MESSAGE_NOTIFY, 0);
}

/* No successor is left: find the ring again, or be alone when nobody is known. */
static void lost(struct chord_node *node)
{
    join_collect_contacts(node);
    join_start(node, true);
}

static void drop_head(struct chord_node *node)
{
    node->successor_count--;
    memmove(&node->successors[0], &node->successors[1],
            node->successor_count * sizeof node->successors[0]);
    if (node->successor_count == 0) {
        lost(node);
        return;
    }
    notify(node, &node->successors[0]);
    node->stabilise_ms = chord_soon(node);
}

/* ---- the answers ---- */

/* Zave's stabilise: the whole list is copied from the successor; then its predecessor, when
 * that stands between, may be the better successor.  So may a member of the roster. */
static void stabilised(struct chord_node *node, const struct chord_message *state)
{
    const struct hf_id *self = &node->self.position;
    const struct chord_peer before = node->successors[node->successor_count - 1];
    const size_t count_before = node->successor_count;
    const struct chord_peer s = state->from;
    const struct chord_peer *better;

    adopt(node, &s, state);
    node->stabilise_ms =
        node->successor_count == count_before &&
                chord_peer_equal(&before, &node->successors[node->successor_count - 1])
            ? chord_after(node, node->config.stabilise_ms)
            : chord_soon(node);
    if (state->has_predecessor && chord_peer_valid(&state->predecessor) &&
        chord_between(self, &state->predecessor.position, &s.position)) {
        node->saved = state->predecessor;
        node->saved_from_roster = false;
        ring_ask(node, QUERY_PREDECESSOR, &node->saved);
        return;
    }
    better = table_has_roster(node) ? table_between(node, &s.position) : NULL;
    if (better != NULL) {
        node->saved = *better;
        node->saved_from_roster = true;
        ring_ask(node, QUERY_PREDECESSOR, &node->saved);
        return;
    }
    if (!state->has_predecessor || !chord_peer_equal(&state->predecessor, &node->self))
        notify(node, &s);
}

/* Whoever names no successor is alone: it has just been started and knows no ring yet. */
static bool says_it_is_alone(const struct chord_node *node,
                             const struct chord_message *state)
{
    return state->peer_count == 0 && node->successor_count > 1;
}

/* This node is alone, and who notified it is not: it is of a ring that knew this node
 * before it was started. */
static bool belongs_to_a_ring(const struct chord_node *node,
                              const struct chord_message *state)
{
    return state->peer_count > 1 ||
           (state->peer_count == 1 && !chord_peer_equal(&state->peers[0], &node->self));
}

static void stabilised_from_predecessor(struct chord_node *node,
                                        const struct chord_message *state)
{
    /* On the roster but in a ring of its own that is not this one's size: that ring's
     * members will come to us. */
    const bool lesser =
        node->saved_from_roster && state->peer_count < node->successor_count;

    if (node->mode == CHORD_MODE_ALONE && belongs_to_a_ring(node, state)) {
        node->join.contact_count = 0;
        join_add_contact(node, &state->from);
        join_start(node, false);
        return;
    }
    if (!lesser) adopt(node, &node->saved, state);
    notify(node, &node->successors[0]);
    node->stabilise_ms =
        lesser ? chord_after(node, node->config.stabilise_ms) : chord_soon(node);
}

/* The peer asked is no member of the ring, or its whole node is dead. */
static void gone(struct chord_node *node, enum chord_scope scope)
{
    const struct chord_query query = node->query;

    node->query.kind = QUERY_NONE;
    table_suspect(node, &query.to, scope);
    switch (query.kind) {
    case QUERY_NONE: break;
    case QUERY_STABILISE:
        if (node->successor_count > 0 && chord_peer_equal(&node->successors[0], &query.to))
            drop_head(node);
        break;
    case QUERY_PREDECESSOR:
        if (node->mode == CHORD_MODE_ALONE)
            node->has_predecessor = false;
        else
            notify(node, &node->successors[0]);
        break;
    case QUERY_RECTIFY: node->predecessor = node->rectifier; break;
    case QUERY_JOIN_STATE:
    case QUERY_JOIN_PING: join_query_failed(node, false); break;
    }
}

/* A successor other than the peer asked, at random; NULL: there is none. */
static const struct chord_peer *choose_witness(struct chord_node *node)
{
    const size_t n = node->successor_count;
    const size_t start = n > 0 ? chord_random(node) % n : 0;

    for (size_t i = 0; i < n; i++) {
        const struct chord_peer *peer = &node->successors[(start + i) % n];

        if (!hf_id_equal(&peer->node, &node->query.to.node) &&
            !hf_id_equal(&peer->node, &node->self.node) && !table_is_suspect(node, peer))
            return peer;
    }
    return NULL;
}

/* Nothing was heard from the peer asked.  A neighbour is not believed dead before somebody
 * else has looked for it.  Meanwhile it is asked on: it may have been started again. */
static void silent(struct chord_node *node)
{
    struct chord_query *query = &node->query;
    const bool neighbour = query->kind == QUERY_STABILISE || query->kind == QUERY_RECTIFY;
    const struct chord_peer *witness = NULL;

    timing_silent(node, &query->to);
    if (neighbour && !query->witnessed) witness = choose_witness(node);
    if (witness == NULL) {
        if (neighbour) node->statistics.silences++;
        gone(node, CHORD_WHOLE_NODE);
        return;
    }
    query->witnessed = true;
    query->witness = *witness;
    query->witness_ms = node->now_ms + CHORD_WITNESS_WAIT * node->config.rpc_timeout_ms;
    chord_send(node, witness, CHORD_MESSAGE_WITNESS, query->rpc)->subject = query->to;
    query_send(node);
}

/* What the witness says.  One that is reached by others is asked again. */
static void witnessed(struct chord_node *node, bool alive)
{
    struct chord_query *query = &node->query;

    if (!alive || query->pardons == CHORD_PARDONS_MAX) {
        silent(node);
        return;
    }
    query->pardons++;
    node->statistics.pardons++;
    query->witnessed = false;
    query->attempts = 0;
    query_send(node);
}

static void busy(struct chord_node *node)
{
    const enum chord_query_kind kind = node->query.kind;

    /* Not to wait while holding others up is what keeps a circle of askers from waiting
     * for one another: give way, change nothing, try again at another moment. */
    node->query.kind = QUERY_NONE;
    node->stabilise_ms = chord_soon(node);
    if (kind == QUERY_JOIN_STATE) join_query_failed(node, true);
    if (node->mode == CHORD_MODE_ALONE) node->has_predecessor = false;
}

static void state_arrived(struct chord_node *node, const struct chord_message *state)
{
    const enum chord_query_kind kind = node->query.kind;

    if (kind != QUERY_JOIN_STATE && says_it_is_alone(node, state)) {
        gone(node, CHORD_ONE_POSITION);
        return;
    }
    node->query.kind = QUERY_NONE;
    if (kind == QUERY_STABILISE)
        stabilised(node, state);
    else if (kind == QUERY_PREDECESSOR)
        stabilised_from_predecessor(node, state);
    else
        join_state_arrived(node, state);
}

bool ring_answer(struct chord_node *node, const struct chord_message *message)
{
    const enum chord_query_kind kind = node->query.kind;
    enum chord_message_kind expected;

    if (kind == QUERY_NONE || node->query.rpc != message->rpc) return false;
    if (message->kind == CHORD_MESSAGE_WITNESSED) {
        if (!node->query.witnessed ||
            !chord_peer_equal(&node->query.witness, &message->from))
            return false;
        witnessed(node, message->alive);
        return true;
    }
    if (!chord_peer_equal(&node->query.to, &message->from)) return false;
    if (node->query.attempts == 1 && !node->query.witnessed)
        timing_answered(node, &message->from, node->query.sent_ms);
    expected = query_message(kind) == CHORD_MESSAGE_PING ? CHORD_MESSAGE_PONG
                                                         : CHORD_MESSAGE_STATE;
    if (message->kind == CHORD_MESSAGE_REFUSED) {
        gone(node, CHORD_ONE_POSITION);
    } else if (message->kind == CHORD_MESSAGE_BUSY && expected == CHORD_MESSAGE_STATE) {
        busy(node);
    } else if (message->kind != expected) {
        return false;
    } else if (expected == CHORD_MESSAGE_STATE) {
        state_arrived(node, message);
    } else {
        node->query.kind = QUERY_NONE; /* QUERY_RECTIFY: the predecessor lives and stays */
        if (kind == QUERY_JOIN_PING) join_finish(node);
    }
    return true;
}

/* ---- rectify ---- */

void ring_notified(struct chord_node *node, const struct chord_peer *peer)
{
    if (node->mode != CHORD_MODE_RING && node->mode != CHORD_MODE_ALONE) return;
    if (node->has_notifier &&
        !chord_between(&node->notifier.position, &peer->position, &node->self.position))
        return;
    node->has_notifier = true;
    node->notifier = *peer;
}

void ring_changed(struct chord_node *node, const struct chord_peer *peer)
{
    const uint64_t soon_ms = chord_soon(node);

    if (node->mode == CHORD_MODE_RING && chord_peer_equal(&node->successors[0], peer) &&
        soon_ms < node->stabilise_ms)
        node->stabilise_ms = soon_ms;
}

static void rectify(struct chord_node *node)
{
    const struct chord_peer q = node->notifier;

    node->has_notifier = false;
    if (!node->has_predecessor ||
        chord_between(&node->predecessor.position, &q.position, &node->self.position)) {
        node->has_predecessor = true;
        node->predecessor = q;
    } else if (!chord_peer_equal(&node->predecessor, &q)) {
        node->rectifier = q;
        ring_ask(node, QUERY_RECTIFY, &node->predecessor);
        return;
    }
    if (node->mode == CHORD_MODE_ALONE) {
        /* Its own successor is itself, and q stands between it and itself. */
        node->saved = q;
        node->saved_from_roster = false;
        ring_ask(node, QUERY_PREDECESSOR, &node->saved);
    }
}

/* ---- failures and time ---- */

void ring_unreachable(struct chord_node *node, const struct chord_peer *peer)
{
    struct chord_query *query = &node->query;

    if (query->kind == QUERY_NONE && node->mode == CHORD_MODE_RING &&
        hf_id_equal(&node->successors[0].node, &peer->node))
        *query = (struct chord_query){
            .kind = QUERY_STABILISE, .to = node->successors[0], .rpc = chord_random(node)};
    if (query->kind == QUERY_NONE) return;
    if (hf_id_equal(&query->to.node, &peer->node)) {
        if (!query->witnessed) silent(node);
    } else if (query->witnessed && hf_id_equal(&query->witness.node, &peer->node)) {
        silent(node);
    } else if (node->mode == CHORD_MODE_RING &&
               hf_id_equal(&node->successors[0].node, &peer->node)) {
        node->stabilise_ms = node->now_ms;
    }
}

void ring_left(struct chord_node *node, const struct chord_peer *peer)
{
    struct chord_query *query = &node->query;

    if (query->kind != QUERY_NONE && chord_peer_equal(&query->to, peer))
        gone(node, CHORD_ONE_POSITION);
    else if (query->kind != QUERY_NONE && query->witnessed &&
             chord_peer_equal(&query->witness, peer))
        silent(node);
    else if (query->kind == QUERY_NONE && node->mode == CHORD_MODE_RING &&
             chord_peer_equal(&node->successors[0], peer))
        drop_head(node);
    if (node->mode != CHORD_MODE_RING) return;
    /* It is no member any more, so no list may be said to skip it. */
    for (size_t i = 1; i < node->successor_count; i++) {
        if (!chord_peer_equal(&node->successors[i], peer)) continue;
        node->successor_count--;
        memmove(&node->successors[i], &node->successors[i + 1],
                (node->successor_count - i) * sizeof node->successors[0]);
        break;
    }
}

void ring_tick(struct chord_node *node)
{
    if (node->query.kind != QUERY_NONE && node->query.deadline_ms <= node->now_ms) {
        if (node->query.witnessed ? node->query.witness_ms > node->now_ms
                                  : node->query.attempts < CHORD_ATTEMPTS)
            query_send(node);
        else
            silent(node);
    }
    if (node->query.kind == QUERY_NONE && node->has_notifier) rectify(node);
    if (node->query.kind == QUERY_NONE && node->mode == CHORD_MODE_RING &&
        node->stabilise_ms <= node->now_ms) {
        node->stabilise_ms = chord_after(node, node->config.stabilise_ms);
        ring_ask(node, QUERY_STABILISE, &node->successors[0]);
    }
}

uint64_t ring_deadline(const struct chord_node *node)
{
    if (node->query.kind != QUERY_NONE) return node->query.deadline_ms;
    return node->mode == CHORD_MODE_RING ? node->stabilise_ms : UINT64_MAX;
}
