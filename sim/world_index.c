#include "sim/world_index.h"

#include "base/alloc.h"
#include "chord/circle.h"

#include <string.h>

static uint64_t position_hash(const struct hf_id *position)
{
    uint64_t word;

    memcpy(&word, &position->b[8], sizeof word);
    return word;
}

bool world_index_make(struct world *world)
{
    size_t size = 4;

    while (size < 2 * world->count)
        size *= 2;
    world->by_position = hf_alloc_array(size, sizeof *world->by_position);
    world->by_position_size = size;
    if (world->by_position == NULL) return false;
    memset(world->by_position, 0xff, size * sizeof *world->by_position);
    for (size_t i = 0; i < world->count; i++) {
        size_t slot = position_hash(&world->peers[i].position) & (size - 1);

        while (world->by_position[slot] != WORLD_NOBODY)
            slot = (slot + 1) & (size - 1);
        world->by_position[slot] = (uint32_t)i;
    }
    return true;
}

size_t world_place_of(const struct world *world, const struct hf_id *position)
{
    const size_t mask = world->by_position_size - 1;
    size_t slot = position_hash(position) & mask;

    for (; world->by_position[slot] != WORLD_NOBODY; slot = (slot + 1) & mask) {
        const uint32_t place = world->by_position[slot];

        if (hf_id_equal(&world->peers[place].position, position)) return place;
    }
    return WORLD_NOBODY;
}

size_t world_place_at(const struct world *world, const struct hf_id *key)
{
    size_t low = 0;
    size_t high = world->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&world->peers[middle].position, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == world->count ? 0 : low;
}

size_t world_host_of(const struct world *world, size_t place)
{
    return world->nodes[place].host;
}

bool world_host_is_live(const struct world *world, size_t host)
{
    return world_is_live(world, world->hosts[host].places[0]);
}

/* The one that most closely precedes it. */
size_t world_nearest(const struct world *world, size_t host, const struct hf_id *key)
{
    const struct world_host *h = &world->hosts[host];
    size_t best = h->places[0];

    for (uint32_t i = 1; i < h->place_count; i++) {
        const size_t place = h->places[i];

        if (chord_node_mode(world->nodes[place].node) == CHORD_MODE_RING &&
            chord_between(&world->peers[best].position, &world->peers[place].position, key))
            best = place;
    }
    return best;
}

bool world_is_live(const struct world *world, size_t place)
{
    return world->nodes[place].node != NULL;
}

bool world_is_member(const struct world *world, size_t place)
{
    const struct world_node *n = &world->nodes[place];

    return n->node != NULL && world->hosts[n->host].frozen_us == 0 &&
           (chord_node_mode(n->node) == CHORD_MODE_RING ||
            chord_node_mode(n->node) == CHORD_MODE_ALONE);
}

static size_t live_from(const struct world *world, size_t place, size_t step)
{
    while (!world_is_live(world, place))
        place = (place + step) % world->count;
    return place;
}

size_t world_owner(const struct world *world, const struct hf_id *key)
{
    return live_from(world, world_place_at(world, key), 1);
}

size_t world_random_live(struct world *world)
{
    return live_from(world, draw_below(&world->draw, world->count), 1);
}

static bool node_is_ideal(const struct world *world, size_t place)
{
    const struct chord_node *node = world->nodes[place].node;
    const uint32_t r = world->options.chord.successors;
    const size_t want = world->live - 1 < r ? world->live - 1 : r;
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    struct chord_peer predecessor;
    size_t at = place;

    if (!world_is_member(world, place) || chord_node_successors(node, successors) != want)
        return false;
    for (size_t i = 0; i < want; i++) {
        at = live_from(world, (at + 1) % world->count, 1);
        if (!hf_id_equal(&successors[i].position, &world->peers[at].position)) return false;
    }
    at = live_from(world, (place + world->count - 1) % world->count, world->count - 1);
    return world->live == 1 ||
           (chord_node_predecessor(node, &predecessor) &&
            hf_id_equal(&predecessor.position, &world->peers[at].position));
}

bool world_is_ideal(const struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world_is_live(world, i) && !node_is_ideal(world, i)) return false;
    }
    return true;
}

size_t world_first_live(const struct world *world, const struct world_answer *answer)
{
    for (size_t i = 0; i < answer->peer_count; i++) {
        const size_t place = world_place_of(world, &answer->peers[i].position);

        if (place != WORLD_NOBODY && world_is_live(world, place)) return place;
    }
    return WORLD_NOBODY;
}
