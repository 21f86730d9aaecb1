#include "sim/liar.h"

#include "chord/circle.h"

#include <string.h>

#define CLOSER 8u /* peers that an honest answer names on the way */

/* Up to `count` places clockwise from `start`, some of them left out. */
static void name_places(const struct world *world, struct draw *draw, size_t start,
                        size_t count, struct chord_message *message)
{
    message->peer_count = 0;
    for (size_t i = 0; i < world->count && message->peer_count < count; i++) {
        if (draw_below(draw, 2) == 0)
            message->peers[message->peer_count++] =
                world->peers[(start + i) % world->count];
    }
}

static void leave_out(struct draw *draw, struct chord_message *message)
{
    const size_t out = draw_below(draw, message->peer_count + 1);

    message->peer_count -= out;
    memmove(&message->peers[0], &message->peers[out],
            message->peer_count * sizeof message->peers[0]);
}

static void lie_about_state(const struct world *world, struct draw *draw, size_t from,
                            struct chord_message *message)
{
    switch (draw_below(draw, 3)) {
    case 0: leave_out(draw, message); break;
    case 1: name_places(world, draw, from + 1, message->peer_count, message); break;
    default:
        message->has_predecessor = true;
        message->predecessor = world->peers[draw_below(draw, world->count)];
        break;
    }
}

static void lie_about_key(const struct world *world, struct draw *draw, size_t from,
                          struct chord_message *message)
{
    switch (draw_below(draw, 4)) {
    case 0: leave_out(draw, message); break;
    case 1: /* mine */
        message->done = true;
        name_places(world, draw, from, 4, message);
        message->peers[0] = world->peers[from];
        break;
    case 2: message->done = !message->done; break;
    default:
        message->done = draw_below(draw, 2) == 0;
        name_places(world, draw, draw_below(draw, world->count), 4, message);
        break;
    }
}

void liar_change(const struct world *world, struct draw *draw, size_t from,
                 struct chord_message *message)
{
    if (message->kind == CHORD_MESSAGE_STATE)
        lie_about_state(world, draw, from, message);
    else if (message->kind == CHORD_MESSAGE_NEXT)
        lie_about_key(world, draw, from, message);
}

/* ---- liars with a purpose ---- */

static bool lies(const struct world *world, size_t place)
{
    return world_is_live(world, place) && world->hosts[world_host_of(world, place)].liar;
}

static bool is_dead(const struct world *world, size_t place)
{
    return !world_is_live(world, place);
}

/* Up to `count` such places clockwise from `start`. */
static void name_such(const struct world *world, size_t start, size_t count,
                      bool (*such)(const struct world *world, size_t place),
                      struct chord_message *message)
{
    for (size_t i = 0; i < world->count && message->peer_count < count; i++) {
        const size_t place = (start + i) % world->count;

        if (such(world, place)) message->peers[message->peer_count++] = world->peers[place];
    }
}

/* Nodes that are nowhere, from the key itself on. */
static void make_up(const struct hf_id *key, size_t count, struct chord_message *message)
{
    struct hf_id id = *key;

    while (message->peer_count < count) {
        message->peers[message->peer_count++] = chord_peer_of(&id, 0);
        chord_add_power(&id, 0, &id);
    }
}

static void change_state(const struct world *world, enum liar_kind kind, size_t from,
                         struct chord_message *message)
{
    const size_t count = message->peer_count;

    if (kind != LIAR_LIARS && kind != LIAR_NOBODY) return;
    message->peer_count = 0;
    name_such(world, from + 1, count, kind == LIAR_LIARS ? lies : is_dead, message);
}

/* To liars before the key: closer to it, so there is nothing to say against it. */
static void lead_astray(const struct world *world, size_t place,
                        struct chord_message *message)
{
    message->done = false;
    for (size_t i = 1; i < world->count && message->peer_count < CLOSER; i++) {
        const size_t before = (place + world->count - i) % world->count;

        if (lies(world, before))
            message->peers[message->peer_count++] = world->peers[before];
    }
}

static bool change_next(const struct world *world, struct draw *draw, enum liar_kind kind,
                        size_t from, struct chord_message *message)
{
    const struct hf_id *key = &world->heard->key;
    const size_t place = world_place_at(world, key);

    message->peer_count = 0;
    message->done = true;
    switch (kind) {
    case LIAR_SELF: message->peers[message->peer_count++] = world->peers[from]; break;
    case LIAR_LIARS: name_such(world, place, world->heard->wanted, lies, message); break;
    case LIAR_NOBODY:
        if (draw_below(draw, 2) == 0)
            make_up(key, world->heard->wanted, message);
        else
            name_such(world, place, world->heard->wanted, is_dead, message);
        break;
    case LIAR_STALLS:
    case LIAR_KINDS: lead_astray(world, place, message); return draw_below(draw, 2) == 0;
    }
    return true;
}

bool liar_answer(const struct world *world, struct draw *draw, enum liar_kind kind,
                 size_t from, struct chord_message *message)
{
    if (world->heard == NULL) return true;
    if (message->kind == CHORD_MESSAGE_STATE) change_state(world, kind, from, message);
    if (message->kind == CHORD_MESSAGE_NEXT)
        return change_next(world, draw, kind, from, message);
    return true;
}
