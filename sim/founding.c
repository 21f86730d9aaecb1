#include "sim/founding.h"

#include "base/alloc.h"
#include "chord/circle.h"
#include "chord/state.h"
#include "sim/judge.h"

#include <stdlib.h>

/* The live places, ascending. */
struct circle {
    uint32_t *places;
    size_t count;
};

static size_t first_at(const struct world *world, const struct circle *circle,
                       const struct hf_id *key)
{
    size_t low = 0;
    size_t high = circle->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&world->peers[circle->places[middle]].position, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low == circle->count ? 0 : low;
}

static void set_neighbours(const struct world *world, const struct circle *circle,
                           struct chord_node *node, size_t at)
{
    const size_t n = circle->count;
    size_t take = node->config.successors;

    if (take > n - 1) take = n - 1;
    for (size_t i = 0; i < take; i++)
        node->successors[i] = world->peers[circle->places[(at + 1 + i) % n]];
    node->successor_count = take;
    node->has_predecessor = true;
    node->predecessor = world->peers[circle->places[(at + n - 1) % n]];
    node->mode = CHORD_MODE_RING;
}

static void set_fingers(const struct world *world, const struct circle *circle,
                        struct chord_node *node)
{
    const struct hf_id *self = &node->self.position;

    for (unsigned i = 0; i < CHORD_FINGERS_MAX; i++) {
        struct hf_id key;
        const struct chord_peer *peer = &node->successors[0];

        chord_add_power(self, CHORD_ID_BITS - CHORD_FINGERS_MAX + i, &key);
        if (!chord_between_or_at(self, &key, &peer->position))
            peer = &world->peers[circle->places[first_at(world, circle, &key)]];
        node->fingers[i] = *peer;
        node->finger_known[i] = !chord_peer_equal(peer, &node->self);
    }
}

static void tick(struct world *world, size_t place)
{
    struct chord_event event = {.kind = CHORD_TICK};

    world_step(world, place, &event);
}

static void set_timers(struct world *world, struct chord_node *node)
{
    const uint64_t period_ms = node->config.stabilise_ms;

    node->stabilise_ms = node->now_ms + draw_below(&world->draw, period_ms);
    node->finger_ms = node->now_ms + draw_below(&world->draw, period_ms / 2);
}

void founding_make_ring(struct world *world)
{
    struct circle circle = {hf_alloc_array(world->live, sizeof *circle.places), 0};

    if (circle.places == NULL) {
        world_break(world, "the simulator is out of memory");
        return;
    }
    for (size_t i = 0; i < world->count; i++) {
        if (world_is_live(world, i)) circle.places[circle.count++] = (uint32_t)i;
    }
    for (size_t i = 0; i < circle.count; i++) {
        struct chord_node *node = world->nodes[circle.places[i]].node;

        tick(world, circle.places[i]); /* so that its clock has begun */
        set_neighbours(world, &circle, node, i);
        set_fingers(world, &circle, node);
        set_timers(world, node);
        tick(world, circle.places[i]);
    }
    if (world->judge != NULL) {
        for (size_t i = 0; i < circle.count; i++)
            judge_refresh(world->judge, world, circle.places[i]);
        judge_found(world->judge);
    }
    free(circle.places);
}
