/* What happens to whole hosts: world.h. */
#include "sim/judge.h"
#include "sim/world_lookups.h"
#include "sim/world_steps.h"

static void tell_service(struct world *world, size_t host, enum world_change change)
{
    if (world->service.on_host != NULL)
        world->service.on_host(world, world->service.context, host, change);
}

/* ---- clocks ---- */

/* Of its clock, for every 1000. */
static uint64_t rate_of(const struct world_host *h)
{
    const int64_t rate = INT64_C(1000) + h->skew;

    return (uint64_t)rate;
}

/* A host's clock starts anywhere and runs by 1000 + skew for every 1000. */
uint64_t world_local_ms(const struct world *world, size_t host)
{
    const struct world_host *h = &world->hosts[host];

    return h->clock_ms + world->now_us * rate_of(h) / 1000000;
}

uint64_t world_true_us(const struct world *world, size_t host, uint64_t local_ms)
{
    const struct world_host *h = &world->hosts[host];
    const uint64_t rate = rate_of(h);

    if (local_ms == UINT64_MAX) return WORLD_NEVER;
    if (local_ms <= h->clock_ms) return 0;
    return ((local_ms - h->clock_ms) * 1000000 + rate - 1) / rate;
}

static void draw_clock(struct world *world, struct world_host *h)
{
    const int skew_max = (int)world->options.skew_max;

    h->clock_ms = 1 + draw_below(&world->draw, 1u << 30);
    h->skew = (int)draw_below(&world->draw, 2 * (uint64_t)skew_max + 1) - skew_max;
}

/* ---- life ---- */

static void start_place(struct world *world, size_t place)
{
    struct world_node *n = &world->nodes[place];
    struct chord_config config = world->options.chord;

    config.seed = draw_next(&world->draw);
    n->node = chord_node_new(&world->peers[place], &config);
    n->deadline_us = WORLD_NEVER;
    if (n->node == NULL)
        world_break(world, "the simulator is out of memory");
    else
        world->live++;
}

void world_start(struct world *world, size_t host)
{
    struct world_host *h = &world->hosts[host];

    start_place(world, h->places[0]);
    draw_clock(world, h);
    for (uint32_t i = 1; i < h->place_count; i++)
        start_place(world, h->places[i]);
    h->started_us = world->now_us;
    h->frozen_us = 0;
    tell_service(world, host, WORLD_STARTED);
}

static void step_all(struct world *world, size_t host, struct chord_event *event)
{
    const struct world_host *h = &world->hosts[host];

    for (uint32_t i = 0; i < h->place_count; i++)
        world_step(world, h->places[i], event);
}

void world_join(struct world *world, size_t host, size_t contact)
{
    struct chord_event event = {.kind = CHORD_JOIN, .peer = &world->peers[contact]};

    step_all(world, host, &event);
}

void world_roster(struct world *world, size_t host, const struct chord_peer *peers,
                  size_t count)
{
    struct chord_event event = {.kind = CHORD_ROSTER, .peers = peers, .peer_count = count};

    step_all(world, host, &event);
}

void world_crash(struct world *world, size_t host)
{
    struct world_host *h = &world->hosts[host];

    for (uint32_t i = 0; i < h->place_count; i++) {
        struct world_node *n = &world->nodes[h->places[i]];

        world_lookups_drop(world, h->places[i]);
        chord_node_free(n->node);
        n->node = NULL;
        world->live--;
    }
    h->frozen_us = 0;
    h->liar = false;
    tell_service(world, host, WORLD_CRASHED);
    world_steps_judge(world, host);
}

/* Nobody sees the host when only some of its positions have left. */
void world_leave(struct world *world, size_t host)
{
    struct chord_event event = {.kind = CHORD_LEAVE};
    struct judge *judge = world->judge;

    world->judge = NULL;
    step_all(world, host, &event);
    world->judge = judge;
    world_crash(world, host);
}

/* The judge did not see it while it was frozen. */
void world_thaw(struct world *world, size_t host)
{
    struct chord_event event = {.kind = CHORD_TICK};
    struct world_host *h = &world->hosts[host];

    if (!world_host_is_live(world, host) || h->frozen_us == 0) return;
    h->frozen_us = 0;
    step_all(world, host, &event);
    world_steps_judge(world, host);
    tell_service(world, host, WORLD_THAWED);
}

void world_freeze(struct world *world, size_t host, uint64_t duration_us)
{
    struct world_host *h = &world->hosts[host];

    h->frozen_us = world->now_us + duration_us;
    for (uint32_t i = 0; i < h->place_count; i++) {
        struct world_node *n = &world->nodes[h->places[i]];

        n->deadline_us = h->frozen_us;
        n->tick_us = WORLD_NEVER; /* the one in the queue is for nothing */
        world_steps_plan(world, h->places[i]);
    }
    world_steps_judge(world, host);
}
