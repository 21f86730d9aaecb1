#include "chord/probe.h"

#include "chord/finger.h"
#include "chord/table.h"
#include "chord/timing.h"

#include <string.h>

#define DRAWS 8u /* to find a member that was not heard from just now */

static bool is_young(const struct chord_node *node)
{
    return node->vivaldi.samples < PROBE_YOUNG;
}

void probe_named(struct chord_node *node, const struct chord_peer *peers, size_t count)
{
    struct chord_probe *probe = &node->probe;

    if (count > CHORD_SUCCESSORS_MAX) count = CHORD_SUCCESSORS_MAX;
    memcpy(probe->named, peers, count * sizeof *peers);
    probe->named_count = count;
    if (is_young(node)) probe->next_ms = node->now_ms;
}

/* A member at random; NULL: none that would add anything was found. */
static const struct chord_peer *draw(struct chord_node *node)
{
    const bool roster = table_has_roster(node);
    const struct chord_peer *peers = roster ? node->roster : node->probe.named;
    const size_t count = roster ? node->roster_count : node->probe.named_count;

    for (unsigned i = 0; i < DRAWS && count > 0; i++) {
        const struct chord_peer *peer = &peers[chord_random(node) % count];

        if (!hf_id_equal(&peer->node, &node->self.node) && chord_peer_valid(peer) &&
            !table_is_suspect(node, peer) && timing_is_due(node, peer))
            return peer;
    }
    return NULL;
}

static void ask(struct chord_node *node, const struct chord_peer *peer)
{
    struct chord_probe *probe = &node->probe;

    probe->to = *peer;
    probe->rpc = chord_random(node);
    probe->sent_ms = node->now_ms;
    probe->next_ms = node->now_ms + timing_timeout_ms(node, peer, 1);
    probe->open = true;
    chord_send(node, peer, CHORD_MESSAGE_PING, probe->rpc);
}

bool probe_heard(struct chord_node *node, const struct chord_message *message)
{
    struct chord_probe *probe = &node->probe;

    if (!probe->open || probe->rpc != message->rpc ||
        !chord_peer_equal(&probe->to, &message->from))
        return false;
    probe->open = false;
    timing_answered(node, &message->from, probe->sent_ms);
    probe->next_ms = is_young(node)
                         ? node->now_ms
                         : chord_after(node, PROBE_PERIODS * node->config.stabilise_ms);
    return true;
}

/* Whoever follows a finger was hardly asked yet. */
static void find_others(struct chord_node *node)
{
    if (node->probe.others_ms > node->now_ms) return;
    node->probe.others_ms = chord_soon(node);
    if (!table_has_roster(node)) finger_fix(node);
}

void probe_tick(struct chord_node *node)
{
    struct chord_probe *probe = &node->probe;
    const struct chord_peer *peer;

    if (node->mode != CHORD_MODE_RING || probe->next_ms > node->now_ms) return;
    if (probe->open) timing_silent(node, &probe->to);
    probe->open = false;
    peer = draw(node);
    if (peer != NULL) {
        ask(node, peer);
    } else if (is_young(node)) {
        find_others(node);
        probe->next_ms = probe->others_ms;
    } else {
        probe->next_ms = chord_after(node, PROBE_PERIODS * node->config.stabilise_ms);
    }
}

uint64_t probe_deadline(const struct chord_node *node)
{
    return node->mode == CHORD_MODE_RING ? node->probe.next_ms : UINT64_MAX;
}
