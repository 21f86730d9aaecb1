#include "chord/lookup.h"

#include "chord/circle.h"
#include "chord/finger.h"
#include "chord/join.h"
#include "chord/lookup_check.h"
#include "chord/table.h"
#include "chord/timing.h"

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
        lookup->rpc = chord_random(node);
        lookup->started_ms = node->now_ms;
        lookup->expires_ms = node->now_ms + node->config.lookup_timeout_ms;
        return lookup;
    }
    return NULL;
}

/* ---- the end ---- */

/* Ends the caller's lookup with the first `wanted` of found[], or without an answer. */
static void report(struct chord_node *node, const struct chord_lookup *lookup)
{
    struct chord_statistics *statistics = &node->statistics;
    struct chord_action *action =
        chord_act(node, lookup->found_count > 0 ? CHORD_FOUND : CHORD_FAILED);
    const size_t count = lookup->found_count;
    struct chord_peer *room;

    action->tag = lookup->tag;
    action->hops = lookup->hops;
    action->timeouts = lookup->timeouts;
    action->rejected = lookup->rejected;
    statistics->lookups++;
    statistics->lookups_failed += count == 0;
    statistics->hops += lookup->hops;
    statistics->timeouts += lookup->timeouts;
    statistics->rejected += lookup->rejected;
    action->peer_count = count < lookup->wanted ? count : lookup->wanted;
    /* An action that sends nothing has room for the peers of a message. */
    room = node->out->messages[node->out->action_count - 1].peers;
    memcpy(room, lookup->found, action->peer_count * sizeof *room);
    action->peers = room;
}

/* Completes the answer with those that it leaves out, then reports it. */
static void lookup_complete(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup->checking = node->now_ms < lookup->expires_ms && lookup_check_next(node, lookup);
    if (lookup->checking) return;
    lookup->purpose = PURPOSE_NONE;
    report(node, lookup);
}

/* found[] is what this node or another says. */
static void lookup_arrived(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup->purpose = PURPOSE_USER;
    lookup->confirm = false;
    if (table_has_roster(node)) {
        lookup_complete(node, lookup);
        return;
    }
    lookup->purpose = PURPOSE_NONE;
    report(node, lookup);
}

static void lookup_fail(struct chord_node *node, struct chord_lookup *lookup)
{
    const enum chord_purpose purpose = lookup->purpose;

    lookup->purpose = PURPOSE_NONE;
    if (purpose == PURPOSE_USER) lookup_arrived(node, lookup);
    if (purpose == PURPOSE_JOIN) join_contact_failed(node, false);
}

/* ---- who was asked ---- */

static uint32_t mark_of(const struct chord_peer *peer)
{
    uint32_t mark;

    memcpy(&mark, peer->position.b, sizeof mark);
    return mark;
}

/* The last question to `peer`; NULL: it was not asked. */
static struct chord_question *question_to(struct chord_lookup *lookup,
                                          const struct chord_peer *peer)
{
    const uint32_t mark = mark_of(peer);

    for (unsigned i = lookup->question_count; i-- > 0;) {
        if (lookup->questions[i].mark == mark) return &lookup->questions[i];
    }
    return NULL;
}

/* Another question is asked from here on: only the silent need not hear it. */
static void forget_answered(struct chord_lookup *lookup)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < lookup->question_count; i++) {
        if (!lookup->questions[i].answered)
            lookup->questions[kept++] = lookup->questions[i];
    }
    lookup->question_count = kept;
}

/* ---- the way ---- */

static void lookup_ask(struct chord_node *node, struct chord_lookup *lookup,
                       const struct chord_peer *peer)
{
    struct chord_message *message;

    lookup->asked = *peer;
    lookup->questions[lookup->question_count++] = (struct chord_question){
        .mark = mark_of(peer),
        .after_ms = (node->now_ms - lookup->started_ms) & 0x1fffffff,
        .confirm = lookup->confirm,
        .content = lookup->content};
    lookup->sent_ms = node->now_ms;
    lookup->deadline_ms = node->now_ms + timing_timeout_ms(node, peer, 1);
    if (lookup->deadline_ms > lookup->expires_ms) lookup->deadline_ms = lookup->expires_ms;
    lookup->hops++;
    message = chord_send(node, peer, CHORD_MESSAGE_NEXT_HOP, lookup->rpc + lookup->content);
    message->key = lookup->key;
    message->wanted = lookup->content ? 1 : lookup->wanted;
    message->confirm = lookup->confirm;
}

/* What this node itself knows closer to the key, as far as it was not asked. */
static void take_own(struct chord_node *node, struct chord_lookup *lookup)
{
    struct chord_peer own[CHORD_OWN_MAX];
    const size_t count = table_closest(node, &lookup->key, true, CHORD_OWN_MAX, own);

    for (size_t i = 0; i < count; i++) {
        if (question_to(lookup, &own[i]) == NULL)
            table_add_closer(node, &lookup->key, lookup->alternates,
                             &lookup->alternate_count, CHORD_ALTERNATES_MAX, &own[i]);
    }
}

/* Those who know all the successors that are wanted are dead, it seems; others know some,
 * but said nothing of them.  Begins again, content with any answer. */
static void lookup_be_content(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup->content = true;
    lookup->alternate_count = 0;
    forget_answered(lookup);
    take_own(node, lookup);
}

/* Asks the closest alternate, or ends the lookup. */
static void lookup_next(struct chord_node *node, struct chord_lookup *lookup)
{
    struct chord_peer peer;

    lookup->confirm = false;
    if ((lookup->alternate_count == 0 || lookup->misses > CHORD_CONTENT_MISSES) &&
        lookup->purpose == PURPOSE_USER && lookup->wanted > 1 && !lookup->content)
        lookup_be_content(node, lookup);
    if (lookup->alternate_count == 0 && lookup->purpose != PURPOSE_JOIN)
        take_own(node, lookup);
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
    lookup->alternate_count =
        table_closest(node, &lookup->key, true, CHORD_CLOSER_MAX, lookup->alternates);
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

/* What a small ring's order says; all of it, not only what was wanted. */
static void report_order(struct chord_node *node, uint64_t tag, const struct hf_id *key)
{
    struct chord_action *action = chord_act(node, CHORD_FOUND);

    action->tag = tag;
    action->peers = node->out->found;
    action->peer_count = table_order(node, key, node->out->found, CHORD_FOUND_MAX);
    node->statistics.lookups++;
}

static void refuse(struct chord_node *node, uint64_t tag)
{
    chord_act(node, CHORD_FAILED)->tag = tag;
    node->statistics.lookups++;
    node->statistics.lookups_failed++;
}

void lookup_start_user(struct chord_node *node, uint64_t tag, const struct hf_id *key,
                       uint32_t wanted)
{
    struct chord_lookup *lookup;

    if (wanted == 0) wanted = 1;
    if (wanted > CHORD_SUCCESSORS_MAX) wanted = CHORD_SUCCESSORS_MAX;
    if (node->mode == CHORD_MODE_ORDER) {
        report_order(node, tag, key);
        return;
    }
    lookup = node->mode == CHORD_MODE_JOINING || node->mode == CHORD_MODE_LEFT
                 ? NULL
                 : lookup_new(node, PURPOSE_USER, key, wanted);
    if (lookup == NULL) {
        refuse(node, tag);
        return;
    }
    lookup->tag = tag;
    if (!table_route(node, key, wanted, true, lookup->found, &lookup->found_count)) {
        lookup->found_count = 0;
        lookup_begin(node, lookup);
    } else {
        lookup_arrived(node, lookup);
    }
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

/* Fingers take a quarter of the places at most: the others are the caller's. */
static bool finger_may_start(const struct chord_node *node)
{
    const uint32_t most = node->config.lookups < 8 ? 1 : node->config.lookups / 4;
    uint32_t running = 0;

    for (uint32_t i = 0; i < node->config.lookups; i++)
        running += node->lookups[i].purpose == PURPOSE_FINGER;
    return running < most;
}

void lookup_start_finger(struct chord_node *node, unsigned finger, const struct hf_id *key)
{
    struct chord_lookup *lookup = NULL;

    if (finger_may_start(node))
        lookup = lookup_new(node, PURPOSE_FINGER, key, CHORD_SUCCESSORS_MAX);
    if (lookup == NULL) return;
    lookup->finger = finger;
    lookup_begin(node, lookup);
}

/* ---- answers ---- */

/* A final answer must fit its sender: the key lies between it and the first peer, and the
 * peers follow one another clockwise from the key. */
static bool answer_plausible(const struct chord_lookup *lookup,
                             const struct chord_question *question,
                             const struct chord_message *message)
{
    const struct chord_peer *first = &message->peers[0];

    if (message->peer_count == 0) return false;
    if (!chord_peer_equal(first, &message->from) &&
        (question->confirm ||
         !chord_between_or_at(&message->from.position, &lookup->key, &first->position)))
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
    const enum chord_purpose purpose = lookup->purpose;

    lookup->purpose = PURPOSE_NONE;
    switch (purpose) {
    case PURPOSE_USER:
        lookup->found_count = message->peer_count;
        memcpy(lookup->found, message->peers, message->peer_count * sizeof *message->peers);
        lookup_arrived(node, lookup);
        break;
    case PURPOSE_FINGER:
        finger_found(node, lookup->finger, message->peers, message->peer_count);
        break;
    case PURPOSE_JOIN: join_found(node, &message->from); break;
    case PURPOSE_NONE: break;
    }
}

/* Takes those of the named peers that are strictly closer to the key than the one that
 * named them, were not asked before, and are not suspected.  False: none is closer, the
 * hop is rejected. */
static bool lookup_take_closer(struct chord_node *node, struct chord_lookup *lookup,
                               const struct chord_message *message)
{
    bool closer = false;

    for (size_t i = 0; i < message->peer_count; i++) {
        const struct chord_peer *peer = &message->peers[i];

        if (!chord_peer_valid(peer) || chord_peer_equal(peer, &node->self) ||
            !chord_between(&message->from.position, &peer->position, &lookup->key))
            continue;
        closer = true;
        if (question_to(lookup, peer) == NULL && !table_is_suspect(node, peer))
            table_add_closer(node, &lookup->key, lookup->alternates,
                             &lookup->alternate_count, CHORD_ALTERNATES_MAX, peer);
    }
    return closer;
}

/* All that were asked have answered, or will not any more. */
static void lookup_checked(struct chord_node *node, struct chord_lookup *lookup)
{
    lookup_check_close(node, lookup);
    lookup_complete(node, lookup);
}

bool lookup_pong(struct chord_node *node, const struct chord_message *message)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose == PURPOSE_NONE || !lookup->checking ||
            lookup->rpc != message->rpc)
            continue;
        timing_answered(node, &message->from, lookup->sent_ms);
        if (lookup_check_heard(lookup, message)) lookup_checked(node, lookup);
        return true;
    }
    return false;
}

/* Takes what `question` was answered.  False: that cannot be true. */
static bool lookup_take(struct chord_node *node, struct chord_lookup *lookup,
                        const struct chord_question *question,
                        const struct chord_message *message)
{
    if (!message->done) /* What was believed the owner is not: from here it is walked to. */
        return question->confirm || lookup_take_closer(node, lookup, message);
    if (!answer_plausible(lookup, question, message)) return false;
    lookup_finish(node, lookup, message);
    return true;
}

/* The lookup that waits for this answer; NULL: none. */
static struct chord_lookup *lookup_waiting(struct chord_node *node,
                                           const struct chord_message *message)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];
        const struct chord_question *question;

        if (lookup->purpose == PURPOSE_NONE || lookup->checking ||
            message->rpc - lookup->rpc > 1)
            continue;
        question = question_to(lookup, &message->from);
        if (question != NULL && !question->answered &&
            message->rpc == lookup->rpc + question->content)
            return lookup;
    }
    return NULL;
}

bool lookup_answer(struct chord_node *node, const struct chord_message *message)
{
    struct chord_lookup *lookup = lookup_waiting(node, message);
    struct chord_question *question;
    bool last, useful;

    if (lookup == NULL) return false;
    last = chord_peer_equal(&lookup->asked, &message->from);
    question = question_to(lookup, &message->from);
    question->answered = true;
    timing_answered(node, &message->from, lookup->started_ms + question->after_ms);
    useful = message->kind == CHORD_MESSAGE_NEXT;
    if (!useful && lookup->purpose == PURPOSE_JOIN) join_refused(node, &message->from);
    /* A member: there is a ring, however far from here the way ends. */
    if (useful && lookup->purpose == PURPOSE_JOIN) node->join.rounds = 0;
    if (useful && !lookup_take(node, lookup, question, message)) {
        chord_act(node, CHORD_WRONG)->peer = message->from;
        lookup->rejected++;
        useful = false;
    }
    /* After a late answer the next peer is already asked. */
    if (lookup->purpose == PURPOSE_NONE || lookup->checking || !last) return true;
    if (!useful) lookup->misses++;
    lookup_next(node, lookup);
    return true;
}

/* ---- time and failures ---- */

void lookup_unreachable(struct chord_node *node, const struct chord_peer *peer,
                        enum chord_scope scope)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose == PURPOSE_NONE) continue;
        if (lookup->checking) {
            if (lookup_check_unreachable(lookup, peer, scope)) lookup_checked(node, lookup);
        } else if (chord_concerns(scope, peer, &lookup->asked)) {
            lookup->timeouts++;
            lookup_miss(node, lookup);
        }
    }
}

void lookup_tick(struct chord_node *node)
{
    for (uint32_t i = 0; i < node->config.lookups; i++) {
        struct chord_lookup *lookup = &node->lookups[i];

        if (lookup->purpose == PURPOSE_NONE || lookup->deadline_ms > node->now_ms) continue;
        if (lookup->checking) {
            lookup_checked(node, lookup);
            continue;
        }
        lookup->timeouts++;
        timing_silent(node, &lookup->asked);
        table_suspect(node, &lookup->asked, CHORD_WHOLE_NODE);
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
        if (node->lookups[i].purpose == PURPOSE_USER) refuse(node, node->lookups[i].tag);
        node->lookups[i].purpose = PURPOSE_NONE;
    }
}
