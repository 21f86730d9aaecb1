#include "sim/storage.h"

#include "base/alloc.h"
#include "sim/sample.h"
#include "sim/storage_lines.h"
#include "sim/storage_steps.h"

#include <stdlib.h>

/* ---- arrivals ---- */

void storage_arrival_free(void *body)
{
    struct arrival *arrival = body;

    dht_message_done(&arrival->message);
    hf_buffer_unref(arrival->item.manifest);
    hf_buffer_unref(arrival->item.payload);
    free(arrival->found);
    free(arrival);
}

struct arrival *storage_arrival_new(struct storage *storage, enum arrival_kind kind,
                                    size_t host)
{
    struct arrival *arrival = hf_alloc_array(1, sizeof *arrival);

    if (arrival == NULL) {
        world_break(storage->world, "the simulator is out of memory");
        return NULL;
    }
    arrival->kind = kind;
    arrival->incarnation = storage->hosts[host].incarnation;
    return arrival;
}

/* ---- what the world tells ---- */

static void tick(struct storage *storage, size_t host, const struct arrival *arrival)
{
    const struct dht_event event = {.kind = DHT_TICK};
    struct host *h = &storage->hosts[host];

    if (h->tick_us != arrival->at_us) return;
    h->tick_us = WORLD_NEVER;
    storage_handle(storage, host, &event);
}

static void arrive(struct storage *storage, size_t host, const struct arrival *arrival)
{
    switch (arrival->kind) {
    case ARRIVAL_MESSAGE: storage_lines_receive(storage, host, arrival); break;
    case ARRIVAL_BROKEN: storage_lines_down(storage, host, arrival->peer); break;
    case ARRIVAL_RETRY: storage_lines_retry(storage, host, arrival); break;
    case ARRIVAL_LOADED: storage_steps_loaded(storage, host, arrival); break;
    case ARRIVAL_STORED: storage_steps_stored(storage, host, arrival); break;
    case ARRIVAL_FOUND: storage_steps_found(storage, host, arrival); break;
    case ARRIVAL_TICK: tick(storage, host, arrival); break;
    }
}

/* What comes to a host that is suspended waits for it, or is lost on the way. */
static bool waits(struct storage *storage, const struct arrival *arrival)
{
    return arrival->kind != ARRIVAL_MESSAGE ||
           draw_chance(&storage->draw, storage->world->options.backlog);
}

static void on_parcel(struct world *world, void *context, size_t host, void *body)
{
    struct storage *storage = context;
    struct arrival *arrival = body;
    const struct world_host *h = &world->hosts[host];

    if (arrival->kind == ARRIVAL_MESSAGE && !world_host_is_live(world, host)) {
        storage_lines_refuse(storage, host, arrival);
    } else if (arrival->kind == ARRIVAL_MESSAGE ||
               arrival->incarnation == storage->hosts[host].incarnation) {
        if (arrival->kind == ARRIVAL_MESSAGE &&
            h->frozen_us > world->now_us + STORAGE_SILENCE_US)
            storage_lines_fall_silent(storage, arrival->peer, host);
        if (h->frozen_us != 0 && waits(storage, arrival)) {
            world_post(world, h->frozen_us - world->now_us, host, arrival);
            return;
        }
        if (h->frozen_us == 0) arrive(storage, host, arrival);
    }
    storage_arrival_free(arrival);
}

static void on_host(struct world *world, void *context, size_t host,
                    enum world_change change)
{
    struct storage *storage = context;
    struct host *h = &storage->hosts[host];

    (void)world;
    if (change != WORLD_CRASHED) return;
    dht_node_free(h->dht);
    h->dht = NULL;
    h->has_members = false;
    h->incarnation++;
    h->tick_us = WORLD_NEVER;
    free(h->links);
    h->links = NULL;
}

/* ---- making ---- */

struct storage *storage_new(struct world *world, const struct storage_options *options,
                            const struct storage_client *client)
{
    struct storage *storage = hf_alloc_array(1, sizeof *storage);

    if (storage == NULL) return NULL;
    storage->world = world;
    storage->options = *options;
    storage->client = *client;
    storage->count = world->host_count;
    storage->draw = draw_init(world->options.seed, 6);
    storage->hosts = hf_alloc_array(storage->count, sizeof *storage->hosts);
    storage->members = hf_alloc_array(storage->count, sizeof *storage->members);
    if (storage->hosts == NULL || storage->members == NULL) {
        storage_free(storage);
        return NULL;
    }
    for (size_t i = 0; i < storage->count; i++) {
        storage->members[i] = (struct dht_member){.id = world->hosts[i].id,
                                                  .positions = world->hosts[i].place_count};
        storage->hosts[i].tick_us = WORLD_NEVER;
    }
    world->service = (struct world_service){.context = storage,
                                            .on_host = on_host,
                                            .on_parcel = on_parcel,
                                            .release = storage_arrival_free};
    return storage;
}

void storage_free(struct storage *storage)
{
    if (storage == NULL) return;
    for (size_t i = 0; i < storage->count && storage->hosts != NULL; i++) {
        dht_node_free(storage->hosts[i].dht);
        disk_done(&storage->hosts[i].disk);
        free(storage->hosts[i].links);
    }
    free(storage->hosts);
    free(storage->members);
    free(storage);
}

/* ---- operations ---- */

void storage_put(struct storage *storage, size_t host, const struct sample *sample,
                 uint64_t tag)
{
    const struct dht_event event = {
        .kind = DHT_PUT,
        .tag = tag,
        .put = {sample->manifest, sample->fragments, sample->shape.n}};

    storage_steps_tell_members(storage, host);
    storage_handle(storage, host, &event);
}

void storage_get(struct storage *storage, size_t host, const struct hf_id *vault,
                 const struct hf_id *block, uint64_t tag)
{
    const struct dht_event event = {
        .kind = DHT_GET, .tag = tag, .vault = *vault, .block = *block};

    storage_steps_tell_members(storage, host);
    storage_handle(storage, host, &event);
}

struct dht_redundancy storage_redundancy(struct storage *storage, size_t host)
{
    storage_steps_tell_members(storage, host);
    if (storage->hosts[host].dht == NULL) return (struct dht_redundancy){0, 0};
    return dht_node_redundancy(storage->hosts[host].dht, (struct dht_redundancy){0, 0});
}

/* ---- what happens to hosts ---- */

void storage_wipe(struct storage *storage, size_t host)
{
    disk_wipe(&storage->hosts[host].disk);
    storage->hosts[host].wiped = true;
}

void storage_evict(struct storage *storage, size_t host)
{
    storage->members[host].evicted = true;
    for (size_t i = 0; i < storage->count; i++)
        storage->hosts[i].has_members = false;
}

bool storage_holds(const struct storage *storage, size_t host, const struct hf_id *block)
{
    return disk_indices(&storage->hosts[host].disk, block, false) != 0;
}

unsigned storage_within_reach(const struct storage *storage, const struct hf_id *block)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < storage->count; i++) {
        if (world_host_is_live(storage->world, i))
            bits |= disk_indices(&storage->hosts[i].disk, block, false);
    }
    return (unsigned)__builtin_popcount(bits);
}

unsigned storage_ever(const struct storage *storage, const struct hf_id *block)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < storage->count; i++)
        bits |= disk_indices(&storage->hosts[i].disk, block, true);
    return (unsigned)__builtin_popcount(bits);
}
