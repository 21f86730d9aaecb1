#include "sim/storage.h"

#include "base/alloc.h"
#include "sim/sample.h"

#include <stdlib.h>
#include <string.h>

#define LOOKUP_USER  (UINT64_C(1) << 63) /* marks dht's lookups among the world's */
#define SEED_MASK    0x7ffffu            /* so that no request's number has that bit */
#define SILENCE_US   (10 * WORLD_SECOND) /* then a link on which nothing comes is broken */
#define RETRY_MIN_US WORLD_SECOND
#define RETRY_MAX_US (30 * WORLD_SECOND)
#define FAIR_LOSS    11u /* classes after those of chord's messages: questions, answers */

enum arrival_kind {
    ARRIVAL_MESSAGE, /* from peer */
    ARRIVAL_BROKEN,  /* the link to peer */
    ARRIVAL_RETRY,   /* of that link */
    ARRIVAL_LOADED,
    ARRIVAL_STORED,
    ARRIVAL_FOUND,
    ARRIVAL_TICK
};

/* A lookup's answer: distinct nodes. */
struct found {
    struct hf_id ids[CHORD_FOUND_MAX];
    uint32_t away_ms[CHORD_FOUND_MAX];
    size_t count;
};

/* What a host is told in a moment. */
struct arrival {
    enum arrival_kind kind;
    uint32_t peer;
    uint64_t incarnation; /* of the host, but for messages: of no other is it */
    uint64_t tag;
    uint64_t at_us; /* RETRY, TICK: another may have taken its place */
    enum hf_code code;
    struct dht_message message;
    struct dht_item item;
    struct found *found; /* owned */
};

/* A link that the host believes broken; all zero: it does not. */
struct broken_link {
    uint64_t wait_us, retry_us;
};

struct host {
    struct dht_node *dht; /* NULL: it was neither asked nor did it ask since it started */
    bool has_members;
    bool wiped;
    uint64_t incarnation;
    uint64_t tick_us;          /* the tick in the queue; WORLD_NEVER: none */
    struct broken_link *links; /* by host; NULL: none ever broke */
    struct disk disk;
};

struct storage {
    struct world *world;
    struct storage_options options;
    struct storage_client client;
    struct host *hosts;
    struct dht_member *members;
    size_t count;
    struct draw draw;
};

static void handle(struct storage *storage, size_t host, const struct dht_event *event);

/* ---- arrivals ---- */

static void arrival_free(void *body)
{
    struct arrival *arrival = body;

    dht_message_done(&arrival->message);
    hf_buffer_unref(arrival->item.manifest);
    hf_buffer_unref(arrival->item.payload);
    free(arrival->found);
    free(arrival);
}

/* NULL: no memory, and the world is broken. */
static struct arrival *arrival_new(struct storage *storage, enum arrival_kind kind,
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

static size_t host_of(const struct storage *storage, const struct hf_id *node)
{
    const size_t place = world_place_of(storage->world, node);

    return place == WORLD_NOBODY ? WORLD_NOBODY : world_host_of(storage->world, place);
}

/* ---- messages ---- */

/* As the other end will read it: its own copy, encoded and parsed where the world does so.
 * False: it does not parse. */
static bool copy_message(struct storage *storage, const struct dht_message *message,
                         struct dht_message *copy)
{
    uint8_t header[DHT_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    struct hf_err ignored;

    if (storage->world->options.encode) {
        dht_message_put(&w, message);
        return dht_message_parse(header, hf_writer_size(&w), message->payload, copy,
                                 &ignored) == HF_OK;
    }
    *copy = *message;
    dht_message_ref(copy);
    return true;
}

/* How long this message takes: dht/ waits in seconds. */
static uint64_t hasten(const struct storage *storage, size_t from, size_t to,
                       uint64_t delay_us)
{
    const uint64_t plain_us = network_delay_us(&storage->world->network, from, to);

    return plain_us + (delay_us - plain_us) / storage->options.haste;
}

/* The host will hear that its link to the peer is broken. */
static void break_link(struct storage *storage, size_t host, size_t peer, uint64_t in_us)
{
    struct arrival *arrival = arrival_new(storage, ARRIVAL_BROKEN, host);

    if (arrival == NULL) return;
    arrival->peer = (uint32_t)peer;
    world_post(storage->world, in_us, host, arrival);
}

/* Between their first positions, for they have no others here. */
static size_t way_of(const struct world *world, size_t from, size_t to)
{
    return world->hosts[from].places[0] * world->count + world->hosts[to].places[0];
}

static void transmit(struct storage *storage, size_t from, const struct dht_action *action)
{
    struct world *world = storage->world;
    const struct dht_message *message = &action->message;
    const size_t to = host_of(storage, &action->peer);
    struct network_fate fate;

    if (to == WORLD_NOBODY) return;
    if (!network_reaches(&world->network, from, to))
        break_link(storage, from, to, SILENCE_US);
    fate = network_send(&world->network, from, to, way_of(world, from, to),
                        FAIR_LOSS + dht_message_is_answer(message->kind));
    for (unsigned i = 0; i < fate.copies; i++) {
        struct arrival *arrival = arrival_new(storage, ARRIVAL_MESSAGE, to);

        if (arrival == NULL) return;
        arrival->peer = (uint32_t)from;
        if (!copy_message(storage, message, &arrival->message)) {
            world_break(world, "a message of dht/ does not parse");
            arrival_free(arrival);
            return;
        }
        world_post(world, hasten(storage, from, to, fate.delay_us[i]), to, arrival);
    }
}

static void note_delivery(struct world *world, size_t to, const struct arrival *arrival)
{
    const struct dht_message *message = &arrival->message;
    struct trace *trace = &world->trace;

    trace_add(trace, world->now_us);
    trace_add(trace, (uint64_t)arrival->peer << 32 | to);
    trace_add(trace, message->request ^ (uint64_t)message->kind << 32);
    trace_add(trace, (uint64_t)message->code << 32 | message->index);
}

/* ---- links ---- */

static void retry_later(struct storage *storage, size_t host, size_t peer)
{
    struct broken_link *link = &storage->hosts[host].links[peer];
    struct arrival *arrival = arrival_new(storage, ARRIVAL_RETRY, host);

    if (arrival == NULL) return;
    link->wait_us = link->wait_us == 0 ? RETRY_MIN_US : 2 * link->wait_us;
    if (link->wait_us > RETRY_MAX_US * storage->options.haste)
        link->wait_us = RETRY_MAX_US * storage->options.haste;
    link->retry_us = storage->world->now_us + link->wait_us;
    arrival->peer = (uint32_t)peer;
    arrival->at_us = link->retry_us;
    world_post(storage->world, link->wait_us, host, arrival);
}

static void link_up(struct storage *storage, size_t host, size_t peer)
{
    const struct dht_event event = {.kind = DHT_PEER_UP, .peer = storage->members[peer].id};

    storage->hosts[host].links[peer] = (struct broken_link){0, 0};
    handle(storage, host, &event);
}

static void link_down(struct storage *storage, size_t host, size_t peer)
{
    const struct dht_event event = {.kind = DHT_PEER_DOWN,
                                    .peer = storage->members[peer].id};
    struct host *h = &storage->hosts[host];

    if (h->links == NULL) h->links = hf_alloc_array(storage->count, sizeof *h->links);
    if (h->links == NULL) {
        world_break(storage->world, "the simulator is out of memory");
        return;
    }
    if (h->links[peer].wait_us == 0) retry_later(storage, host, peer);
    handle(storage, host, &event);
}

static bool is_down(const struct storage *storage, size_t host, size_t peer)
{
    const struct host *h = &storage->hosts[host];

    return h->links != NULL && h->links[peer].wait_us != 0;
}

static void retry(struct storage *storage, size_t host, const struct arrival *arrival)
{
    struct world *world = storage->world;
    const size_t peer = arrival->peer;

    if (!is_down(storage, host, peer) ||
        storage->hosts[host].links[peer].retry_us != arrival->at_us)
        return;
    if (world_host_is_live(world, peer) && world->hosts[peer].frozen_us == 0 &&
        network_reaches(&world->network, host, peer) &&
        network_reaches(&world->network, peer, host))
        link_up(storage, host, peer);
    else
        retry_later(storage, host, peer);
}

/* Nobody listens there: the sender is told at once, or sees it by the silence. */
static void refuse(struct storage *storage, size_t host, const struct arrival *message)
{
    struct world *world = storage->world;
    const size_t from = message->peer;
    const bool aloud = draw_chance(&storage->draw, world->options.reset);

    if (world_host_is_live(world, from))
        break_link(storage, from, host,
                   aloud ? network_delay_us(&world->network, host, from) : SILENCE_US);
}

/* ---- the disk ---- */

static void use_disk(struct storage *storage, size_t host, const struct dht_action *action)
{
    const bool store = action->kind == DHT_ACTION_STORE;
    struct arrival *arrival =
        arrival_new(storage, store ? ARRIVAL_STORED : ARRIVAL_LOADED, host);

    if (arrival == NULL) return;
    arrival->tag = action->tag;
    arrival->item = action->item;
    (void)hf_buffer_ref(arrival->item.manifest);
    (void)hf_buffer_ref(arrival->item.payload);
    world_post(storage->world, storage->options.disk_us, host, arrival);
}

/* Durable from now on, and not before. */
static void stored(struct storage *storage, size_t host, const struct arrival *arrival)
{
    struct dht_event event = {
        .kind = DHT_STORE_DONE, .tag = arrival->tag, .code = HF_DENIED};

    if (arrival->item.kind == DHT_ITEM_FRAGMENT)
        event.code = disk_store(&storage->hosts[host].disk, &arrival->item);
    if (event.code == HF_NO_MEMORY)
        world_break(storage->world, "the simulator is out of memory");
    handle(storage, host, &event);
}

static void loaded(struct storage *storage, size_t host, const struct arrival *arrival)
{
    const struct disk *disk = &storage->hosts[host].disk;
    struct dht_item item = {0};
    struct dht_event event = {
        .kind = DHT_LOADED, .tag = arrival->tag, .code = HF_DENIED, .item = &item};

    if (arrival->item.kind == DHT_ITEM_FRAGMENT)
        event.code = disk_load(disk, &arrival->item, &item);
    if (arrival->item.kind == DHT_ITEM_PRESENCE)
        event.code = disk_presence(disk, &arrival->item, &item);
    handle(storage, host, &event);
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
    arrival = arrival_new(storage, ARRIVAL_FOUND, host);
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

static void found(struct storage *storage, size_t host, const struct arrival *arrival)
{
    const struct found *list = arrival->found;
    struct dht_event event = {.kind = DHT_LOOKUP_FAILED, .tag = arrival->tag};

    if (list != NULL && list->count > 0) {
        event.kind = DHT_FOUND;
        event.ids = list->ids;
        event.away_ms = storage->options.distances ? list->away_ms : NULL;
        event.id_count = list->count;
    }
    handle(storage, host, &event);
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
    case DHT_ACTION_SEND: transmit(storage, host, action); break;
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
    arrival = arrival_new(storage, ARRIVAL_TICK, host);
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

static void handle(struct storage *storage, size_t host, const struct dht_event *event)
{
    if (storage->world->broken == NULL && wake(storage, host)) step(storage, host, event);
}

static void tell_members(struct storage *storage, size_t host)
{
    struct host *h = &storage->hosts[host];
    const struct dht_event event = {
        .kind = DHT_MEMBERS, .members = storage->members, .member_count = storage->count};

    if (h->has_members) return;
    h->has_members = true;
    handle(storage, host, &event);
}

/* ---- what the world tells ---- */

static void receive(struct storage *storage, size_t host, const struct arrival *arrival)
{
    const struct dht_event event = {.kind = DHT_MESSAGE,
                                    .peer = storage->members[arrival->peer].id,
                                    .message = &arrival->message};

    note_delivery(storage->world, host, arrival);
    if (is_down(storage, host, arrival->peer)) link_up(storage, host, arrival->peer);
    handle(storage, host, &event);
}

static void tick(struct storage *storage, size_t host, const struct arrival *arrival)
{
    const struct dht_event event = {.kind = DHT_TICK};
    struct host *h = &storage->hosts[host];

    if (h->tick_us != arrival->at_us) return;
    h->tick_us = WORLD_NEVER;
    handle(storage, host, &event);
}

static void arrive(struct storage *storage, size_t host, const struct arrival *arrival)
{
    switch (arrival->kind) {
    case ARRIVAL_MESSAGE: receive(storage, host, arrival); break;
    case ARRIVAL_BROKEN: link_down(storage, host, arrival->peer); break;
    case ARRIVAL_RETRY: retry(storage, host, arrival); break;
    case ARRIVAL_LOADED: loaded(storage, host, arrival); break;
    case ARRIVAL_STORED: stored(storage, host, arrival); break;
    case ARRIVAL_FOUND: found(storage, host, arrival); break;
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
        refuse(storage, host, arrival);
    } else if (arrival->kind == ARRIVAL_MESSAGE ||
               arrival->incarnation == storage->hosts[host].incarnation) {
        if (arrival->kind == ARRIVAL_MESSAGE && h->frozen_us > world->now_us + SILENCE_US &&
            world_host_is_live(world, arrival->peer))
            break_link(storage, arrival->peer, host, SILENCE_US);
        if (h->frozen_us != 0 && waits(storage, arrival)) {
            world_post(world, h->frozen_us - world->now_us, host, arrival);
            return;
        }
        if (h->frozen_us == 0) arrive(storage, host, arrival);
    }
    arrival_free(arrival);
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
                                            .release = arrival_free};
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

    tell_members(storage, host);
    handle(storage, host, &event);
}

void storage_get(struct storage *storage, size_t host, const struct hf_id *vault,
                 const struct hf_id *block, uint64_t tag)
{
    const struct dht_event event = {
        .kind = DHT_GET, .tag = tag, .vault = *vault, .block = *block};

    tell_members(storage, host);
    handle(storage, host, &event);
}

struct dht_redundancy storage_redundancy(struct storage *storage, size_t host)
{
    tell_members(storage, host);
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
