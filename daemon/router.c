#include "daemon/router.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "chord/circle.h"
#include "daemon/log_limit.h"

#include <stdlib.h>
#include <string.h>

struct lookup {
    struct lookup *next;
    struct hf_id key;
    uint32_t wanted;
    uint64_t tag;
    struct hf_id found[CHORD_FOUND_MAX];
    uint32_t away_ms[CHORD_FOUND_MAX];
    size_t count;
};

struct lookup_queue {
    struct lookup *first, **last;
};

/* What one of the node's positions says to another. */
struct own_message {
    struct own_message *next;
    struct chord_message message;
};

/* One position of this node. */
struct place {
    struct chord_peer self;
    struct chord_node *node;
    uint64_t deadline_ms;
};

struct router {
    struct router_config config;
    struct place *places[CHORD_POSITIONS_MAX]; /* by index; [0] is always there */
    size_t place_count;
    struct chord_output *output;
    struct event *timer, *deliver;
    struct log_limit wrong;
    struct chord_peer *members; /* positions, ascending; borrowed by the nodes */
    size_t member_count;
    struct own_message *own, **own_last; /* to be delivered in the next turn */
    struct lookup_queue waiting, running, ended;
    size_t lookups, running_count;
};

/* ---- queues ---- */

static void append(struct lookup_queue *queue, struct lookup *lookup)
{
    lookup->next = NULL;
    *queue->last = lookup;
    queue->last = &lookup->next;
}

/* Takes out the one with this tag, or the first; NULL: none. */
static struct lookup *take(struct lookup_queue *queue, const uint64_t *tag)
{
    struct lookup **at = &queue->first;
    struct lookup *lookup;

    while (*at != NULL && tag != NULL && (*at)->tag != *tag)
        at = &(*at)->next;
    lookup = *at;
    if (lookup == NULL) return NULL;
    *at = lookup->next;
    if (*at == NULL) queue->last = at;
    return lookup;
}

static void clear(struct lookup_queue *queue)
{
    struct lookup *lookup;

    while ((lookup = take(queue, NULL)) != NULL)
        free(lookup);
}

/* ---- what the node asks for ---- */

static void send_to_self(struct router *router, const struct chord_message *message)
{
    struct own_message *own = hf_alloc_array(1, sizeof *own);

    if (own == NULL) return; /* lost, as any message may be */
    own->message = *message;
    *router->own_last = own;
    router->own_last = &own->next;
    event_active(router->deliver, EV_TIMEOUT, 0);
}

static void send_message(struct router *router, const struct chord_action *action)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    if (hf_id_equal(&action->peer.node, &router->config.self)) {
        send_to_self(router, action->message);
        return;
    }
    chord_message_put(&w, action->message);
    if (!w.failed)
        router->config.send(router->config.arg, &action->peer.node, bytes,
                            hf_writer_size(&w));
}

static void warn_of(struct router *router, const struct hf_id *node)
{
    char hex[HF_ID_HEX_SIZE];

    if (log_limit_allows(&router->wrong, "router", loop_now_ms()))
        hf_log(HF_LOG_INFO, "router",
               "member %.16s gave an answer about the ring that cannot be true; others are "
               "asked instead",
               hf_id_hex(node, hex));
}

static bool contains(const struct hf_id *ids, size_t count, const struct hf_id *id)
{
    for (size_t i = 0; i < count; i++) {
        if (hf_id_equal(&ids[i], id)) return true;
    }
    return false;
}

static uint32_t away_ms(const struct chord_node *node, const struct chord_peer *peer)
{
    const uint64_t us = chord_node_expected_us(node, peer);

    return us == UINT64_MAX ? 0 : (uint32_t)(1 + us / 1000);
}

static void end_lookup(struct router *router, const struct chord_node *by,
                       const struct chord_action *action)
{
    struct lookup *lookup = take(&router->running, &action->tag);

    if (lookup == NULL) return;
    router->running_count--;
    for (size_t i = 0; action->kind == CHORD_FOUND && i < action->peer_count; i++) {
        const struct chord_peer *peer = &action->peers[i];

        if (contains(lookup->found, lookup->count, &peer->node)) continue;
        lookup->found[lookup->count] = peer->node;
        lookup->away_ms[lookup->count++] = away_ms(by, peer);
    }
    append(&router->ended, lookup);
    event_active(router->deliver, EV_TIMEOUT, 0);
}

static void set_timer(struct router *router, uint64_t now_ms)
{
    uint64_t deadline_ms = UINT64_MAX;
    uint64_t wait_ms;
    struct timeval wait;

    for (size_t i = 0; i < router->place_count; i++) {
        if (router->places[i]->deadline_ms < deadline_ms)
            deadline_ms = router->places[i]->deadline_ms;
    }
    if (deadline_ms == UINT64_MAX) return;
    wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    wait = (struct timeval){(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
    (void)event_add(router->timer, &wait);
}

static void step(struct router *router, struct place *place, struct chord_event *event)
{
    struct chord_output *output = router->output;

    event->now_ms = loop_now_ms();
    chord_step(place->node, event, output);
    for (size_t i = 0; i < output->action_count; i++) {
        const struct chord_action *action = &output->actions[i];

        switch (action->kind) {
        case CHORD_SEND: send_message(router, action); break;
        case CHORD_FOUND:
        case CHORD_FAILED: end_lookup(router, place->node, action); break;
        case CHORD_WRONG: warn_of(router, &action->peer.node); break;
        case CHORD_NEIGHBOURS:
            hf_log(HF_LOG_DEBUG, "router", "neighbours of position %u changed (%s)",
                   place->self.index, router_mode(router, place->self.index));
            break;
        }
    }
    place->deadline_ms = output->deadline_ms;
    set_timer(router, event->now_ms);
}

static void step_all(struct router *router, struct chord_event *event)
{
    for (size_t i = 0; i < router->place_count; i++)
        step(router, router->places[i], event);
}

/* A position that this node has left, or not taken yet, is no member: who asks it need not
 * wait. */
static void refuse(struct router *router, const struct hf_id *node,
                   const struct chord_message *question)
{
    struct chord_message answer = {
        .kind = CHORD_MESSAGE_REFUSED, .rpc = question->rpc, .to = question->from.position};
    const struct chord_action action = {
        .kind = CHORD_SEND, .peer = question->from, .message = &answer};

    if (!hf_id_equal(&question->from.node, node) ||
        (question->kind != CHORD_MESSAGE_GET_STATE &&
         question->kind != CHORD_MESSAGE_PING && question->kind != CHORD_MESSAGE_NEXT_HOP))
        return;
    for (uint32_t i = 0; i < CHORD_POSITIONS_MAX; i++) {
        answer.from = chord_peer_of(&router->config.self, i);
        if (!hf_id_equal(&answer.from.position, &question->to)) continue;
        send_message(router, &action);
        return;
    }
}

/* To the position that it is addressed to. */
static void receive(struct router *router, const struct hf_id *node,
                    const struct chord_message *message)
{
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_MESSAGE, .peer = &peer, .message = message};

    for (size_t i = 0; i < router->place_count; i++) {
        if (!hf_id_equal(&message->to, &router->places[i]->self.position)) continue;
        step(router, router->places[i], &event);
        return;
    }
    refuse(router, node, message);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct router *router = arg;
    struct chord_event event = {.kind = CHORD_TICK};
    const uint64_t now_ms = loop_now_ms();

    (void)fd;
    (void)what;
    for (size_t i = 0; i < router->place_count; i++) {
        if (router->places[i]->deadline_ms <= now_ms)
            step(router, router->places[i], &event);
    }
    set_timer(router, now_ms);
}

/* ---- lookups ---- */

/* The position that most closely precedes the key: its node knows most about it. */
static struct place *nearest(const struct router *router, const struct hf_id *key)
{
    struct place *best = router->places[0];

    for (size_t i = 1; i < router->place_count; i++) {
        struct place *place = router->places[i];

        if (chord_node_mode(place->node) == CHORD_MODE_RING &&
            chord_between(&best->self.position, &place->self.position, key))
            best = place;
    }
    return best;
}

static void start_waiting(struct router *router)
{
    while (router->running_count < ROUTER_AT_ONCE) {
        struct lookup *lookup = take(&router->waiting, NULL);
        struct chord_event event = {.kind = CHORD_LOOKUP};

        if (lookup == NULL) return;
        event.key = lookup->key;
        event.tag = lookup->tag;
        event.wanted = lookup->wanted;
        append(&router->running, lookup);
        router->running_count++;
        step(router, nearest(router, &lookup->key), &event);
    }
}

static void deliver_own(struct router *router)
{
    struct own_message *own = router->own;

    router->own = NULL;
    router->own_last = &router->own;
    while (own != NULL) {
        struct own_message *next = own->next;

        receive(router, &router->config.self, &own->message);
        free(own);
        own = next;
    }
}

/* What is asked for meanwhile is answered in the next turn of the loop. */
static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    struct router *router = arg;
    struct lookup_queue ended;
    struct lookup *lookup;

    (void)fd;
    (void)what;
    deliver_own(router);
    ended = router->ended;
    if (ended.first == NULL) return;
    router->ended = (struct lookup_queue){.last = &router->ended.first};
    while ((lookup = take(&ended, NULL)) != NULL) {
        router->lookups--;
        router->config.found(router->config.arg, lookup->tag, lookup->found,
                             lookup->away_ms, lookup->count);
        free(lookup);
    }
    start_waiting(router);
}

void router_lookup(struct router *router, const struct hf_id *key, uint32_t wanted,
                   uint64_t tag)
{
    struct lookup *lookup = hf_alloc_array(1, sizeof *lookup);

    if (lookup == NULL) abort(); /* an answer is owed */
    lookup->key = *key;
    lookup->wanted = wanted < 1 ? 1 : wanted;
    if (lookup->wanted > CHORD_SUCCESSORS_MAX) lookup->wanted = CHORD_SUCCESSORS_MAX;
    lookup->tag = tag;
    router->lookups++;
    if (router->lookups > ROUTER_LOOKUPS_MAX) {
        append(&router->ended, lookup);
        event_active(router->deliver, EV_TIMEOUT, 0);
        return;
    }
    append(&router->waiting, lookup);
    start_waiting(router);
}

/* ---- what happens ---- */

bool router_frame(struct router *router, const struct hf_id *node, const uint8_t *body,
                  size_t n)
{
    struct chord_message message;
    struct hf_err err;

    if (chord_message_parse(body, n, &message, &err) != HF_OK) return false;
    receive(router, node, &message);
    return true;
}

void router_down(struct router *router, const struct hf_id *node)
{
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_UNREACHABLE, .peer = &peer};

    step_all(router, &event);
}

void router_successors_wanted(struct router *router, uint32_t successors)
{
    struct chord_event event = {.kind = CHORD_LENGTH, .wanted = successors};

    if (successors == router->config.successors) return;
    router->config.successors = successors;
    step_all(router, &event);
}

void router_leave(struct router *router)
{
    struct chord_event event = {.kind = CHORD_LEAVE};

    step_all(router, &event);
}

/* ---- positions ---- */

static void place_free(struct place *place)
{
    if (place == NULL) return;
    chord_node_free(place->node);
    free(place);
}

/* One more position, alone until it hears of the roster.  False: no memory. */
static bool add_place(struct router *router)
{
    struct chord_config chord = {.stabilise_ms = ROUTER_STABILISE_MS,
                                 .rpc_timeout_ms = ROUTER_RPC_MS,
                                 .lookup_timeout_ms = ROUTER_LOOKUP_MS,
                                 .successors = router->config.successors,
                                 .lookups = CHORD_LOOKUPS_MAX};
    struct place *place = hf_alloc_array(1, sizeof *place);

    if (place == NULL) return false;
    hf_random(&chord.seed, sizeof chord.seed);
    place->self = chord_peer_of(&router->config.self, (uint32_t)router->place_count);
    place->deadline_ms = UINT64_MAX;
    place->node = chord_node_new(&place->self, &chord);
    if (place->node == NULL) {
        free(place);
        return false;
    }
    router->places[router->place_count++] = place;
    return true;
}

/* Without memory there are fewer: the others find the ring without them. */
static void set_places(struct router *router, size_t count)
{
    struct chord_event leave = {.kind = CHORD_LEAVE};

    while (router->place_count > count) {
        step(router, router->places[router->place_count - 1], &leave);
        place_free(router->places[--router->place_count]);
    }
    while (router->place_count < count && add_place(router)) {
    }
}

static int compare_positions(const void *a, const void *b)
{
    const struct chord_peer *x = a;
    const struct chord_peer *y = b;

    return hf_id_compare(&x->position, &y->position);
}

bool router_members(struct router *router, const struct router_member *members,
                    size_t count)
{
    struct chord_event event = {.kind = CHORD_ROSTER};
    struct chord_peer *peers;
    size_t own = 1;

    for (size_t i = 0; i < count; i++)
        event.peer_count += members[i].positions;
    peers = hf_alloc_array(event.peer_count, sizeof *peers);
    if (peers == NULL) return false;
    event.peers = peers;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < members[i].positions; k++)
            *peers++ = chord_peer_of(&members[i].node, k);
        if (hf_id_equal(&members[i].node, &router->config.self)) own = members[i].positions;
    }
    peers -= event.peer_count;
    qsort(peers, event.peer_count, sizeof *peers, compare_positions);
    set_places(router, own);
    step_all(router, &event);
    free(router->members);
    router->members = peers;
    router->member_count = event.peer_count;
    return true;
}

/* ---- making ---- */

struct router *router_new(const struct router_config *config)
{
    struct router *router = hf_alloc_array(1, sizeof *router);
    struct chord_event event = {.kind = CHORD_TICK};

    if (router == NULL) return NULL;
    router->config = *config;
    router->waiting.last = &router->waiting.first;
    router->running.last = &router->running.first;
    router->ended.last = &router->ended.first;
    router->own_last = &router->own;
    router->output = hf_alloc_array(1, sizeof *router->output);
    router->timer = evtimer_new(loop_base(config->loop), on_timer, router);
    router->deliver = event_new(loop_base(config->loop), -1, 0, on_deliver, router);
    if (!add_place(router) || router->output == NULL || router->timer == NULL ||
        router->deliver == NULL) {
        router_free(router);
        return NULL;
    }
    step_all(router, &event);
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL) return;
    if (router->timer != NULL) event_free(router->timer);
    if (router->deliver != NULL) event_free(router->deliver);
    clear(&router->waiting);
    clear(&router->running);
    clear(&router->ended);
    for (struct own_message *own = router->own; own != NULL; own = router->own) {
        router->own = own->next;
        free(own);
    }
    while (router->place_count > 0)
        place_free(router->places[--router->place_count]);
    free(router->output);
    free(router->members);
    free(router);
}

/* ---- questions ---- */

size_t router_positions(const struct router *router)
{
    return router->place_count;
}

const struct chord_node *router_node(const struct router *router, size_t index)
{
    return router->places[index]->node;
}

const char *router_mode(const struct router *router, size_t index)
{
    switch (chord_node_mode(router->places[index]->node)) {
    case CHORD_MODE_ALONE: return "alone";
    case CHORD_MODE_JOINING: return "joining";
    case CHORD_MODE_RING: return "ring";
    case CHORD_MODE_ORDER: return "order";
    case CHORD_MODE_LEFT: return "left";
    }
    return "?";
}

size_t router_table_size(const struct router *router)
{
    return router->member_count;
}
