#include "chord/finger.h"

#include "chord/circle.h"
#include "chord/lookup.h"
#include "chord/probe.h"
#include "chord/table.h"
#include "chord/timing.h"

#define FIRST_BIT (CHORD_ID_BITS - CHORD_FINGERS_MAX)

/* Where the finger's interval ends: at this node for the longest. */
static void interval_end(const struct chord_node *node, unsigned finger, struct hf_id *end)
{
    if (finger == CHORD_FINGERS_MAX - 1)
        *end = node->self.position;
    else
        chord_add_power(&node->self.position, FIRST_BIT + finger + 1, end);
}

void finger_found(struct chord_node *node, unsigned finger, const struct chord_peer *peers,
                  size_t count)
{
    const struct chord_peer *best = &peers[0];
    const struct chord_peer *current = NULL;
    uint64_t best_us = timing_expected_us(node, best);
    uint64_t current_us;
    struct hf_id end;

    interval_end(node, finger, &end);
    for (size_t i = 0; i < count; i++) {
        const uint64_t us = timing_expected_us(node, &peers[i]);

        if (i > 0 && !chord_between(&node->self.position, &peers[i].position, &end)) break;
        if (node->finger_known[finger] &&
            chord_peer_equal(&peers[i], &node->fingers[finger]))
            current = &peers[i];
        if (us < best_us && !table_is_suspect(node, &peers[i])) {
            best = &peers[i];
            best_us = us;
        }
    }
    current_us = current != NULL ? timing_expected_us(node, current) : UINT64_MAX;
    if (current != NULL && current_us / 5 * 4 <= best_us) best = current;
    node->finger_known[finger] = !chord_peer_equal(best, &node->self);
    node->fingers[finger] = *best;
    probe_named(node, peers, count);
}

void finger_fix(struct chord_node *node)
{
    struct chord_peer peers[CHORD_MESSAGE_PEERS_MAX];

    /* From the longest way down; those that need no question are done in passing. */
    for (unsigned tried = 0; tried < CHORD_FINGERS_MAX; tried++) {
        const unsigned finger = CHORD_FINGERS_MAX - 1 - node->finger_next;
        struct hf_id key;
        size_t count;

        node->finger_next = (node->finger_next + 1) % CHORD_FINGERS_MAX;
        chord_add_power(&node->self.position, FIRST_BIT + finger, &key);
        if (!table_route(node, &key, 1, true, peers, &count)) {
            lookup_start_finger(node, finger, &key);
            return;
        }
        finger_found(node, finger, peers, count);
    }
}
