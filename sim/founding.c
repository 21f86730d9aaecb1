#include "sim/founding.h"

#include "base/alloc.h"
#include "chord/circle.h"
#include "chord/finger.h"
#include "chord/probe.h"
#include "chord/state.h"
#include "sim/judge.h"

#include <stdlib.h>

#define SETTLED_ERROR 0.1 /* relative, of a coordinate */

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

/* With its coordinate, as others have heard it from the node itself. */
static const struct chord_peer *peer_at(const struct world *world,
                                        const struct circle *circle, size_t at)
{
    return &world->nodes[circle->places[at % circle->count]].node->self;
}

/* Where the network has put the node. */
static void set_coordinate(const struct world *world, size_t place)
{
    const struct network_place *at = &world->network.places[world_host_of(world, place)];
    struct chord_node *node = world->nodes[place].node;

    node->vivaldi.x = 1000 * (double)at->x;
    node->vivaldi.y = 1000 * (double)at->y;
    node->vivaldi.height = 1000 * (double)at->access + VIVALDI_HEIGHT_MIN_US;
    node->vivaldi.error = SETTLED_ERROR;
    node->vivaldi.samples = PROBE_YOUNG;
    node->self.coordinate = vivaldi_coordinate(&node->vivaldi);
}

static void set_neighbours(const struct world *world, const struct circle *circle,
                           struct chord_node *node, size_t at)
{
    const size_t n = circle->count;
    size_t take = node->config.successors;

    if (take > n - 1) take = n - 1;
    for (size_t i = 0; i < take; i++)
        node->successors[i] = *peer_at(world, circle, at + 1 + i);
    node->successor_count = take;
    node->has_predecessor = true;
    node->predecessor = *peer_at(world, circle, at + n - 1);
    node->mode = CHORD_MODE_RING;
}

/* finger_found chooses among them as it does in life. */
static void set_finger(const struct world *world, const struct circle *circle,
                       struct chord_node *node, unsigned finger, bool near)
{
    const struct hf_id *self = &node->self.position;
    struct chord_peer candidates[CHORD_SUCCESSORS_MAX];
    size_t count = near && circle->count > CHORD_SUCCESSORS_MAX ? CHORD_SUCCESSORS_MAX : 1;
    struct hf_id key;
    size_t at;

    chord_add_power(self, CHORD_ID_BITS - CHORD_FINGERS_MAX + finger, &key);
    if (chord_between_or_at(self, &key, &node->successors[0].position)) {
        finger_found(node, finger, node->successors, near ? node->successor_count : 1);
        return;
    }
    at = first_at(world, circle, &key);
    for (size_t i = 0; i < count; i++)
        candidates[i] = *peer_at(world, circle, at + i);
    finger_found(node, finger, candidates, count);
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
    node->probe.next_ms =
        node->now_ms + draw_below(&world->draw, PROBE_PERIODS * period_ms);
}

void founding_make_ring(struct world *world, bool near)
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
        tick(world, circle.places[i]); /* so that its clock has begun */
        if (near) set_coordinate(world, circle.places[i]);
    }
    for (size_t i = 0; i < circle.count; i++) {
        struct chord_node *node = world->nodes[circle.places[i]].node;

        set_neighbours(world, &circle, node, i);
        for (unsigned finger = 0; finger < CHORD_FINGERS_MAX; finger++)
            set_finger(world, &circle, node, finger, near);
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
