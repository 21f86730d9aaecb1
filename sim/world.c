#include "sim/world.h"

#include "base/alloc.h"
#include "sim/judge.h"
#include "sim/world_index.h"
#include "sim/world_messages.h"
#include "sim/world_queue.h"
#include "sim/world_steps.h"

#include <stdlib.h>

/* ---- making ---- */

static int compare_hosts(const void *a, const void *b)
{
    const struct world_host *x = a;
    const struct world_host *y = b;

    return hf_id_compare(&x->id, &y->id);
}

static int compare_peers(const void *a, const void *b)
{
    const struct chord_peer *x = a;
    const struct chord_peer *y = b;

    return hf_id_compare(&x->position, &y->position);
}

static uint32_t positions_of(const struct world *world, size_t host)
{
    return world->options.positions != NULL ? world->options.positions[host] : 1;
}

/* All hosts, and where each stands. */
static bool make_hosts(struct world *world)
{
    struct draw draw = draw_init(world->options.seed, 2);

    world->hosts = hf_alloc_array(world->host_count, sizeof *world->hosts);
    if (world->hosts == NULL) return false;
    for (size_t i = 0; i < world->host_count; i++) {
        draw_id(&draw, &world->hosts[i].id);
        world->count += positions_of(world, i);
    }
    qsort(world->hosts, world->host_count, sizeof *world->hosts, compare_hosts);
    return true;
}

static bool make_places(struct world *world)
{
    size_t count = 0;

    world->peers = hf_alloc_array(world->count, sizeof *world->peers);
    world->nodes = hf_alloc_array(world->count, sizeof *world->nodes);
    world->host_places = hf_alloc_array(world->count, sizeof *world->host_places);
    if (world->peers == NULL || world->nodes == NULL || world->host_places == NULL)
        return false;
    for (size_t i = 0; i < world->host_count; i++) {
        struct world_host *h = &world->hosts[i];

        h->places = &world->host_places[count];
        h->place_count = positions_of(world, i);
        for (uint32_t k = 0; k < h->place_count; k++)
            world->peers[count++] = chord_peer_of(&h->id, k);
    }
    qsort(world->peers, world->count, sizeof *world->peers, compare_peers);
    return world_index_make(world);
}

/* Tells places and hosts of each other. */
static void connect(struct world *world)
{
    for (size_t i = 0; i < world->host_count; i++) {
        struct world_host *h = &world->hosts[i];

        for (uint32_t k = 0; k < h->place_count; k++) {
            const struct chord_peer peer = chord_peer_of(&h->id, k);
            const size_t place = world_place_of(world, &peer.position);

            h->places[k] = (uint32_t)place;
            world->nodes[place].host = (uint32_t)i;
            world->nodes[place].tick_us = WORLD_NEVER;
        }
    }
}

struct world *world_new(const struct world_options *options,
                        const struct world_client *client)
{
    struct world *world = calloc(1, sizeof *world);

    if (world == NULL) return NULL;
    world->options = *options;
    world->client = *client;
    world->host_count = options->hosts;
    world->now_us = 1;
    world->lookup_free = WORLD_NOBODY;
    world->broken_place = WORLD_NOBODY;
    world->draw = draw_init(options->seed, 3);
    world->out = malloc(sizeof *world->out);
    if (world->out == NULL || !make_hosts(world) || !make_places(world) ||
        !network_init(&world->network, &options->network, options->hosts, world->count,
                      options->seed))
        goto fail;
    connect(world);
    world->options.positions = NULL; /* the caller's again */
    if (options->judged) {
        world->judge = judge_new(world->count, options->chord.successors);
        if (world->judge == NULL) goto fail;
    }
    return world;
fail:
    world_free(world);
    return NULL;
}

void world_free(struct world *world)
{
    if (world == NULL) return;
    for (size_t i = 0; i < world->queue.count; i++) {
        const struct queue_event *event = &world->queue.events[i];

        if (event->kind == WORLD_EVENT_MESSAGE) parcel_free(event->what.body);
        if (event->kind == WORLD_EVENT_SERVICE) world->service.release(event->what.body);
    }
    queue_done(&world->queue);
    for (size_t i = 0; i < world->count && world->nodes != NULL; i++)
        chord_node_free(world->nodes[i].node);
    network_done(&world->network);
    judge_free(world->judge);
    free(world->lookups);
    free(world->by_position);
    free(world->nodes);
    free(world->peers);
    free(world->host_places);
    free(world->hosts);
    free(world->out);
    free(world);
}

void world_each_message(const struct world *world, void *context,
                        void (*see)(void *context, size_t to,
                                    const struct chord_message *message))
{
    for (size_t i = 0; i < world->queue.count; i++) {
        const struct queue_event *event = &world->queue.events[i];
        struct chord_message message;

        if (event->kind == WORLD_EVENT_MESSAGE && parcel_read(event->what.body, &message))
            see(context, event->place, &message);
    }
}

/* ---- time ---- */

void world_break(struct world *world, const char *why)
{
    if (world->broken == NULL) world->broken = why;
}

bool world_push(struct world *world, uint64_t at_us, enum world_event kind, size_t to,
                void *body, uint64_t number)
{
    struct queue_event event = {
        .at_us = at_us, .kind = (uint32_t)kind, .place = (uint32_t)to};

    if (body != NULL)
        event.what.body = body;
    else
        event.what.number = number;
    if (queue_push(&world->queue, &event)) return true;
    world_break(world, "the simulator is out of memory");
    return false;
}

void world_after(struct world *world, uint64_t delay_us, uint64_t what)
{
    (void)world_push(world, world->now_us + delay_us, WORLD_EVENT_TIMER, 0, NULL, what);
}

void world_post(struct world *world, uint64_t delay_us, size_t host, void *body)
{
    if (!world_push(world, world->now_us + delay_us, WORLD_EVENT_SERVICE, host, body, 0))
        world->service.release(body);
}

static void happen(struct world *world, const struct queue_event *event)
{
    switch ((enum world_event)event->kind) {
    case WORLD_EVENT_MESSAGE:
        if (!world_messages_arrive(world, event->place, event->what.body))
            parcel_free(event->what.body);
        break;
    case WORLD_EVENT_TICK: world_steps_tick(world, event->place, event->at_us); break;
    case WORLD_EVENT_TIMER:
        world->client.on_timer(world, world->client.context, event->what.number);
        break;
    case WORLD_EVENT_RESET:
        world_messages_refused(world, event->place, event->what.number);
        break;
    case WORLD_EVENT_SERVICE:
        world->service.on_parcel(world, world->service.context, event->place,
                                 event->what.body);
        break;
    }
}

void world_run(struct world *world, uint64_t duration_us)
{
    const uint64_t end_us = world->now_us + duration_us;
    const struct queue_event *next = queue_first(&world->queue);

    while (world->broken == NULL && next != NULL && next->at_us <= end_us) {
        const struct queue_event event = queue_pop(&world->queue);

        if (event.at_us > world->now_us) world->now_us = event.at_us;
        happen(world, &event);
        next = queue_first(&world->queue);
    }
    if (world->broken == NULL) world->now_us = end_us;
}

void world_judge_no_more(struct world *world)
{
    judge_free(world->judge);
    world->judge = NULL;
}
