#include "chord/peer.h"

#include "base/hash.h"

static void position_of(const struct hf_id *node, uint32_t index, struct hf_id *position)
{
    const uint8_t number = (uint8_t)index;
    struct hf_sha256 h;

    if (index == 0) {
        *position = *node;
        return;
    }
    hf_sha256_init(&h);
    hf_sha256_add(&h, node->b, sizeof node->b);
    hf_sha256_add(&h, &number, 1);
    hf_sha256_final(&h, position);
}

struct chord_peer chord_peer_of(const struct hf_id *node, uint32_t index)
{
    struct chord_peer peer = {.node = *node, .index = index};

    position_of(node, index, &peer.position);
    return peer;
}

bool chord_peer_valid(const struct chord_peer *peer)
{
    struct hf_id position;

    if (peer->index >= CHORD_POSITIONS_MAX) return false;
    position_of(&peer->node, peer->index, &position);
    return hf_id_equal(&position, &peer->position);
}
