#include "sim/world_steps.h"

#include "sim/judge.h"
#include "sim/world_lookups.h"
#include "sim/world_messages.h"
#include "sim/world_queue.h"

static void judge_now(struct world *world)
{
    const char *why = judge_check(world->judge, world);

    if (why != NULL) world_break(world, why);
}

void world_steps_judge(struct world *world, size_t host)
{
    const struct world_host *h = &world->hosts[host];

    if (world->judge == NULL) return;
    for (uint32_t i = 0; i < h->place_count; i++)
        judge_refresh(world->judge, world, h->places[i]);
    judge_now(world);
}

void world_steps_plan(struct world *world, size_t place)
{
    struct world_node *n = &world->nodes[place];
    const uint64_t at_us = n->deadline_us > world->now_us ? n->deadline_us : world->now_us;

    if (n->deadline_us == WORLD_NEVER || at_us >= n->tick_us) return;
    if (world_push(world, at_us, WORLD_EVENT_TICK, place, NULL, 0)) n->tick_us = at_us;
}

static void obey(struct world *world, size_t place, bool *changed)
{
    const struct chord_output *out = world->out;

    for (size_t i = 0; i < out->action_count; i++) {
        const struct chord_action *action = &out->actions[i];

        switch (action->kind) {
        case CHORD_SEND: world_messages_send(world, place, action->message); break;
        case CHORD_FOUND:
        case CHORD_FAILED: world_lookups_end(world, action); break;
        case CHORD_NEIGHBOURS: *changed = true; break;
        case CHORD_WRONG: break;
        }
    }
}

void world_step(struct world *world, size_t place, struct chord_event *event)
{
    struct world_node *n = &world->nodes[place];
    const enum chord_mode before = chord_node_mode(n->node);
    bool changed = false;

    if (world->broken != NULL) return;
    event->now_ms = world_local_ms(world, n->host);
    chord_step(n->node, event, world->out);
    world->steps++;
    n->deadline_us = world_true_us(world, n->host, world->out->deadline_ms);
    world_steps_plan(world, place);
    obey(world, place, &changed);
    if (!chord_node_check(n->node)) world_break(world, "a node broke its own rules");
    if (world->judge != NULL && (changed || before != chord_node_mode(n->node))) {
        judge_refresh(world->judge, world, place);
        judge_now(world);
    }
    if (world->broken != NULL && world->broken_place == WORLD_NOBODY)
        world->broken_place = place;
}

void world_steps_tick(struct world *world, size_t place, uint64_t at_us)
{
    struct world_node *n = &world->nodes[place];
    const struct world_host *host = &world->hosts[n->host];
    struct chord_event event = {.kind = CHORD_TICK};

    if (n->tick_us != at_us) return; /* an earlier one took its place */
    n->tick_us = WORLD_NEVER;
    if (n->node == NULL) return;
    if (host->frozen_us != 0 && host->frozen_us <= world->now_us)
        world_thaw(world, n->host);
    else if (n->deadline_us > world->now_us)
        world_steps_plan(world, place);
    else
        world_step(world, place, &event);
}
