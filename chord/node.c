#include "chord/node.h"

#include "base/hash.h"
#include "chord/circle.h"
#include "chord/finger.h"
#include "chord/join.h"
#include "chord/lookup.h"
#include "chord/probe.h"
#include "chord/ring.h"
#include "chord/state.h"
#include "chord/table.h"
#include "chord/timing.h"
#include "chord/witness.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct chord_node *chord_node_new(const struct chord_peer *self,
                                  const struct chord_config *config)
{
    struct chord_node *node;

    assert(config->successors >= 2 && config->successors <= CHORD_SUCCESSORS_MAX);
    assert(config->lookups >= 2 && config->lookups <= CHORD_LOOKUPS_MAX);
    assert(config->stabilise_ms >= 20 && config->rpc_timeout_ms >= 10 &&
           config->lookup_timeout_ms > 0);
    node = calloc(1, sizeof *node + config->lookups * sizeof *node->lookups);
    if (node == NULL) return NULL;
    node->lookups = (struct chord_lookup *)(node + 1);
    node->self = *self;
    node->config = *config;
    node->mode = CHORD_MODE_ALONE;
    node->generator = config->seed;
    node->join.retry_ms = UINT64_MAX;
    vivaldi_init(&node->vivaldi, chord_random(node));
    node->self.coordinate = vivaldi_coordinate(&node->vivaldi);
    return node;
}

void chord_node_free(struct chord_node *node)
{
    free(node);
}

/* ---- messages ---- */

static bool is_member(const struct chord_node *node)
{
    return node->mode == CHORD_MODE_RING || node->mode == CHORD_MODE_ALONE ||
           node->mode == CHORD_MODE_ORDER;
}

static void answer_state(struct chord_node *node, const struct chord_message *question)
{
    struct chord_message *answer;

    if (node->query.kind != QUERY_NONE) {
        chord_send(node, &question->from, CHORD_MESSAGE_BUSY, question->rpc);
        return;
    }
    answer = chord_send(node, &question->from, CHORD_MESSAGE_STATE, question->rpc);
    answer->has_predecessor = node->has_predecessor;
    answer->predecessor = node->predecessor;
    answer->peer_count = node->successor_count;
    memcpy(answer->peers, node->successors,
           node->successor_count * sizeof node->successors[0]);
}

static void answer_next_hop(struct chord_node *node, const struct chord_message *question)
{
    struct chord_message *answer =
        chord_send(node, &question->from, CHORD_MESSAGE_NEXT, question->rpc);

    answer->done = table_route(node, &question->key, question->wanted, question->confirm,
                               answer->peers, &answer->peer_count);
}

static void answer_question(struct chord_node *node, const struct chord_message *question)
{
    if (!is_member(node)) {
        chord_send(node, &question->from, CHORD_MESSAGE_REFUSED, question->rpc);
        return;
    }
    if (question->kind == CHORD_MESSAGE_GET_STATE)
        answer_state(node, question);
    else if (question->kind == CHORD_MESSAGE_PING)
        chord_send(node, &question->from, CHORD_MESSAGE_PONG, question->rpc);
    else
        answer_next_hop(node, question);
}

/* False: nobody waits for it. */
static bool take_answer(struct chord_node *node, const struct chord_message *message)
{
    const bool lives = message->kind == CHORD_MESSAGE_PONG;
    const bool refuses = message->kind == CHORD_MESSAGE_REFUSED;

    if (message->kind != CHORD_MESSAGE_NEXT && ring_answer(node, message)) return true;
    if ((lives || refuses) && witness_heard(node, message)) return true;
    if ((lives || refuses) && probe_heard(node, message)) return true;
    if ((lives || refuses) && lookup_pong(node, message)) return true;
    return (refuses || message->kind == CHORD_MESSAGE_NEXT) && lookup_answer(node, message);
}

static void on_message(struct chord_node *node, const struct chord_message *message,
                       const struct chord_peer *peer)
{
    const struct chord_peer *from = &message->from;

    if (!hf_id_equal(&from->node, &peer->node) || !chord_peer_valid(from) ||
        !hf_id_equal(&message->to, &node->self.position) ||
        hf_id_equal(&from->position, &node->self.position)) {
        node->statistics.ignored++;
        return;
    }
    if (message->kind != CHORD_MESSAGE_REFUSED && message->kind != CHORD_MESSAGE_LEAVING)
        table_trust(node, from);
    switch (message->kind) {
    case CHORD_MESSAGE_GET_STATE:
    case CHORD_MESSAGE_PING:
    case CHORD_MESSAGE_NEXT_HOP: answer_question(node, message); break;
    case CHORD_MESSAGE_NOTIFY: ring_notified(node, from); break;
    case CHORD_MESSAGE_CHANGED: ring_changed(node, from); break;
    case CHORD_MESSAGE_WITNESS: witness_asked(node, message); break;
    case CHORD_MESSAGE_STATE:
    case CHORD_MESSAGE_BUSY:
    case CHORD_MESSAGE_WITNESSED:
    case CHORD_MESSAGE_PONG:
    case CHORD_MESSAGE_REFUSED:
    case CHORD_MESSAGE_NEXT:
        if (!take_answer(node, message)) node->statistics.ignored++;
        break;
    case CHORD_MESSAGE_LEAVING:
        table_suspect(node, from, CHORD_ONE_POSITION);
        lookup_unreachable(node, from, CHORD_ONE_POSITION);
        witness_unreachable(node, from, CHORD_ONE_POSITION);
        ring_left(node, from);
        break;
    }
}

/* ---- the other events ---- */

static void on_join(struct chord_node *node, const struct chord_peer *contact)
{
    if (chord_peer_equal(contact, &node->self)) return;
    if (node->mode == CHORD_MODE_JOINING) {
        join_add_contact(node, contact);
    } else if (node->mode == CHORD_MODE_ALONE) {
        node->join.contact_count = 0;
        join_add_contact(node, contact);
        join_start(node, false);
    }
}

static void on_leave(struct chord_node *node)
{
    if (node->mode == CHORD_MODE_LEFT) return;
    if (node->mode == CHORD_MODE_RING) {
        for (size_t i = 0; i < node->successor_count; i++)
            chord_send(node, &node->successors[i], CHORD_MESSAGE_LEAVING, 0);
        if (node->has_predecessor)
            chord_send(node, &node->predecessor, CHORD_MESSAGE_LEAVING, 0);
    }
    lookup_fail_all(node);
    node->query.kind = QUERY_NONE;
    node->has_notifier = false;
    node->has_predecessor = false;
    node->successor_count = 0;
    node->mode = CHORD_MODE_LEFT;
}

static void enter_ring_from_order(struct chord_node *node)
{
    node->mode = node->successor_count > 0 ? CHORD_MODE_RING : CHORD_MODE_ALONE;
    node->stabilise_ms = chord_soon(node);
    node->finger_ms = chord_soon(node);
}

/* What roster and r, one of which has changed, make of this node. */
static void settle(struct chord_node *node)
{
    if (node->roster_count == 0) {
        if (node->mode == CHORD_MODE_ORDER) enter_ring_from_order(node);
    } else if (!table_has_roster(node)) {
        node->query.kind = QUERY_NONE;
        node->has_notifier = false;
        node->mode = CHORD_MODE_ORDER;
        table_take_order(node);
    } else if (node->mode == CHORD_MODE_ORDER) {
        table_take_order(node);
        enter_ring_from_order(node);
    } else if (node->mode == CHORD_MODE_ALONE) {
        join_collect_contacts(node);
        join_start(node, false);
    }
}

static void on_roster(struct chord_node *node, const struct chord_event *event)
{
    if (!table_set_roster(node, event->peers, event->peer_count))
        node->statistics.ignored++;
    if (node->mode != CHORD_MODE_LEFT) settle(node);
}

/* Lists grow as they are next copied; what is beyond a smaller r is dropped at once. */
static void on_length(struct chord_node *node, uint32_t successors)
{
    if (successors <= node->config.successors || successors > CHORD_SUCCESSORS_MAX ||
        node->mode == CHORD_MODE_LEFT)
        return;
    node->config.successors = successors;
    if (node->mode == CHORD_MODE_RING) node->stabilise_ms = chord_soon(node);
    settle(node);
}

static void on_unreachable(struct chord_node *node, const struct chord_peer *peer)
{
    if (node->mode == CHORD_MODE_LEFT) return;
    table_suspect(node, peer, CHORD_WHOLE_NODE);
    lookup_unreachable(node, peer, CHORD_WHOLE_NODE);
    witness_unreachable(node, peer, CHORD_WHOLE_NODE);
    ring_unreachable(node, peer);
}

/* ---- stepping ---- */

/* Longer than this without a step, and the neighbours have given this node up. */
static uint64_t failure_ms(const struct chord_node *node)
{
    return CHORD_FAILURE_MS(node->config.rpc_timeout_ms);
}

static void check_suspended(struct chord_node *node, uint64_t now_ms)
{
    const bool suspended = now_ms > node->now_ms + failure_ms(node);

    if (suspended || node->now_ms == 0) node->awake_ms = now_ms;
    node->now_ms = now_ms;
    if (!suspended || node->mode != CHORD_MODE_RING) return;
    join_collect_contacts(node);
    join_start(node, true);
}

static void tick(struct chord_node *node)
{
    if (node->mode == CHORD_MODE_LEFT) return;
    lookup_tick(node);
    ring_tick(node);
    witness_tick(node);
    join_tick(node);
    if (node->mode == CHORD_MODE_RING && node->finger_ms <= node->now_ms) {
        node->finger_ms = chord_after(node, node->config.stabilise_ms / 2);
        finger_fix(node);
    }
    probe_tick(node);
}

static uint64_t hash_list(const struct chord_node *node)
{
    struct hf_sha256 h;
    struct hf_id digest;
    uint64_t hash;

    hf_sha256_init(&h);
    for (size_t i = 0; i < node->successor_count; i++)
        hf_sha256_add(&h, &node->successors[i].position, HF_ID_SIZE);
    hf_sha256_final(&h, &digest);
    memcpy(&hash, digest.b, sizeof hash);
    return hash;
}

/* To the caller; and what concerns the predecessor's list, to the predecessor. */
static void report_neighbours(struct chord_node *node)
{
    const uint64_t list = hash_list(node);
    uint64_t hash = 0;

    if (node->has_predecessor) memcpy(&hash, node->predecessor.position.b, sizeof hash);
    hash ^= list;
    if (hash == node->neighbours_hash) return;
    node->neighbours_hash = hash;
    chord_act(node, CHORD_NEIGHBOURS);
    if (list == node->list_hash) return;
    node->list_hash = list;
    if (node->mode == CHORD_MODE_RING && node->has_predecessor)
        chord_send(node, &node->predecessor, CHORD_MESSAGE_CHANGED, 0);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_deadline(const struct chord_node *node)
{
    uint64_t deadline = UINT64_MAX;

    if (node->mode == CHORD_MODE_LEFT) return deadline;
    deadline = earlier(deadline, lookup_deadline(node));
    deadline = earlier(deadline, ring_deadline(node));
    deadline = earlier(deadline, witness_deadline(node));
    deadline = earlier(deadline, join_deadline(node));
    if (node->mode == CHORD_MODE_RING) {
        deadline = earlier(deadline, node->finger_ms);
        deadline = earlier(deadline, probe_deadline(node));
        /* Often enough that a gap can only be a suspension. */
        deadline = earlier(deadline, node->now_ms + failure_ms(node) / 2);
    }
    return deadline;
}

void chord_step(struct chord_node *node, const struct chord_event *event,
                struct chord_output *out)
{
    out->action_count = 0;
    node->out = out;
    check_suspended(node, event->now_ms);
    switch (event->kind) {
    case CHORD_MESSAGE:
        if (node->mode != CHORD_MODE_LEFT) on_message(node, event->message, event->peer);
        break;
    case CHORD_TICK: break;
    case CHORD_LOOKUP:
        lookup_start_user(node, event->tag, &event->key, event->wanted);
        break;
    case CHORD_JOIN: on_join(node, event->peer); break;
    case CHORD_LEAVE: on_leave(node); break;
    case CHORD_ROSTER: on_roster(node, event); break;
    case CHORD_LENGTH: on_length(node, event->wanted); break;
    case CHORD_UNREACHABLE: on_unreachable(node, event->peer); break;
    }
    tick(node);
    report_neighbours(node);
    out->deadline_ms = next_deadline(node);
    node->out = NULL;
}

/* ---- looking at it ---- */

bool chord_node_check(const struct chord_node *node)
{
    const struct hf_id *previous = &node->self.position;

    if (node->successor_count > node->config.successors) return false;
    if (node->mode == CHORD_MODE_RING && node->successor_count == 0) return false;
    if (node->mode != CHORD_MODE_RING && node->mode != CHORD_MODE_ORDER &&
        node->successor_count != 0)
        return false;
    if (node->has_predecessor &&
        hf_id_equal(&node->predecessor.position, &node->self.position))
        return false;
    for (size_t i = 0; i < node->successor_count; i++) {
        const struct hf_id *position = &node->successors[i].position;

        if (!chord_between(previous, position, &node->self.position)) return false;
        previous = position;
    }
    return true;
}

enum chord_mode chord_node_mode(const struct chord_node *node)
{
    return node->mode;
}

bool chord_node_predecessor(const struct chord_node *node, struct chord_peer *predecessor)
{
    if (node->has_predecessor) *predecessor = node->predecessor;
    return node->has_predecessor;
}

size_t chord_node_successors(const struct chord_node *node,
                             struct chord_peer successors[static CHORD_SUCCESSORS_MAX])
{
    memcpy(successors, node->successors,
           node->successor_count * sizeof node->successors[0]);
    return node->successor_count;
}

size_t chord_node_fingers(const struct chord_node *node,
                          struct chord_peer fingers[static CHORD_FINGERS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < CHORD_FINGERS_MAX; i++) {
        if (node->finger_known[i] &&
            (count == 0 || !chord_peer_equal(&fingers[count - 1], &node->fingers[i])))
            fingers[count++] = node->fingers[i];
    }
    return count;
}

struct chord_coordinate chord_node_coordinate(const struct chord_node *node)
{
    return node->self.coordinate;
}

uint64_t chord_node_expected_us(const struct chord_node *node,
                                const struct chord_peer *peer)
{
    return timing_expected_us(node, peer);
}

void chord_node_statistics(const struct chord_node *node,
                           struct chord_statistics *statistics)
{
    *statistics = node->statistics;
}
