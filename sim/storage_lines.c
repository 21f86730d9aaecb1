#include "sim/storage_lines.h"

#include "base/alloc.h"

#define RETRY_MIN_US WORLD_SECOND
#define RETRY_MAX_US (30 * WORLD_SECOND)
#define FAIR_LOSS    11u /* classes after those of chord's messages: questions, answers */

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
    struct arrival *arrival = storage_arrival_new(storage, ARRIVAL_BROKEN, host);

    if (arrival == NULL) return;
    arrival->peer = (uint32_t)peer;
    world_post(storage->world, in_us, host, arrival);
}

/* Between their first positions, for they have no others here. */
static size_t way_of(const struct world *world, size_t from, size_t to)
{
    return world->hosts[from].places[0] * world->count + world->hosts[to].places[0];
}

void storage_lines_send(struct storage *storage, size_t from,
                        const struct dht_action *action)
{
    struct world *world = storage->world;
    const struct dht_message *message = &action->message;
    const size_t to = host_of(storage, &action->peer);
    struct network_fate fate;

    if (to == WORLD_NOBODY) return;
    if (!network_reaches(&world->network, from, to))
        storage_lines_fall_silent(storage, from, to);
    fate = network_send(&world->network, from, to, way_of(world, from, to),
                        FAIR_LOSS + dht_message_is_answer(message->kind));
    for (unsigned i = 0; i < fate.copies; i++) {
        struct arrival *arrival = storage_arrival_new(storage, ARRIVAL_MESSAGE, to);

        if (arrival == NULL) return;
        arrival->peer = (uint32_t)from;
        if (!copy_message(storage, message, &arrival->message)) {
            world_break(world, "a message of dht/ does not parse");
            storage_arrival_free(arrival);
            return;
        }
        world_post(world, hasten(storage, from, to, fate.delay_us[i]), to, arrival);
    }
}

void storage_lines_fall_silent(struct storage *storage, size_t host, size_t peer)
{
    if (world_host_is_live(storage->world, host))
        break_link(storage, host, peer, STORAGE_SILENCE_US);
}

/* ---- links ---- */

static void retry_later(struct storage *storage, size_t host, size_t peer)
{
    struct broken_link *link = &storage->hosts[host].links[peer];
    struct arrival *arrival = storage_arrival_new(storage, ARRIVAL_RETRY, host);

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
    storage_handle(storage, host, &event);
}

void storage_lines_down(struct storage *storage, size_t host, size_t peer)
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
    storage_handle(storage, host, &event);
}

static bool is_down(const struct storage *storage, size_t host, size_t peer)
{
    const struct host *h = &storage->hosts[host];

    return h->links != NULL && h->links[peer].wait_us != 0;
}

void storage_lines_retry(struct storage *storage, size_t host,
                         const struct arrival *arrival)
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

void storage_lines_refuse(struct storage *storage, size_t host,
                          const struct arrival *message)
{
    struct world *world = storage->world;
    const size_t from = message->peer;
    const bool aloud = draw_chance(&storage->draw, world->options.reset);

    if (world_host_is_live(world, from))
        break_link(storage, from, host,
                   aloud ? network_delay_us(&world->network, host, from)
                         : STORAGE_SILENCE_US);
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

void storage_lines_receive(struct storage *storage, size_t host,
                           const struct arrival *arrival)
{
    const struct dht_event event = {.kind = DHT_MESSAGE,
                                    .peer = storage->members[arrival->peer].id,
                                    .message = &arrival->message};

    note_delivery(storage->world, host, arrival);
    if (is_down(storage, host, arrival->peer)) link_up(storage, host, arrival->peer);
    storage_handle(storage, host, &event);
}
