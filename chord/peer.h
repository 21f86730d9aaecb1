/* peer.h - a place on the ring and the node that stands there.
 *
 * A node stands at one or more places: number 0 is its node id, number i is SHA-256(node
 * id || i), so nobody can choose a place.  Routing knows no addresses: the daemon finds a
 * node's address on the signed roster. */
#ifndef HOLDFAST_CHORD_PEER_H
#define HOLDFAST_CHORD_PEER_H

#include "base/id.h"
#include "chord/vivaldi.h"

#include <stdbool.h>
#include <stdint.h>

#define CHORD_POSITIONS_MAX 64u /* of one node */

struct chord_peer {
    struct hf_id position; /* on the circle */
    struct hf_id node;     /* SHA-256(public key || number), from its certificate */
    uint32_t index;        /* which of the node's positions */
    struct chord_coordinate coordinate; /* of the node, as last told; none in the roster */
};

/* The index-th position of a node (index < CHORD_POSITIONS_MAX). */
struct chord_peer chord_peer_of(const struct hf_id *node, uint32_t index);

/* The position is the one that the node has under this index. */
bool chord_peer_valid(const struct chord_peer *peer);

static inline bool chord_peer_equal(const struct chord_peer *a, const struct chord_peer *b)
{
    return hf_id_equal(&a->position, &b->position) && hf_id_equal(&a->node, &b->node);
}

#endif
