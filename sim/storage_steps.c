#include "sim/storage_steps.h"

#include "base/alloc.h"
#include "sim/storage_lines.h"

#define LOOKUP_USER (UINT64_C(1) << 63) /* marks dht's lookups among the world's */
#define SEED_MASK   0x7ffffu            /* so that no request's number has that bit */

/* ---- the disk ---- */

static void use_disk(struct storage *storage, size_t host, const struct dht_action *action)
{
    const bool store = action->kind == DHT_ACTION_STORE;
    struct arrival *arrival =
        storage_arrival_new(storage, store ? ARRIVAL_STORED : ARRIVAL_LOADED, host);

    if (arrival == NULL) return;
    arrival->tag = action->tag;
    arrival->item = action->item;
    (void)hf_buffer_ref(arrival->item.manifest);
    (void)hf_buffer_ref(arrival->item.payload);
    world_post(storage->world, storage->options.disk_us, host, arrival);
}

void storage_steps_stored(struct storage *storage, size_t host,
                          const struct arrival *arrival)
{
    struct dht_event event = {
        .kind = DHT_STORE_DONE, .tag = arrival->tag, .code = HF_DENIED};

    if (arrival->item.kind == DHT_ITEM_FRAGMENT)
        event.code = disk_store(&storage->hosts[host].disk, &arrival->item);
    if (event.code == HF_NO_MEMORY)
        world_break(storage->world, "the simulator is out of memory");
    storage_handle(storage, host, &event);
}

void storage_steps_loaded(struct storage *storage, size_t host,
                          const struct arrival *arrival)
{
    const struct disk *disk = &storage->hosts[host].disk;
    struct dht_item item = {0};
    struct dht_event event = {
        .kind = DHT_LOADED, .tag = arrival->tag, .code = HF_DENIED, .item = &item};

    if (arrival->item.kind == DHT_ITEM_FRAGMENT)
        event.code = disk_load(disk, &arrival->item, &item);
    if (arrival->item.kind == DHT_ITEM_PRESENCE)
        event.code = disk_presence(disk, &arrival->item, &item);
    storage_handle(storage, host, &event);
    hf_buffer_unref(item.manifest);
    hf_buffer_unref(item.payload);
}

/* ---- lookups ---- */

static bool has(const struct found *found, const struct hf_id *id)
{
    for (size_t i = 0; i < found->count; i++) {
        if (hf_id_equal(&found->ids[i], id)) return true;
    }
    return false;
}

static uint32_t away_ms(const struct chord_node *node, const struct chord_peer *peer)
{
    const uint64_t us = chord_node_expected_us(node, peer);

    return us == UINT64_MAX ? 0 : (uint32_t)(1 + us / 1000);
}

bool storage_answer(struct storage *storage, const struct world_answer *answer)
{
    struct world *world = storage->world;
    const size_t host = world_host_of(world, answer->asker);
    struct arrival *arrival;

    if (!(answer->user & LOOKUP_USER)) return false;
    arrival = storage_arrival_new(storage, ARRIVAL_FOUND, host);
    if (arrival == NULL) return true;
    arrival->tag = answer->user & ~LOOKUP_USER;
    arrival->found = hf_alloc_array(1, sizeof *arrival->found);
    for (size_t i = 0; answer->found && arrival->found != NULL && i < answer->peer_count;
         i++) {
        const struct chord_peer *peer = &answer->peers[i];
        struct found *found = arrival->found;

        if (has(found, &peer->node)) continue;
        found->ids[found->count] = peer->node;
        found->away_ms[found->count++] = away_ms(world->nodes[answer->asker].node, peer);
    }
    world_post(world, 0, host, arrival);
    return true;
}

void storage_steps_found(struct storage *storage, size_t host,
                         const struct arrival *arrival)
{
    const struct found *list = arrival->found;
    struct dht_event event = {.kind = DHT_LOOKUP_FAILED, .tag = arrival->tag};

    if (list != NULL && list->count > 0) {
        event.kind = DHT_FOUND;
        event.ids = list->ids;
        event.away_ms = storage->options.distances ? list->away_ms : NULL;
        event.id_count = list->count;
    }
    storage_handle(storage, host, &event);
}

static void look_up(struct storage *storage, size_t host, const struct dht_action *action)
{
    const uint32_t most = CHORD_SUCCESSORS_MAX;

    world_lookup(storage->world, world_nearest(storage->world, host, &action->key),
                 &action->key, action->wanted < most ? action->wanted : most,
                 LOOKUP_USER | action->tag);
}

/* ---- steps ---- */

static void obey(struct storage *storage, size_t host, const struct dht_action *action)
{
    switch (action->kind) {
    case DHT_ACTION_SEND: storage_lines_send(storage, host, action); break;
    case DHT_ACTION_LOOKUP: look_up(storage, host, action); break;
    case DHT_ACTION_LOAD:
    case DHT_ACTION_STORE: use_disk(storage, host, action); break;
    case DHT_ACTION_DONE:
        storage->client.on_done(storage->world, storage->client.context, host, action);
        break;
    case DHT_ACTION_WARN: /* nobody here damages anything */
        world_break(storage->world, "dht/ warned of what an honest host sent");
        break;
    }
}

static void plan_tick(struct storage *storage, size_t host)
{
    struct world *world = storage->world;
    struct host *h = &storage->hosts[host];
    uint64_t at_us = world_true_us(world, host, dht_deadline(h->dht));
    struct arrival *arrival;

    if (at_us < world->now_us) at_us = world->now_us;
    if (at_us >= h->tick_us) return;
    arrival = storage_arrival_new(storage, ARRIVAL_TICK, host);
    if (arrival == NULL) return;
    h->tick_us = arrival->at_us = at_us;
    world_post(world, at_us - world->now_us, host, arrival);
}

static void step(struct storage *storage, size_t host, const struct dht_event *event)
{
    struct host *h = &storage->hosts[host];
    struct dht_action action;

    dht_step(h->dht, event, world_local_ms(storage->world, host));
    while (dht_next(h->dht, &action)) {
        obey(storage, host, &action);
        dht_action_done(&action);
    }
    plan_tick(storage, host);
}

/* A node that only answers needs neither a roster nor, before the first question, to be. */
static bool wake(struct storage *storage, size_t host)
{
    struct host *h = &storage->hosts[host];
    const struct dht_config config = {.self = storage->members[host].id,
                                      .seed = draw_next(&storage->draw) & SEED_MASK,
                                      .store_complete = !h->wiped};

    if (h->dht != NULL) return true;
    h->dht = dht_node_new(&config);
    if (h->dht == NULL) world_break(storage->world, "the simulator is out of memory");
    return h->dht != NULL;
}

void storage_handle(struct storage *storage, size_t host, const struct dht_event *event)
{
    if (storage->world->broken == NULL && wake(storage, host)) step(storage, host, event);
}

void storage_steps_tell_members(struct storage *storage, size_t host)
{
    struct host *h = &storage->hosts[host];
    const struct dht_event event = {
        .kind = DHT_MEMBERS, .members = storage->members, .member_count = storage->count};

    if (h->has_members) return;
    h->has_members = true;
    storage_handle(storage, host, &event);
}
