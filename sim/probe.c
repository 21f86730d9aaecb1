#include "sim/probe.h"

void probe_ask(struct probe *probe, struct world *world, size_t asker, struct draw *draw)
{
    struct hf_id key;

    draw_id(draw, &key);
    probe->started++;
    world_lookup(world, asker, &key, 2, probe->user);
}

void probe_all(struct probe *probe, struct world *world, struct draw *draw)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world_is_live(world, i)) probe_ask(probe, world, i, draw);
    }
}

void probe_note(struct probe *probe, const struct world *world,
                const struct world_answer *answer)
{
    probe->ended++;
    if (!answer->found)
        probe->failed++;
    else if (world_first_live(world, answer) != world_owner(world, &answer->key))
        probe->wrong++;
}
