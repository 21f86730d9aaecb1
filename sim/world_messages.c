#include "sim/world_messages.h"

#include "sim/world_lookups.h"
#include "sim/world_queue.h"

/* Classes within which fair loss takes no two in a row: a question with its tries, an
 * answer whatever it says. */
static unsigned loss_class(enum chord_message_kind kind)
{
    switch (kind) {
    case CHORD_MESSAGE_GET_STATE: return 0;
    case CHORD_MESSAGE_PING: return 1;
    case CHORD_MESSAGE_NEXT_HOP: return 2;
    case CHORD_MESSAGE_NOTIFY: return 3;
    case CHORD_MESSAGE_STATE:
    case CHORD_MESSAGE_BUSY:
    case CHORD_MESSAGE_REFUSED: return 4;
    case CHORD_MESSAGE_PONG: return 5;
    case CHORD_MESSAGE_NEXT: return 6;
    case CHORD_MESSAGE_LEAVING: return 7;
    case CHORD_MESSAGE_WITNESS: return 8;
    case CHORD_MESSAGE_WITNESSED: return 9;
    case CHORD_MESSAGE_CHANGED: return 10;
    }
    return 7;
}

static void dispatch(struct world *world, size_t from, size_t to, uint64_t delay_us,
                     const struct chord_message *message)
{
    struct parcel *parcel = parcel_new(message, from, world->options.encode);

    if (parcel == NULL)
        world_break(world, "the simulator is out of memory");
    else if (!world_push(world, world->now_us + delay_us, WORLD_EVENT_MESSAGE, to, parcel,
                         0))
        parcel_free(parcel);
}

static void transmit(struct world *world, size_t from, const struct chord_message *message)
{
    const size_t to = world_place_of(world, &message->to);
    struct network_fate fate;

    if (to == WORLD_NOBODY) return; /* a position that a liar made up */
    if (world_host_of(world, to) == world_host_of(world, from)) { /* no link is used */
        dispatch(world, from, to, 0, message);
        return;
    }
    world->messages++;
    if (world->options.count_bytes) world->bytes += parcel_encoded_size(message);
    fate =
        network_send(&world->network, world_host_of(world, from), world_host_of(world, to),
                     from * world->count + to, loss_class(message->kind));
    for (unsigned i = 0; i < fate.copies; i++)
        dispatch(world, from, to, fate.delay_us[i], message);
}

void world_messages_send(struct world *world, size_t from,
                         const struct chord_message *message)
{
    struct chord_message changed;

    world_lookups_sent(world, from, message);
    if (!world->hosts[world_host_of(world, from)].liar || world->client.tamper == NULL) {
        transmit(world, from, message);
        return;
    }
    changed = *message;
    if (world->client.tamper(world, world->client.context, from, &changed))
        transmit(world, from, &changed);
}

static void note_delivery(struct world *world, size_t to, const struct parcel *parcel,
                          const struct chord_message *message)
{
    struct trace *trace = &world->trace;

    trace_add(trace, world->now_us);
    trace_add(trace, (uint64_t)parcel->from << 32 | to);
    if (parcel->encoded) {
        trace_add_bytes(trace, parcel->bytes, parcel->size);
    } else {
        trace_add(trace, message->rpc ^ (uint64_t)message->kind << 32);
        trace_add(trace, message->peer_count);
    }
    world_lookups_heard(world, to, parcel->from, message);
}

static void deliver(struct world *world, size_t to, struct parcel *parcel)
{
    struct chord_message message;
    struct chord_event event = {
        .kind = CHORD_MESSAGE, .peer = &world->peers[parcel->from], .message = &message};

    if (!parcel_read(parcel, &message)) {
        world_break(world, "a message does not parse");
        return;
    }
    note_delivery(world, to, parcel, &message);
    world->heard = &message;
    world_step(world, to, &event);
    world->heard = NULL;
}

bool world_messages_arrive(struct world *world, size_t to, struct parcel *parcel)
{
    const struct world_host *host = &world->hosts[world_host_of(world, to)];

    if (world->nodes[to].node == NULL) {
        if (draw_chance(&world->draw, world->options.reset)) {
            const uint64_t back_us =
                network_delay_us(&world->network, world_host_of(world, to),
                                 world_host_of(world, parcel->from));

            (void)world_push(world, world->now_us + back_us, WORLD_EVENT_RESET,
                             parcel->from, NULL, to);
        }
        return false;
    }
    if (host->frozen_us != 0) {
        return draw_chance(&world->draw, world->options.backlog) &&
               world_push(world, host->frozen_us, WORLD_EVENT_MESSAGE, to, parcel, 0);
    }
    deliver(world, to, parcel);
    return false;
}

void world_messages_refused(struct world *world, size_t to, size_t place)
{
    const struct world_host *host = &world->hosts[world_host_of(world, to)];
    struct chord_event event = {.kind = CHORD_UNREACHABLE, .peer = &world->peers[place]};

    for (uint32_t i = 0; i < host->place_count; i++) {
        if (world->nodes[host->places[i]].node != NULL && host->frozen_us == 0)
            world_step(world, host->places[i], &event);
    }
}
