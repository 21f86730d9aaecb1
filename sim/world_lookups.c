#include "sim/world_lookups.h"

#include "base/alloc.h"
#include "chord/state.h" /* which lookup a question belongs to */

static uint32_t take(struct world *world)
{
    uint32_t tag = world->lookup_free;
    struct world_lookup *grown;

    if (tag != WORLD_NOBODY) {
        world->lookup_free = world->lookups[tag].next_free;
        return tag;
    }
    grown = hf_grow_array(world->lookups, &world->lookup_capacity, world->lookup_count + 1,
                          sizeof *grown);
    if (grown == NULL) {
        world_break(world, "the simulator is out of memory");
        return WORLD_NOBODY;
    }
    world->lookups = grown;
    return (uint32_t)world->lookup_count++;
}

static void release(struct world *world, uint32_t tag)
{
    world->lookups[tag].asker = WORLD_NOBODY;
    world->lookups[tag].next_free = world->lookup_free;
    world->lookup_free = tag;
}

/* The lookup of ours that a question or an answer with this number belongs to. */
static struct world_lookup *lookup_of(struct world *world, size_t asker, uint64_t rpc)
{
    const struct chord_node *node = world->nodes[asker].node;

    for (uint32_t i = 0; i < node->config.lookups; i++) {
        if (node->lookups[i].purpose == PURPOSE_USER && node->lookups[i].rpc == rpc)
            return &world->lookups[node->lookups[i].tag];
    }
    return NULL;
}

void world_lookups_sent(struct world *world, size_t from,
                        const struct chord_message *message)
{
    struct world_lookup *lookup;

    if (message->kind != CHORD_MESSAGE_NEXT_HOP) return;
    lookup = lookup_of(world, from, message->rpc);
    if (lookup != NULL) lookup->questions++;
}

void world_lookups_heard(struct world *world, size_t to, size_t by,
                         const struct chord_message *message)
{
    struct world_lookup *lookup;

    if (message->kind != CHORD_MESSAGE_NEXT && message->kind != CHORD_MESSAGE_REFUSED)
        return;
    lookup = lookup_of(world, to, message->rpc);
    if (lookup == NULL) return;
    lookup->answers++;
    lookup->last = (uint32_t)by;
}

static unsigned path_of(const struct world *world, const struct world_lookup *lookup,
                        const struct chord_action *action)
{
    size_t owner;

    if (action->peer_count == 0) return lookup->answers;
    owner = world_place_of(world, &action->peers[0].position);
    if (lookup->answers == 0) return owner != lookup->asker;
    return lookup->answers + (owner != lookup->last);
}

void world_lookups_end(struct world *world, const struct chord_action *action)
{
    const uint32_t tag = (uint32_t)action->tag;
    const struct world_lookup lookup = world->lookups[tag];
    const struct world_answer answer = {.asker = lookup.asker,
                                        .user = lookup.user,
                                        .key = lookup.key,
                                        .started_us = lookup.started_us,
                                        .questions = lookup.questions,
                                        .answers = lookup.answers,
                                        .hops = action->hops,
                                        .timeouts = action->timeouts,
                                        .path = path_of(world, &lookup, action),
                                        .found = action->kind == CHORD_FOUND,
                                        .peers = action->peers,
                                        .peer_count = action->peer_count};

    release(world, tag);
    if (world->client.on_answer != NULL)
        world->client.on_answer(world, world->client.context, &answer);
}

void world_lookups_drop(struct world *world, size_t place)
{
    const struct chord_node *node = world->nodes[place].node;

    for (uint32_t i = 0; i < node->config.lookups; i++) {
        if (node->lookups[i].purpose == PURPOSE_USER)
            release(world, (uint32_t)node->lookups[i].tag);
    }
}

void world_lookup(struct world *world, size_t asker, const struct hf_id *key,
                  uint32_t wanted, uint64_t user)
{
    const uint32_t tag = take(world);
    struct chord_event event = {
        .kind = CHORD_LOOKUP, .key = *key, .tag = tag, .wanted = wanted};

    if (tag == WORLD_NOBODY) return;
    world->lookups[tag] = (struct world_lookup){.asker = (uint32_t)asker,
                                                .last = WORLD_NOBODY,
                                                .user = user,
                                                .started_us = world->now_us,
                                                .key = *key};
    world_step(world, asker, &event);
}
