#include "chord/lookup.h"

#include "chord/circle.h"
#include "chord/join.h"
#include "chord/table.h"

#include <string.h>

static struct chord_lookup *lookup_new(struct chord_node *node, enum chord_purpose purpose,
                                       const struct hf_id *key, uint32_t wanted)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose != PURPOSE_NONE) continue;
        memset(lookup, 0, sizeof *lookup);
        lookup->purpose = purpose;
        lookup->key = *key;
        lookup->wanted = wanted;
        lookup->expires_ms = node->now_ms + node->config.lookup_timeout_ms;
        return lookup;
    }
    return NULL;
}

static void report_found(struct chord_node *node, uint64_t tag, size_t count)
{
    struct chord_action *action = chord_act(node, CHORD_FOUND);

    action->tag = tag;
    action->peers = node->out->found;
    action->peer_count = count;
}

static void lookup_fail(struct chord_node *node, struct chord_lookup *lookup)
{
    const enum chord_purpose purpose = lookup->purpose;

    lookup->purpose = PURPOSE_NONE;
    if (purpose == PURPOSE_USER) chord_act(node, CHORD_FAILED)->tag = lookup->tag;
    if (purpose == PURPOSE_JOIN) join_contact_failed(node, false);
}

static void lookup_ask(struct chord_node *node, struct chord_lookup *lookup,
                       const struct chord_peer *peer)
{
    struct chord_message *message;

    lookup->asked = *peer;
    lookup->rpc = chord_random(node);
    lookup->deadline_ms = node->now_ms + node->config.rpc_timeout_ms;
    if (lookup->deadline_ms > lookup->expires_ms) lookup->deadline_ms = lookup->expires_ms;
    lookup->hops++;
    message = chord_send(node, peer, CHORD_MESSAGE_NEXT_HOP, lookup->rpc);
    message->key = lookup->key;
    message->wanted = lookup->wanted;
    message->confirm = lookup->confirm;
}

/* Asks the closest alternate, or ends the lookup. */
static void lookup_next(struct chord_node *node, struct chord_lookup *lookup)
{
    struct chord_peer peer;

    lookup->confirm = false;
    if (lookup->alternate_count == 0 || lookup->misses > CHORD_MISSES_MAX ||
        lookup->hops >= CHORD_HOPS_MAX) {
        lookup_fail(node, lookup);
        return;
    }
    peer = lookup->alternates[0];
    lookup->alternate_count--;
    memmove(&lookup->alternates[0], &lookup->alternates[1],
            lookup->alternate_count * sizeof peer);
    lookup_ask(node, lookup, &peer);
}

/* The peer asked was of no use. */
static void lookup_miss(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup->misses++;
    lookup_next(node, lookup);
}

/* Starts from what this node knows: the believed owner first when there is a roster. */
static void lookup_begin(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup->alternate_count = table_closest(node, &lookup->key, lookup->alternates);
    if (lookup->purpose == PURPOSE_USER && table_has_roster(node)) {
        const struct chord_peer *owner = &node->roster[table_roster_at(node, &lookup->key)];

        if (!table_is_suspect(node, owner) && !chord_peer_equal(owner, &node->self)) {
            lookup->confirm = true;
            lookup_ask(node, lookup, owner);
            return;
        }
    }
    lookup_next(node, lookup);
}

void lookup_start_user(struct chord_node *node, uint64_t tag, const struct hf_id *key,
                       uint32_t wanted)
{
    struct chord_lookup *lookup;
    size_t count;

    if (wanted == 0) wanted = 1;
    if (wanted > CHORD_SUCCESSORS_MAX) wanted = CHORD_SUCCESSORS_MAX;
    if (node->mode == CHORD_MODE_ORDER) {
        report_found(node, tag, table_order(node, key, node->out->found, CHORD_FOUND_MAX));
        return;
    }
    if (node->mode == CHORD_MODE_JOINING || node->mode == CHORD_MODE_LEFT) {
        chord_act(node, CHORD_FAILED)->tag = tag;
        return;
    }
    if (table_route(node, key, wanted, true, node->out->found, &count)) {
        report_found(node, tag, count < wanted ? count : wanted);
        return;
    }
    lookup = lookup_new(node, PURPOSE_USER, key, wanted);
    if (lookup == NULL) {
        chord_act(node, CHORD_FAILED)->tag = tag;
        return;
    }
    lookup->tag = tag;
    lookup_begin(node, lookup);
}

void lookup_start_join(struct chord_node *node, const struct chord_peer *contact)
{
    /* Only the predecessor itself has so many: this asks for nobody else's answer. */
    struct chord_lookup *lookup =
        lookup_new(node, PURPOSE_JOIN, &node->self.position, CHORD_SUCCESSORS_MAX);

    if (lookup == NULL) {
        join_contact_failed(node, false);
        return;
    }
    lookup_ask(node, lookup, contact);
}

/* ---- fingers ---- */

static void finger_set(struct chord_node *node, unsigned finger,
                       const struct chord_peer *peer)
{
    node->finger_known[finger] = !chord_peer_equal(peer, &node->self);
    node->fingers[finger] = *peer;
}

void lookup_fix_finger(struct chord_node *node)
{
    struct chord_peer peers[CHORD_MESSAGE_PEERS_MAX];

    /* From the longest way down; those that need no question are done in passing. */
    for (unsigned tried = 0; tried < CHORD_FINGERS_MAX; tried++) {
        const unsigned finger = CHORD_FINGERS_MAX - 1 - node->finger_next;
        struct chord_lookup *lookup;
        struct hf_id key;
        size_t count;

        node->finger_next = (node->finger_next + 1) % CHORD_FINGERS_MAX;
        chord_add_power(&node->self.position, CHORD_ID_BITS - CHORD_FINGERS_MAX + finger,
                        &key);
        if (table_route(node, &key, 1, true, peers, &count)) {
            finger_set(node, finger, &peers[0]);
            continue;
        }
        lookup = lookup_new(node, PURPOSE_FINGER, &key, 1);
        if (lookup == NULL) return;
        lookup->finger = finger;
        lookup_begin(node, lookup);
        return;
    }
}

/* ---- answers ---- */

/* A final answer must fit its sender: the key lies between it and the first peer, and the
 * peers follow one another clockwise from the key. */
static bool answer_plausible(const struct chord_lookup *lookup,
                             const struct chord_message *message)
{
    const struct chord_peer *first = &message->peers[0];

    if (message->peer_count == 0) return false;
    if (!chord_peer_equal(first, &lookup->asked) &&
        (lookup->confirm ||
         !chord_between_or_at(&lookup->asked.position, &lookup->key, &first->position)))
        return false;
    for (size_t i = 0; i < message->peer_count; i++) {
        if (!chord_peer_valid(&message->peers[i])) return false;
        if (i > 0 && chord_compare_from(&lookup->key, &message->peers[i - 1].position,
                                        &message->peers[i].position) >= 0)
            return false;
    }
    return true;
}

static void lookup_finish(struct chord_node *node, struct chord_lookup *lookup,
                          const struct chord_message *message)
{
    const struct chord_lookup done = *lookup;
    size_t count = message->peer_count;

    lookup->purpose = PURPOSE_NONE;
    switch (done.purpose) {
    case PURPOSE_USER:
        if (count > done.wanted) count = done.wanted;
        memcpy(node->out->found, message->peers, count * sizeof *message->peers);
        report_found(node, done.tag, count);
        break;
    case PURPOSE_FINGER: finger_set(node, done.finger, &message->peers[0]); break;
    case PURPOSE_JOIN: join_found(node, &done.asked); break;
    case PURPOSE_NONE: break;
    }
}

/* Takes those of the named peers that are strictly closer to the key than the one that
 * named them.  False: there is none, the hop is rejected. */
static bool lookup_take_closer(struct chord_node *node, struct chord_lookup *lookup,
                               const struct chord_message *message)
{
    const struct chord_peer asked = lookup->asked;
    bool taken = false;

    for (size_t i = 0; i < message->peer_count; i++) {
        const struct chord_peer *peer = &message->peers[i];

        if (!chord_peer_valid(peer) || table_is_suspect(node, peer) ||
            chord_peer_equal(peer, &node->self) ||
            !chord_between(&asked.position, &peer->position, &lookup->key))
            continue;
        table_add_closer(node, &lookup->key, lookup->alternates, &lookup->alternate_count,
                         CHORD_ALTERNATES_MAX, peer);
        taken = true;
    }
    return taken;
}

bool lookup_answer(struct chord_node *node, const struct chord_message *message)
{
    struct chord_lookup *lookup = NULL;

    for (uint32_t i = 0; i < node->config.lookups; i++) {
        if (node->lookups[i].purpose != PURPOSE_NONE &&
            node->lookups[i].rpc == message->rpc &&
            chord_peer_equal(&node->lookups[i].asked, &message->from))
            lookup = &node->lookups[i];
    }
    if (lookup == NULL) return false;
    if (message->kind == CHORD_MESSAGE_REFUSED) {
        if (lookup->purpose == PURPOSE_JOIN) join_refused(node, &message->from);
        lookup_miss(node, lookup);
    } else if (message->done && answer_plausible(lookup, message)) {
        lookup_finish(node, lookup, message);
    } else if (message->done) {
        node->ignored++;
        lookup_miss(node, lookup);
    } else if (lookup->confirm || lookup_take_closer(node, lookup, message)) {
        /* What was believed the owner is not: from here it is walked to. */
        lookup_next(node, lookup);
    } else {
        lookup_miss(node, lookup);
    }
    return true;
}

/* ---- time and failures ---- */

void lookup_unreachable(struct chord_node *node, const struct chord_peer *peer)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose != PURPOSE_NONE &&
            hf_id_equal(&lookup->asked.node, &peer->node))
            lookup_miss(node, lookup);
    }
}

void lookup_tick(struct chord_node *node)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose == PURPOSE_NONE || lookup->deadline_ms > node->now_ms) continue;
        table_suspect(node, &lookup->asked);
        if (lookup->expires_ms <= node->now_ms)
            lookup_fail(node, lookup);
        else
            lookup_miss(node, lookup);
    }
}

uint64_t lookup_deadline(const struct chord_node *node)
{
    uint64_t deadline = UINT64_MAX;

    for (uint32_t i = 0; i < node->config.lookups; i++) {
        const struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose != PURPOSE_NONE && lookup->deadline_ms < deadline)
            deadline = lookup->deadline_ms;
    }
    return deadline;
}

void lookup_fail_all(struct chord_node *node)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        if (node->lookups[i].purpose == PURPOSE_USER)
            chord_act(node, CHORD_FAILED)->tag = node->lookups[i].tag;
        node->lookups[i].purpose = PURPOSE_NONE;
    }
}
