#include "sim/gossip_world.h"

#include "base/alloc.h"
#include "sim/gossip_lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX ((size_t)1 << 24)

static uint64_t now_ms(const struct gossip_world *world)
{
    return world->now_us / 1000;
}

static size_t place_of(const struct gossip_world *world, const struct hf_id *id)
{
    size_t low = 0;
    size_t high = world->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&world->nodes[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < world->count);
    return low;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- nodes ---- */

static void pass_on_soon(struct gossip_world *world, size_t at)
{
    world->nodes[at].pass_at_us = world->now_us + world->options.pass_on_us;
    gossip_lines_push(world, world->options.pass_on_us, GOSSIP_EVENT_PASS_ON, at, 0);
}

static void round_after(struct gossip_world *world, size_t at, uint64_t delay_us)
{
    world->nodes[at].round_at_us = world->now_us + delay_us;
    gossip_lines_push(world, delay_us, GOSSIP_EVENT_ROUND, at, 0);
}

static void perform(struct gossip_world *world, size_t at,
                    const struct spread_action *action)
{
    const size_t to = action->kind == SPREAD_NEWS ? at : place_of(world, &action->node);

    switch (action->kind) {
    case SPREAD_DIGEST: gossip_lines_send_digest(world, at, to); break;
    case SPREAD_ROSTER: gossip_lines_send_bundle(world, at, to, action->since); break;
    case SPREAD_CONNECT: gossip_lines_connect(world, at, to); break;
    case SPREAD_READDRESS: world->nodes[at].readdressed++; break;
    case SPREAD_DROP: gossip_lines_break(world, at, to); break;
    case SPREAD_NEWS: pass_on_soon(world, at); break;
    }
}

static void perform_all(struct gossip_world *world, size_t at)
{
    const struct spread_action *action;

    while ((action = spread_next(world->nodes[at].spread)) != NULL)
        perform(world, at, action);
}

void gossip_world_told(struct gossip_world *world, size_t at)
{
    const struct spread_knowledge known = world->facts.known(world->facts.context, at);

    spread_knows(world->nodes[at].spread, &known);
    perform_all(world, at);
}

static void set_members(struct gossip_world *world, size_t at)
{
    const struct gossip_facts *facts = &world->facts;
    struct spread_member *members = hf_alloc_array(world->count, sizeof *members);
    struct hf_err err;

    if (members == NULL) {
        gossip_lines_fail(world);
        return;
    }
    for (size_t i = 0; i < world->count; i++) {
        members[i].node = world->nodes[i].id;
        members[i].up = gossip_lines_is_linked(world, at, i);
        if (facts->announced != NULL)
            members[i].announced = facts->announced(facts->context, at, i);
    }
    if (spread_set_members(world->nodes[at].spread, members, world->count, now_ms(world),
                           &err) != HF_OK)
        gossip_lines_fail(world);
    free(members);
}

static void run_round(struct gossip_world *world, size_t at)
{
    const uint64_t round_us = world->options.round_us;

    spread_round(world->nodes[at].spread, draw_next(&world->draw));
    perform_all(world, at);
    round_after(world, at, round_us / 2 + draw_below(&world->draw, round_us));
}

static void run_pass_on(struct gossip_world *world, size_t at)
{
    world->nodes[at].pass_at_us = 0;
    if (world->facts.announced != NULL) {
        set_members(world, at);
        perform_all(world, at);
    }
    spread_pass_on(world->nodes[at].spread, draw_next(&world->draw));
    perform_all(world, at);
}

static void make_link(struct gossip_world *world, size_t a, size_t b)
{
    if (gossip_lines_is_linked(world, a, b) || !gossip_lines_may_link(world, a, b)) return;
    gossip_lines_flip(world, a, b);
    spread_up(world->nodes[a].spread, &world->nodes[b].id, now_ms(world));
    perform_all(world, a);
    spread_up(world->nodes[b].spread, &world->nodes[a].id, now_ms(world));
    perform_all(world, b);
}

static void lose_link(struct gossip_world *world, size_t at, size_t to)
{
    if (gossip_lines_is_linked(world, at, to)) return; /* made meanwhile */
    spread_down(world->nodes[at].spread, &world->nodes[to].id, now_ms(world));
    perform_all(world, at);
}

static void merge(struct gossip_world *world, size_t at, const struct gossip_bundle *bundle)
{
    struct gossip_node *node = &world->nodes[at];
    const uint64_t revision = spread_known(node->spread)->revision;

    world->facts.merge(world->facts.context, at, bundle);
    if (world->facts.known(world->facts.context, at).revision > revision)
        node->depth = larger(node->depth, world->depth);
    gossip_world_told(world, at);
}

static void deliver(struct gossip_world *world, const struct queue_event *event)
{
    const struct gossip_message *message = event->what.body;
    struct gossip_node *node = &world->nodes[event->place];

    if (!node->alive || !gossip_lines_is_linked(world, event->place, message->from)) return;
    if (message->count_number == world->count_number) world->depth = message->depth;
    trace_add_bytes(&world->trace, message->digest.b, sizeof message->digest.b);
    if (event->kind == GOSSIP_EVENT_BUNDLE) {
        merge(world, event->place, &message->bundle);
    } else {
        spread_compare(node->spread, &world->nodes[message->from].id, &message->digest,
                       now_ms(world));
        perform_all(world, event->place);
    }
    world->depth = 0;
}

/* ---- time ---- */

static void happen(struct gossip_world *world, const struct queue_event *event)
{
    const size_t at = event->place;
    const struct gossip_node *node = &world->nodes[at];

    if (gossip_lines_is_message(event)) {
        deliver(world, event);
        gossip_lines_free(event->what.body);
        return;
    }
    if (!node->alive) return;
    switch ((enum gossip_event)event->kind) {
    case GOSSIP_EVENT_LINK: make_link(world, at, (size_t)event->what.number); break;
    case GOSSIP_EVENT_BROKEN:
    case GOSSIP_EVENT_MISSED: lose_link(world, at, (size_t)event->what.number); break;
    case GOSSIP_EVENT_ROUND: /* but for those of before a sleep */
        if (node->round_at_us == event->at_us) run_round(world, at);
        break;
    case GOSSIP_EVENT_PASS_ON:
        if (node->pass_at_us == event->at_us) run_pass_on(world, at);
        break;
    case GOSSIP_EVENT_DIGEST:
    case GOSSIP_EVENT_BUNDLE: break;
    }
}

static bool has_next(const struct gossip_world *world, uint64_t until_us)
{
    const struct queue_event *first = queue_first(&world->queue);

    return world->broken == NULL && first != NULL && first->at_us <= until_us;
}

static void step(struct gossip_world *world)
{
    const struct queue_event event = queue_pop(&world->queue);

    world->now_us = larger(world->now_us, event.at_us);
    trace_add(&world->trace, world->now_us);
    trace_add(&world->trace, (uint64_t)event.kind << 32 | event.place);
    happen(world, &event);
}

void gossip_world_run(struct gossip_world *world, uint64_t duration_us)
{
    const uint64_t until_us = world->now_us + duration_us;

    while (has_next(world, until_us))
        step(world);
    world->now_us = until_us;
}

uint64_t gossip_world_until_agreed(struct gossip_world *world, uint64_t max_us)
{
    const uint64_t start_us = world->now_us;

    while (!gossip_world_agrees(world)) {
        if (!has_next(world, start_us + max_us)) return UINT64_MAX;
        step(world);
    }
    return world->broken != NULL ? UINT64_MAX : world->now_us - start_us;
}

void gossip_world_skip(struct gossip_world *world, uint64_t duration_us)
{
    world->now_us += duration_us;
}

void gossip_world_count(struct gossip_world *world)
{
    world->digests = 0;
    world->bundles = 0;
    world->told = 0;
    world->count_number++;
    for (size_t i = 0; i < world->count; i++)
        world->nodes[i].depth = 0;
}

/* ---- looking at it ---- */

static bool differ(const struct gossip_world *world, size_t a, size_t b)
{
    const struct gossip_node *one = &world->nodes[a];
    const struct gossip_node *other = &world->nodes[b];

    return one->alive && other->alive &&
           !hf_id_equal(&spread_known(one->spread)->digest,
                        &spread_known(other->spread)->digest);
}

/* Asked after every event: the two that differed before mostly still do, and those before
 * them mostly still agree. */
bool gossip_world_agrees(struct gossip_world *world)
{
    size_t first = 0;

    if (differ(world, world->apart[0], world->apart[1])) return false;
    while (first < world->count && !world->nodes[first].alive)
        first++;
    for (size_t i = 0; i < world->count && first < world->count; i++) {
        const size_t other = (world->apart[1] + i) % world->count;

        if (!differ(world, first, other)) continue;
        world->apart[0] = first;
        world->apart[1] = other;
        return false;
    }
    return true;
}

uint64_t gossip_world_depth(const struct gossip_world *world)
{
    uint64_t depth = 0;

    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].alive) depth = larger(depth, world->nodes[i].depth);
    }
    return depth;
}

/* ---- what happens to nodes ---- */

void gossip_world_sleep(struct gossip_world *world, size_t at)
{
    for (size_t i = 0; i < world->count; i++)
        gossip_lines_break(world, at, i);
    world->nodes[at].alive = false;
}

void gossip_world_wake(struct gossip_world *world, size_t at)
{
    struct gossip_node *node = &world->nodes[at];

    node->alive = true;
    if (node->pass_at_us > 0) pass_on_soon(world, at);
    round_after(world, at, 0);
    for (size_t i = 0; i < world->count; i++) /* it finds its links broken */
        lose_link(world, at, i);
}

void gossip_world_cut(struct gossip_world *world)
{
    for (size_t a = 0; a < world->count; a++) {
        for (size_t b = 0; b < a; b++) {
            if (world->nodes[a].side != world->nodes[b].side)
                gossip_lines_break(world, a, b);
        }
    }
}

static void start(struct gossip_world *world, size_t at)
{
    const struct spread_knowledge known = world->facts.known(world->facts.context, at);
    struct gossip_node *node = &world->nodes[at];

    spread_free(node->spread);
    node->spread = spread_new(&node->id, &known);
    node->alive = true;
    node->links = 0;
    node->pass_at_us = 0;
    if (node->spread == NULL) {
        gossip_lines_fail(world);
        return;
    }
    set_members(world, at);
    while (spread_next(node->spread) != NULL) /* there are no links yet */
        continue;
    round_after(world, at, draw_below(&world->draw, world->options.round_us));
}

static void start_all(struct gossip_world *world)
{
    for (size_t i = 0; i < world->count && world->broken == NULL; i++)
        start(world, i);
}

static size_t link_bytes(const struct gossip_world *world)
{
    return (world->count * world->count + 7) / 8;
}

void gossip_world_restart(struct gossip_world *world)
{
    gossip_lines_clear(world);
    memset(world->linked, 0, link_bytes(world));
    start_all(world);
}

/* ---- making ---- */

struct gossip_world *gossip_world_new(const struct gossip_world_options *options,
                                      const struct hf_id *ids,
                                      const struct gossip_facts *facts)
{
    struct gossip_world *world = hf_alloc_array(1, sizeof *world);

    assert(options->nodes > 0 && options->nodes <= NODES_MAX);
    if (world == NULL) {
        facts->free(facts->context);
        return NULL;
    }
    world->options = *options;
    world->facts = *facts;
    world->count = options->nodes;
    world->draw = draw_init(options->seed, 2);
    world->nodes = hf_alloc_array(world->count, sizeof *world->nodes);
    world->linked = hf_alloc_array(link_bytes(world), 1);
    if (!network_init(&world->network, &options->network, world->count, world->count,
                      options->seed) ||
        world->nodes == NULL || world->linked == NULL) {
        gossip_world_free(world);
        return NULL;
    }
    for (size_t i = 0; i < world->count; i++)
        world->nodes[i].id = ids[i];
    start_all(world);
    if (world->broken == NULL) return world;
    gossip_world_free(world);
    return NULL;
}

void gossip_world_free(struct gossip_world *world)
{
    if (world == NULL) return;
    gossip_lines_clear(world);
    queue_done(&world->queue);
    for (size_t i = 0; i < world->count && world->nodes != NULL; i++)
        spread_free(world->nodes[i].spread);
    world->facts.free(world->facts.context);
    network_done(&world->network);
    free(world->nodes);
    free(world->linked);
    free(world);
}
