#include "chord/table.h"

#include "chord/circle.h"

#include <string.h>

/* ---- roster ---- */

size_t table_ring_min(const struct chord_node *node)
{
    return 2 * ((size_t)node->config.successors + 1);
}

bool table_has_roster(const struct chord_node *node)
{
    return node->roster_count >= table_ring_min(node);
}

size_t table_roster_at(const struct chord_node *node, const struct hf_id *key)
{
    size_t low = 0;
    size_t high = node->roster_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&node->roster[middle].position, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == node->roster_count ? 0 : low;
}

bool table_set_roster(struct chord_node *node, const struct chord_peer *peers, size_t count)
{
    size_t at;

    node->roster = NULL;
    node->roster_count = 0;
    memset(node->suspects, 0, sizeof node->suspects);
    if (count == 0) return true;
    for (size_t i = 1; i < count; i++) {
        if (hf_id_compare(&peers[i - 1].position, &peers[i].position) >= 0) return false;
    }
    node->roster = peers;
    node->roster_count = count;
    at = table_roster_at(node, &node->self.position);
    if (!hf_id_equal(&peers[at].position, &node->self.position)) {
        node->roster = NULL;
        node->roster_count = 0;
        return false;
    }
    node->roster_self = at;
    return true;
}

void table_take_order(struct chord_node *node)
{
    const size_t n = node->roster_count;
    size_t take = node->config.successors;

    if (take > n - 1) take = n - 1;
    for (size_t i = 0; i < take; i++)
        node->successors[i] = node->roster[(node->roster_self + 1 + i) % n];
    node->successor_count = take;
    node->has_predecessor = n > 1;
    node->predecessor = node->roster[(node->roster_self + n - 1) % n];
}

size_t table_order(const struct chord_node *node, const struct hf_id *key,
                   struct chord_peer *peers, size_t max)
{
    const size_t n = node->roster_count;
    const size_t start = table_roster_at(node, key);
    const size_t take = n < max ? n : max;

    for (size_t i = 0; i < take; i++)
        peers[i] = node->roster[(start + i) % n];
    return take;
}

const struct chord_peer *table_between(const struct chord_node *node,
                                       const struct hf_id *end)
{
    const size_t n = node->roster_count;

    for (size_t i = 1; i < n; i++) {
        const struct chord_peer *peer = &node->roster[(node->roster_self + i) % n];

        if (!chord_between(&node->self.position, &peer->position, end)) return NULL;
        if (!table_is_suspect(node, peer)) return peer;
    }
    return NULL;
}

/* ---- suspects ---- */

void table_suspect(struct chord_node *node, const struct chord_peer *peer,
                   enum chord_scope scope)
{
    struct chord_suspect *slot = &node->suspects[node->suspect_next];

    for (unsigned i = 0; i < CHORD_SUSPECTS_MAX; i++) {
        struct chord_suspect *old = &node->suspects[i];

        if (old->scope == scope && chord_concerns(scope, &old->peer, peer)) slot = old;
    }
    if (slot == &node->suspects[node->suspect_next])
        node->suspect_next = (node->suspect_next + 1) % CHORD_SUSPECTS_MAX;
    *slot = (struct chord_suspect){.scope = scope,
                                   .peer = *peer,
                                   .until_ms = node->now_ms + node->config.stabilise_ms};
    for (unsigned i = 0; i < CHORD_FINGERS_MAX; i++) {
        if (node->finger_known[i] && chord_concerns(scope, peer, &node->fingers[i]))
            node->finger_known[i] = false;
    }
}

void table_trust(struct chord_node *node, const struct chord_peer *peer)
{
    for (unsigned i = 0; i < CHORD_SUSPECTS_MAX; i++) {
        if (chord_concerns(node->suspects[i].scope, &node->suspects[i].peer, peer))
            node->suspects[i].until_ms = 0;
    }
}

bool table_is_suspect(const struct chord_node *node, const struct chord_peer *peer)
{
    for (unsigned i = 0; i < CHORD_SUSPECTS_MAX; i++) {
        if (node->suspects[i].until_ms > node->now_ms &&
            chord_concerns(node->suspects[i].scope, &node->suspects[i].peer, peer))
            return true;
    }
    return false;
}

/* ---- keys ---- */

void table_add_closer(const struct chord_node *node, const struct hf_id *key,
                      struct chord_peer *list, size_t *count, size_t max,
                      const struct chord_peer *peer)
{
    size_t at = 0;

    if (hf_id_equal(&peer->position, &node->self.position)) return;
    while (at < *count && chord_compare_from(&peer->position, key, &list[at].position) > 0)
        at++;
    /* list[at] is the first that peer comes before: on the way from peer to the key lies
     * no list[at], so the way from peer is the shorter one, or it is the same peer. */
    if (at < *count && hf_id_equal(&list[at].position, &peer->position)) return;
    if (at > 0 && hf_id_equal(&list[at - 1].position, &peer->position)) return;
    if (at == max) return;
    if (*count == max) (*count)--;
    memmove(&list[at + 1], &list[at], (*count - at) * sizeof *list);
    list[at] = *peer;
    (*count)++;
}

static void consider(const struct chord_node *node, const struct hf_id *key,
                     const struct chord_peer *peer, struct chord_peer *out, size_t *count,
                     size_t max)
{
    if (chord_between(&node->self.position, &peer->position, key) &&
        !table_is_suspect(node, peer))
        table_add_closer(node, key, out, count, max, peer);
}

static size_t closest_known(const struct chord_node *node, const struct hf_id *key,
                            size_t max, struct chord_peer *out)
{
    size_t count = 0;

    for (size_t i = 0; i < node->successor_count; i++)
        consider(node, key, &node->successors[i], out, &count, max);
    for (size_t i = 0; i < CHORD_FINGERS_MAX; i++) {
        const struct chord_peer *finger = &node->fingers[i];

        if (!node->finger_known[i]) continue;
        /* Short intervals have the same one. */
        if (i > 0 && node->finger_known[i - 1] && chord_peer_equal(finger, finger - 1))
            continue;
        consider(node, key, finger, out, &count, max);
    }
    return count;
}

size_t table_closest(const struct chord_node *node, const struct hf_id *key, bool guess,
                     size_t max, struct chord_peer *out)
{
    const size_t n = node->roster_count;
    size_t at, count;

    if (!guess || !table_has_roster(node)) return closest_known(node, key, max, out);
    count = closest_known(node, key, max / 2, out);
    at = table_roster_at(node, key);
    /* More than there is room for, as some may be suspects. */
    for (size_t i = 1; i <= max + CHORD_SUSPECTS_MAX && i < n; i++) {
        if (count == max) break;
        consider(node, key, &node->roster[(at + n - i) % n], out, &count, max);
    }
    return count;
}

static void add_successors(const struct chord_node *node, size_t from,
                           struct chord_peer *peers, size_t *count)
{
    for (size_t i = from; i < node->successor_count; i++)
        peers[(*count)++] = node->successors[i];
}

bool table_route(const struct chord_node *node, const struct hf_id *key, uint32_t wanted,
                 bool own, struct chord_peer *peers, size_t *count)
{
    const struct hf_id *self = &node->self.position;

    *count = 0;
    if (node->mode == CHORD_MODE_ORDER) {
        *count = table_order(node, key, peers, CHORD_MESSAGE_PEERS_MAX);
        return true;
    }
    if (node->successor_count == 0) {
        peers[(*count)++] = node->self;
        return true;
    }
    if (own && node->has_predecessor &&
        chord_between_or_at(&node->predecessor.position, key, self)) {
        peers[(*count)++] = node->self;
        add_successors(node, 0, peers, count);
        return true;
    }
    for (size_t i = 0; i < node->successor_count; i++) {
        if (!chord_between_or_at(self, key, &node->successors[i].position)) continue;
        if (i > 0 && node->successor_count - i < wanted) break;
        add_successors(node, i, peers, count);
        return true;
    }
    /* Who wants one only has found many others dead, and needs more ways. */
    *count = table_closest(node, key, false,
                           wanted > 1 ? CHORD_CLOSER_MAX : CHORD_SUCCESSORS_MAX, peers);
    return false;
}
