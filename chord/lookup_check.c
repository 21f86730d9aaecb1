#include "chord/lookup_check.h"

#include "chord/circle.h"
#include "chord/table.h"
#include "chord/timing.h"

#include <string.h>

static bool named(const struct chord_lookup *lookup, const struct chord_peer *peer)
{
    for (size_t i = 0; i < lookup->found_count; i++) {
        if (chord_peer_equal(&lookup->found[i], peer)) return true;
    }
    return false;
}

/* Puts peer in its place, clockwise from the key; the last one makes room. */
static void insert(struct chord_lookup *lookup, const struct chord_peer *peer)
{
    size_t at = lookup->found_count;

    while (at > 0 && chord_compare_from(&lookup->key, &peer->position,
                                        &lookup->found[at - 1].position) < 0)
        at--;
    if (at == CHORD_MESSAGE_PEERS_MAX) return;
    if (lookup->found_count == CHORD_MESSAGE_PEERS_MAX) lookup->found_count--;
    memmove(&lookup->found[at + 1], &lookup->found[at],
            (lookup->found_count - at) * sizeof *peer);
    lookup->found[at] = *peer;
    lookup->found_count++;
}

static void ask(struct chord_node *node, struct chord_lookup *lookup,
                const struct chord_peer *peer)
{
    const uint64_t wait_ms = timing_timeout_ms(node, peer, 1);

    lookup->open |= UINT32_C(1) << lookup->skipped_count;
    lookup->skipped[lookup->skipped_count++] = *peer;
    if (node->now_ms + wait_ms > lookup->deadline_ms)
        lookup->deadline_ms = node->now_ms + wait_ms;
    lookup->hops++;
    chord_send(node, peer, CHORD_MESSAGE_PING, lookup->rpc);
}

static bool fits(const struct chord_lookup *lookup, const struct chord_peer *peer)
{
    return lookup->found_count < CHORD_MESSAGE_PEERS_MAX ||
           chord_compare_from(&lookup->key, &peer->position,
                              &lookup->found[lookup->found_count - 1].position) < 0;
}

/* Takes out the last of found[] that is not on the roster: made up, or too new to matter.
 * False: all are. */
static bool drop_stranger(const struct chord_node *node, struct chord_lookup *lookup)
{
    for (size_t i = lookup->found_count; i-- > 0;) {
        const struct chord_peer *found = &lookup->found[i];

        if (chord_peer_equal(&node->roster[table_roster_at(node, &found->position)], found))
            continue;
        lookup->found_count--;
        memmove(&lookup->found[i], &lookup->found[i + 1],
                (lookup->found_count - i) * sizeof lookup->found[0]);
        return true;
    }
    return false;
}

bool lookup_check_next(struct chord_node *node, struct chord_lookup *lookup)
{
    const size_t n = node->roster_count;
    const size_t start = table_roster_at(node, &lookup->key);
    uint32_t right = 0; /* members of the roster that the answer names, from the key on */

    lookup->skipped_count = 0;
    lookup->open = lookup->alive = 0;
    lookup->rpc = chord_random(node);
    lookup->sent_ms = lookup->deadline_ms = node->now_ms;
    for (size_t i = 0; i < n && right < lookup->wanted; i++) {
        const struct chord_peer *peer = &node->roster[(start + i) % n];

        if (table_is_suspect(node, peer)) continue;
        if (named(lookup, peer)) {
            right++;
        } else if (chord_peer_equal(peer, &node->self)) {
            insert(lookup, &node->self);
            right++;
        } else if (lookup->skipped_count < CHORD_CHECKS_MAX &&
                   (fits(lookup, peer) || drop_stranger(node, lookup))) {
            ask(node, lookup, peer);
        } else {
            break;
        }
    }
    if (lookup->deadline_ms > lookup->expires_ms) lookup->deadline_ms = lookup->expires_ms;
    if (lookup->skipped_count > 0) return true;
    while (lookup->found_count > lookup->wanted && drop_stranger(node, lookup)) {
    }
    return false;
}

bool lookup_check_heard(struct chord_lookup *lookup, const struct chord_message *message)
{
    const uint32_t open = lookup->open;

    for (size_t i = 0; i < lookup->skipped_count; i++) {
        const uint32_t bit = UINT32_C(1) << i;

        if (!(open & bit) || !chord_peer_equal(&lookup->skipped[i], &message->from))
            continue;
        lookup->open &= ~bit;
        if (message->kind == CHORD_MESSAGE_PONG) {
            lookup->alive |= bit;
            lookup->skipped[i] = message->from;
        }
    }
    return open != 0 && lookup->open == 0;
}

bool lookup_check_unreachable(struct chord_lookup *lookup, const struct chord_peer *peer,
                              enum chord_scope scope)
{
    const uint32_t open = lookup->open;

    for (size_t i = 0; i < lookup->skipped_count; i++) {
        if (chord_concerns(scope, peer, &lookup->skipped[i]))
            lookup->open &= ~(UINT32_C(1) << i);
    }
    return open != 0 && lookup->open == 0;
}

void lookup_check_close(struct chord_node *node, struct chord_lookup *lookup)
{
    for (size_t i = 0; i < lookup->skipped_count; i++) {
        const uint32_t bit = UINT32_C(1) << i;

        if (lookup->alive & bit) {
            insert(lookup, &lookup->skipped[i]);
        } else {
            lookup->timeouts += (lookup->open & bit) != 0;
            table_suspect(node, &lookup->skipped[i],
                          lookup->open & bit ? CHORD_WHOLE_NODE : CHORD_ONE_POSITION);
        }
    }
    lookup->skipped_count = 0;
    lookup->open = 0;
}
