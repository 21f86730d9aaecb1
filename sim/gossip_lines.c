#include "sim/gossip_lines.h"

#include "base/alloc.h"

#include <stdlib.h>

void gossip_lines_fail(struct gossip_world *world)
{
    world->broken = "the simulator is out of memory";
}

/* ---- the queue ---- */

void gossip_lines_push(struct gossip_world *world, uint64_t delay_us,
                       enum gossip_event kind, size_t at, size_t number)
{
    const struct queue_event event = {.at_us = world->now_us + delay_us,
                                      .kind = (uint32_t)kind,
                                      .place = (uint32_t)at,
                                      .what.number = number};

    if (!queue_push(&world->queue, &event)) gossip_lines_fail(world);
}

bool gossip_lines_is_message(const struct queue_event *event)
{
    return event->kind == GOSSIP_EVENT_DIGEST || event->kind == GOSSIP_EVENT_BUNDLE;
}

void gossip_lines_free(struct gossip_message *message)
{
    if (message != NULL) free(message->bundle.bytes);
    free(message);
}

void gossip_lines_clear(struct gossip_world *world)
{
    for (size_t i = 0; i < world->queue.count; i++) {
        if (gossip_lines_is_message(&world->queue.events[i]))
            gossip_lines_free(world->queue.events[i].what.body);
    }
    world->queue.count = 0;
}

/* ---- links ---- */

bool gossip_lines_is_linked(const struct gossip_world *world, size_t a, size_t b)
{
    const size_t bit = a * world->count + b;

    return (world->linked[bit / 8] >> bit % 8 & 1) != 0;
}

void gossip_lines_flip(struct gossip_world *world, size_t a, size_t b)
{
    const size_t bits[] = {a * world->count + b, b * world->count + a};
    const bool up = !gossip_lines_is_linked(world, a, b);

    for (size_t i = 0; i < 2; i++)
        world->linked[bits[i] / 8] ^= (uint8_t)(1u << bits[i] % 8);
    world->nodes[a].links += up ? 1 : (size_t)-1;
    world->nodes[b].links += up ? 1 : (size_t)-1;
}

void gossip_lines_break(struct gossip_world *world, size_t a, size_t b)
{
    if (!gossip_lines_is_linked(world, a, b)) return;
    gossip_lines_flip(world, a, b);
    gossip_lines_push(world, network_delay_us(&world->network, b, a), GOSSIP_EVENT_BROKEN,
                      a, b);
    gossip_lines_push(world, network_delay_us(&world->network, a, b), GOSSIP_EVENT_BROKEN,
                      b, a);
}

bool gossip_lines_may_link(const struct gossip_world *world, size_t a, size_t b)
{
    return world->nodes[a].alive && world->nodes[b].alive &&
           world->nodes[a].side == world->nodes[b].side;
}

void gossip_lines_connect(struct gossip_world *world, size_t from, size_t to)
{
    if (gossip_lines_is_linked(world, from, to)) return;
    if (gossip_lines_may_link(world, from, to))
        gossip_lines_push(world, 2 * network_delay_us(&world->network, from, to),
                          GOSSIP_EVENT_LINK, from, to);
    else
        gossip_lines_push(world, world->options.connect_us, GOSSIP_EVENT_MISSED, from, to);
}

/* ---- messages ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* On its way, once: a link does not repeat what it carries.  Takes the bundle. */
static void post(struct gossip_world *world, enum gossip_event kind, size_t from, size_t to,
                 uint64_t delay_us, const struct gossip_bundle *bundle)
{
    struct gossip_message *message = hf_alloc_array(1, sizeof *message);
    const struct queue_event event = {.at_us = world->now_us + delay_us,
                                      .kind = (uint32_t)kind,
                                      .place = (uint32_t)to,
                                      .what.body = message};

    if (message == NULL) {
        free(bundle->bytes);
        gossip_lines_fail(world);
        return;
    }
    *message = (struct gossip_message){
        .from = from,
        .depth = larger(world->depth, world->nodes[from].depth) + 1,
        .count_number = world->count_number,
        .digest = spread_known(world->nodes[from].spread)->digest,
        .bundle = *bundle,
    };
    if (queue_push(&world->queue, &event)) return;
    gossip_lines_free(message);
    gossip_lines_fail(world);
}

void gossip_lines_send_digest(struct gossip_world *world, size_t from, size_t to)
{
    const struct network_fate fate =
        network_send(&world->network, from, to, from * world->count + to, 0);
    const struct gossip_bundle nothing = {0};

    world->digests++;
    if (fate.copies > 0 && gossip_lines_is_linked(world, from, to))
        post(world, GOSSIP_EVENT_DIGEST, from, to, fate.delay_us[0], &nothing);
}

void gossip_lines_send_bundle(struct gossip_world *world, size_t from, size_t to,
                              uint64_t since)
{
    const struct network_fate fate =
        network_send(&world->network, from, to, from * world->count + to, 0);
    struct gossip_bundle bundle = {0};

    if (!world->facts.encode(world->facts.context, from, since, &bundle)) {
        gossip_lines_fail(world);
        return;
    }
    world->bundles++;
    world->told += bundle.count;
    if (fate.copies > 0 && gossip_lines_is_linked(world, from, to))
        post(world, GOSSIP_EVENT_BUNDLE, from, to, fate.delay_us[0], &bundle);
    else
        free(bundle.bytes);
}
