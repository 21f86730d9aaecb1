#include "sim/world.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "chord/state.h" /* which lookup a question belongs to */
#include "sim/judge.h"
#include "sim/parcel.h"
#include "sim/world_index.h"

#include <stdlib.h>
#include <string.h>

enum event_kind { EVENT_MESSAGE, EVENT_TICK, EVENT_TIMER, EVENT_RESET, EVENT_SERVICE };

/* ---- making ---- */

static int compare_peers(const void *a, const void *b)
{
    const struct chord_peer *x = a;
    const struct chord_peer *y = b;

    return hf_id_compare(&x->position, &y->position);
}

static bool make_places(struct world *world)
{
    struct draw draw = draw_init(world->options.seed, 2);

    world->peers = hf_alloc_array(world->count, sizeof *world->peers);
    world->nodes = hf_alloc_array(world->count, sizeof *world->nodes);
    if (world->peers == NULL || world->nodes == NULL) return false;
    for (size_t i = 0; i < world->count; i++) {
        struct hf_id id;

        draw_id(&draw, &id);
        world->peers[i] = chord_peer_of(&id, 0);
        world->nodes[i].tick_us = WORLD_NEVER;
    }
    qsort(world->peers, world->count, sizeof *world->peers, compare_peers);
    return world_index_make(world);
}

struct world *world_new(const struct world_options *options,
                        const struct world_client *client)
{
    struct world *world = calloc(1, sizeof *world);

    if (world == NULL) return NULL;
    world->options = *options;
    world->client = *client;
    world->count = options->places;
    world->now_us = 1;
    world->lookup_free = WORLD_NOBODY;
    world->broken_place = WORLD_NOBODY;
    world->draw = draw_init(options->seed, 3);
    world->out = malloc(sizeof *world->out);
    if (world->out == NULL || !make_places(world) ||
        !network_init(&world->network, &options->network, options->places, options->seed))
        goto fail;
    if (options->judged) {
        world->judge = judge_new(world->count, options->chord.successors);
        if (world->judge == NULL) goto fail;
    }
    return world;
fail:
    world_free(world);
    return NULL;
}

void world_free(struct world *world)
{
    if (world == NULL) return;
    for (size_t i = 0; i < world->queue.count; i++) {
        const struct queue_event *event = &world->queue.events[i];

        if (event->kind == EVENT_MESSAGE) parcel_free(event->what.body);
        if (event->kind == EVENT_SERVICE) world->service.release(event->what.body);
    }
    queue_done(&world->queue);
    for (size_t i = 0; i < world->count && world->nodes != NULL; i++)
        chord_node_free(world->nodes[i].node);
    network_done(&world->network);
    judge_free(world->judge);
    free(world->lookups);
    free(world->by_position);
    free(world->nodes);
    free(world->peers);
    free(world->out);
    free(world);
}

void world_each_message(const struct world *world, void *context,
                        void (*see)(void *context, size_t to,
                                    const struct chord_message *message))
{
    for (size_t i = 0; i < world->queue.count; i++) {
        const struct queue_event *event = &world->queue.events[i];
        struct chord_message message;

        if (event->kind == EVENT_MESSAGE && parcel_read(event->what.body, &message))
            see(context, event->place, &message);
    }
}

/* ---- time ---- */

void world_break(struct world *world, const char *why)
{
    if (world->broken == NULL) world->broken = why;
}

static bool push(struct world *world, uint64_t at_us, enum event_kind kind, size_t place,
                 void *body, uint64_t number)
{
    struct queue_event event = {
        .at_us = at_us, .kind = (uint32_t)kind, .place = (uint32_t)place};

    if (body != NULL)
        event.what.body = body;
    else
        event.what.number = number;
    if (queue_push(&world->queue, &event)) return true;
    world_break(world, "the simulator is out of memory");
    return false;
}

void world_after(struct world *world, uint64_t delay_us, uint64_t what)
{
    (void)push(world, world->now_us + delay_us, EVENT_TIMER, 0, NULL, what);
}

void world_post(struct world *world, uint64_t delay_us, size_t host, void *body)
{
    if (!push(world, world->now_us + delay_us, EVENT_SERVICE, host, body, 0))
        world->service.release(body);
}

/* A node's clock starts anywhere and runs by 1000 + skew for every 1000. */
uint64_t world_local_ms(const struct world *world, size_t host)
{
    const struct world_node *n = &world->nodes[host];

    return n->clock_ms + world->now_us * (uint64_t)(1000 + n->skew) / 1000000;
}

uint64_t world_true_us(const struct world *world, size_t host, uint64_t local_ms)
{
    const struct world_node *n = &world->nodes[host];
    const uint64_t rate = (uint64_t)(1000 + n->skew);

    if (local_ms == UINT64_MAX) return WORLD_NEVER;
    if (local_ms <= n->clock_ms) return 0;
    return ((local_ms - n->clock_ms) * 1000000 + rate - 1) / rate;
}

static void tell_service(struct world *world, size_t host, enum world_change change)
{
    if (world->service.on_host != NULL)
        world->service.on_host(world, world->service.context, host, change);
}

static void plan_tick(struct world *world, size_t place)
{
    struct world_node *n = &world->nodes[place];
    const uint64_t at_us = n->deadline_us > world->now_us ? n->deadline_us : world->now_us;

    if (n->deadline_us == WORLD_NEVER || at_us >= n->tick_us) return;
    if (push(world, at_us, EVENT_TICK, place, NULL, 0)) n->tick_us = at_us;
}

/* ---- lookups ---- */

static uint32_t lookup_take(struct world *world)
{
    uint32_t tag = world->lookup_free;
    struct world_lookup *grown;

    if (tag != WORLD_NOBODY) {
        world->lookup_free = world->lookups[tag].next_free;
        return tag;
    }
    grown = hf_grow_array(world->lookups, &world->lookup_capacity, world->lookup_count + 1,
                          sizeof *grown);
    if (grown == NULL) {
        world_break(world, "the simulator is out of memory");
        return WORLD_NOBODY;
    }
    world->lookups = grown;
    return (uint32_t)world->lookup_count++;
}

static void lookup_release(struct world *world, uint32_t tag)
{
    world->lookups[tag].asker = WORLD_NOBODY;
    world->lookups[tag].next_free = world->lookup_free;
    world->lookup_free = tag;
}

/* The lookup of ours that a question or an answer with this number belongs to. */
static struct world_lookup *lookup_of(struct world *world, size_t asker, uint64_t rpc)
{
    const struct chord_node *node = world->nodes[asker].node;

    for (uint32_t i = 0; i < node->config.lookups; i++) {
        if (node->lookups[i].purpose == PURPOSE_USER && node->lookups[i].rpc == rpc)
            return &world->lookups[node->lookups[i].tag];
    }
    return NULL;
}

static unsigned path_of(const struct world *world, const struct world_lookup *lookup,
                        const struct chord_action *action)
{
    size_t owner;

    if (action->peer_count == 0) return lookup->answers;
    owner = world_place_of(world, &action->peers[0].position);
    if (lookup->answers == 0) return owner != lookup->asker;
    return lookup->answers + (owner != lookup->last);
}

static void lookup_end(struct world *world, const struct chord_action *action)
{
    const uint32_t tag = (uint32_t)action->tag;
    const struct world_lookup lookup = world->lookups[tag];
    const struct world_answer answer = {.asker = lookup.asker,
                                        .user = lookup.user,
                                        .key = lookup.key,
                                        .started_us = lookup.started_us,
                                        .questions = lookup.questions,
                                        .answers = lookup.answers,
                                        .hops = action->hops,
                                        .timeouts = action->timeouts,
                                        .path = path_of(world, &lookup, action),
                                        .found = action->kind == CHORD_FOUND,
                                        .peers = action->peers,
                                        .peer_count = action->peer_count};

    lookup_release(world, tag);
    if (world->client.on_answer != NULL)
        world->client.on_answer(world, world->client.context, &answer);
}

void world_lookup(struct world *world, size_t asker, const struct hf_id *key,
                  uint32_t wanted, uint64_t user)
{
    const uint32_t tag = lookup_take(world);
    struct chord_event event = {
        .kind = CHORD_LOOKUP, .key = *key, .tag = tag, .wanted = wanted};

    if (tag == WORLD_NOBODY) return;
    world->lookups[tag] = (struct world_lookup){.asker = (uint32_t)asker,
                                                .last = WORLD_NOBODY,
                                                .user = user,
                                                .started_us = world->now_us,
                                                .key = *key};
    world_step(world, asker, &event);
}

/* ---- messages ---- */

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

static void transmit(struct world *world, size_t from, const struct chord_message *message)
{
    const size_t to = world_place_of(world, &message->to);
    struct network_fate fate;

    if (to == WORLD_NOBODY) return; /* a position that a liar made up */
    world->messages++;
    if (world->options.count_bytes) world->bytes += parcel_encoded_size(message);
    fate = network_send(&world->network, from, to, loss_class(message->kind));
    for (unsigned i = 0; i < fate.copies; i++) {
        struct parcel *parcel = parcel_new(message, from, world->options.encode);

        if (parcel == NULL) {
            world_break(world, "the simulator is out of memory");
            return;
        }
        if (!push(world, world->now_us + fate.delay_us[i], EVENT_MESSAGE, to, parcel, 0))
            parcel_free(parcel);
    }
}

static void post(struct world *world, size_t from, const struct chord_message *message)
{
    struct chord_message changed;
    struct world_lookup *lookup;

    if (message->kind == CHORD_MESSAGE_NEXT_HOP) {
        lookup = lookup_of(world, from, message->rpc);
        if (lookup != NULL) lookup->questions++;
    }
    if (!world->nodes[from].liar || world->client.tamper == NULL) {
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
    if (message->kind == CHORD_MESSAGE_NEXT || message->kind == CHORD_MESSAGE_REFUSED) {
        struct world_lookup *lookup = lookup_of(world, to, message->rpc);

        if (lookup == NULL) return;
        lookup->answers++;
        lookup->last = parcel->from;
    }
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

/* True when the parcel is not used up: it arrives later. */
static bool arrive(struct world *world, size_t to, struct parcel *parcel)
{
    const struct world_node *n = &world->nodes[to];

    if (n->node == NULL) {
        if (draw_chance(&world->draw, world->options.reset)) {
            const uint64_t back_us = network_delay_us(&world->network, to, parcel->from);

            (void)push(world, world->now_us + back_us, EVENT_RESET, parcel->from, NULL, to);
        }
        return false;
    }
    if (n->frozen_us != 0) {
        return draw_chance(&world->draw, world->options.backlog) &&
               push(world, n->frozen_us, EVENT_MESSAGE, to, parcel, 0);
    }
    deliver(world, to, parcel);
    return false;
}

/* ---- stepping ---- */

static void judge_step(struct world *world, size_t place)
{
    const char *why;

    judge_refresh(world->judge, world, place);
    why = judge_check(world->judge, world);
    if (why != NULL) world_break(world, why);
}

static void obey(struct world *world, size_t place, bool *changed)
{
    const struct chord_output *out = world->out;

    for (size_t i = 0; i < out->action_count; i++) {
        const struct chord_action *action = &out->actions[i];

        switch (action->kind) {
        case CHORD_SEND: post(world, place, action->message); break;
        case CHORD_FOUND:
        case CHORD_FAILED: lookup_end(world, action); break;
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
    event->now_ms = world_local_ms(world, place);
    chord_step(n->node, event, world->out);
    world->steps++;
    n->deadline_us = world_true_us(world, place, world->out->deadline_ms);
    plan_tick(world, place);
    obey(world, place, &changed);
    if (!chord_node_check(n->node)) world_break(world, "a node broke its own rules");
    if (world->judge != NULL && (changed || before != chord_node_mode(n->node)))
        judge_step(world, place);
    if (world->broken != NULL && world->broken_place == WORLD_NOBODY)
        world->broken_place = place;
}

/* The judge did not see it while it was frozen. */
static void thaw(struct world *world, size_t place)
{
    struct chord_event event = {.kind = CHORD_TICK};

    world->nodes[place].frozen_us = 0;
    world_step(world, place, &event);
    if (world->judge != NULL) judge_step(world, place);
    tell_service(world, place, WORLD_THAWED);
}

static void tick(struct world *world, size_t place, uint64_t at_us)
{
    struct world_node *n = &world->nodes[place];
    struct chord_event event = {.kind = CHORD_TICK};

    if (n->tick_us != at_us) return; /* an earlier one took its place */
    n->tick_us = WORLD_NEVER;
    if (n->node == NULL) return;
    if (n->frozen_us != 0 && n->frozen_us <= world->now_us)
        thaw(world, place);
    else if (n->deadline_us > world->now_us)
        plan_tick(world, place);
    else
        world_step(world, place, &event);
}

static void happen(struct world *world, const struct queue_event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_MESSAGE:
        if (!arrive(world, event->place, event->what.body)) parcel_free(event->what.body);
        break;
    case EVENT_TICK: tick(world, event->place, event->at_us); break;
    case EVENT_TIMER:
        world->client.on_timer(world, world->client.context, event->what.number);
        break;
    case EVENT_RESET:
        if (world->nodes[event->place].node != NULL &&
            world->nodes[event->place].frozen_us == 0) {
            struct chord_event reset = {.kind = CHORD_UNREACHABLE,
                                        .peer = &world->peers[event->what.number]};

            world_step(world, event->place, &reset);
        }
        break;
    case EVENT_SERVICE:
        world->service.on_parcel(world, world->service.context, event->place,
                                 event->what.body);
        break;
    }
}

void world_run(struct world *world, uint64_t duration_us)
{
    const uint64_t end_us = world->now_us + duration_us;
    const struct queue_event *next = queue_first(&world->queue);

    while (world->broken == NULL && next != NULL && next->at_us <= end_us) {
        const struct queue_event event = queue_pop(&world->queue);

        if (event.at_us > world->now_us) world->now_us = event.at_us;
        happen(world, &event);
        next = queue_first(&world->queue);
    }
    if (world->broken == NULL) world->now_us = end_us;
}

void world_judge_no_more(struct world *world)
{
    judge_free(world->judge);
    world->judge = NULL;
}

/* ---- what happens to nodes ---- */

void world_start(struct world *world, size_t place)
{
    struct world_node *n = &world->nodes[place];
    struct chord_config config = world->options.chord;
    const int skew_max = (int)world->options.skew_max;

    config.seed = draw_next(&world->draw);
    n->node = chord_node_new(&world->peers[place], &config);
    if (n->node == NULL) {
        world_break(world, "the simulator is out of memory");
        return;
    }
    n->clock_ms = 1 + draw_below(&world->draw, 1u << 30);
    n->skew = (int)draw_below(&world->draw, 2 * (uint64_t)skew_max + 1) - skew_max;
    n->started_us = world->now_us;
    n->deadline_us = WORLD_NEVER;
    n->frozen_us = 0;
    world->live++;
    tell_service(world, place, WORLD_STARTED);
}

void world_join(struct world *world, size_t place, size_t contact)
{
    struct chord_event event = {.kind = CHORD_JOIN, .peer = &world->peers[contact]};

    world_step(world, place, &event);
}

void world_roster(struct world *world, size_t place, const struct chord_peer *peers,
                  size_t count)
{
    struct chord_event event = {.kind = CHORD_ROSTER, .peers = peers, .peer_count = count};

    world_step(world, place, &event);
}

void world_crash(struct world *world, size_t place)
{
    struct world_node *n = &world->nodes[place];

    for (uint32_t i = 0; i < n->node->config.lookups; i++) {
        if (n->node->lookups[i].purpose == PURPOSE_USER)
            lookup_release(world, (uint32_t)n->node->lookups[i].tag);
    }
    chord_node_free(n->node);
    n->node = NULL;
    n->frozen_us = 0;
    n->liar = false;
    world->live--;
    tell_service(world, place, WORLD_CRASHED);
    if (world->judge != NULL) judge_step(world, place);
}

void world_leave(struct world *world, size_t place)
{
    struct chord_event event = {.kind = CHORD_LEAVE};

    world_step(world, place, &event);
    world_crash(world, place);
}

void world_thaw(struct world *world, size_t place)
{
    if (world->nodes[place].node != NULL && world->nodes[place].frozen_us != 0)
        thaw(world, place);
}

void world_freeze(struct world *world, size_t place, uint64_t duration_us)
{
    struct world_node *n = &world->nodes[place];

    n->frozen_us = world->now_us + duration_us;
    n->deadline_us = n->frozen_us;
    n->tick_us = WORLD_NEVER; /* the one in the queue is for nothing */
    plan_tick(world, place);
    if (world->judge != NULL) judge_step(world, place);
}
