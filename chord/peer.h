/* peer.h - a place on the ring and the node that stands there.
 *
 * Routing knows no addresses: the daemon finds a node's address on the signed roster. */
#ifndef HOLDFAST_CHORD_PEER_H
#define HOLDFAST_CHORD_PEER_H

#include "base/id.h"

#include <stdbool.h>

struct chord_peer {
    struct hf_id position; /* on the circle */
    struct hf_id node;     /* SHA-256(public key || number), from its certificate */
};

/* One position per node, its node id: nobody can claim another place on the ring. */
static inline bool chord_peer_valid(const struct chord_peer *peer)
{
    return hf_id_equal(&peer->position, &peer->node);
}

static inline bool chord_peer_equal(const struct chord_peer *a, const struct chord_peer *b)
{
    return hf_id_equal(&a->position, &b->position) && hf_id_equal(&a->node, &b->node);
}

#endif
