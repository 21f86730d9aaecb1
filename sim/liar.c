#include "sim/liar.h"

#include <string.h>

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
