#include "daemon/places.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "chord/circle.h"
#include "daemon/log_limit.h"
#include "daemon/router.h"

#include <stdlib.h>

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

struct places {
    struct places_config config;
    struct place *list[CHORD_POSITIONS_MAX]; /* by index; [0] is always there */
    size_t count;
    struct chord_output *output;
    struct event *timer, *deliver;
    struct log_limit wrong;
    struct own_message *own, **own_last; /* to be delivered in the next turn */
};

/* ---- what the node asks for ---- */

static void send_to_self(struct places *places, const struct chord_message *message)
{
    struct own_message *own = hf_alloc_array(1, sizeof *own);

    if (own == NULL) return; /* lost, as any message may be */
    own->message = *message;
    *places->own_last = own;
    places->own_last = &own->next;
    event_active(places->deliver, EV_TIMEOUT, 0);
}

static void send_message(struct places *places, const struct chord_action *action)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    if (hf_id_equal(&action->peer.node, &places->config.self)) {
        send_to_self(places, action->message);
        return;
    }
    chord_message_put(&w, action->message);
    if (!w.failed)
        places->config.send(places->config.arg, &action->peer.node, bytes,
                            hf_writer_size(&w));
}

static void warn_of(struct places *places, const struct hf_id *node)
{
    char hex[HF_ID_HEX_SIZE];

    if (log_limit_allows(&places->wrong, "router", loop_now_ms()))
        hf_log(HF_LOG_INFO, "router",
               "member %.16s gave an answer about the ring that cannot be true; others are "
               "asked instead",
               hf_id_hex(node, hex));
}

/* ---- events ---- */

static void set_timer(struct places *places, uint64_t now_ms)
{
    uint64_t deadline_ms = UINT64_MAX;
    uint64_t wait_ms;
    struct timeval wait;

    for (size_t i = 0; i < places->count; i++) {
        if (places->list[i]->deadline_ms < deadline_ms)
            deadline_ms = places->list[i]->deadline_ms;
    }
    if (deadline_ms == UINT64_MAX) return;
    wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    wait = (struct timeval){(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
    (void)event_add(places->timer, &wait);
}

static void step(struct places *places, struct place *place, struct chord_event *event)
{
    struct chord_output *output = places->output;

    event->now_ms = loop_now_ms();
    chord_step(place->node, event, output);
    for (size_t i = 0; i < output->action_count; i++) {
        const struct chord_action *action = &output->actions[i];

        switch (action->kind) {
        case CHORD_SEND: send_message(places, action); break;
        case CHORD_FOUND:
        case CHORD_FAILED:
            places->config.ended(places->config.arg, place->node, action);
            break;
        case CHORD_WRONG: warn_of(places, &action->peer.node); break;
        case CHORD_NEIGHBOURS:
            hf_log(HF_LOG_DEBUG, "router", "neighbours of position %u changed (%s)",
                   place->self.index, places_mode(places, place->self.index));
            break;
        }
    }
    place->deadline_ms = output->deadline_ms;
    set_timer(places, event->now_ms);
}

void places_step(struct places *places, struct chord_event *event)
{
    for (size_t i = 0; i < places->count; i++)
        step(places, places->list[i], event);
}

/* The position that most closely precedes the key: its node knows most about it. */
static struct place *nearest(const struct places *places, const struct hf_id *key)
{
    struct place *best = places->list[0];

    for (size_t i = 1; i < places->count; i++) {
        struct place *place = places->list[i];

        if (chord_node_mode(place->node) == CHORD_MODE_RING &&
            chord_between(&best->self.position, &place->self.position, key))
            best = place;
    }
    return best;
}

void places_step_nearest(struct places *places, struct chord_event *event)
{
    step(places, nearest(places, &event->key), event);
}

/* A position that this node has left, or not taken yet, is no member: who asks it need not
 * wait. */
static void refuse(struct places *places, const struct hf_id *node,
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
        answer.from = chord_peer_of(&places->config.self, i);
        if (!hf_id_equal(&answer.from.position, &question->to)) continue;
        send_message(places, &action);
        return;
    }
}

void places_receive(struct places *places, const struct hf_id *node,
                    const struct chord_message *message)
{
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_MESSAGE, .peer = &peer, .message = message};

    for (size_t i = 0; i < places->count; i++) {
        if (!hf_id_equal(&message->to, &places->list[i]->self.position)) continue;
        step(places, places->list[i], &event);
        return;
    }
    refuse(places, node, message);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct places *places = arg;
    struct chord_event event = {.kind = CHORD_TICK};
    const uint64_t now_ms = loop_now_ms();

    (void)fd;
    (void)what;
    for (size_t i = 0; i < places->count; i++) {
        if (places->list[i]->deadline_ms <= now_ms) step(places, places->list[i], &event);
    }
    set_timer(places, now_ms);
}

/* In the next turn of the loop: never from inside a step. */
static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    struct places *places = arg;
    struct own_message *own = places->own;

    (void)fd;
    (void)what;
    places->own = NULL;
    places->own_last = &places->own;
    while (own != NULL) {
        struct own_message *next = own->next;

        places_receive(places, &places->config.self, &own->message);
        free(own);
        own = next;
    }
}

/* ---- which they are ---- */

static void place_free(struct place *place)
{
    if (place == NULL) return;
    chord_node_free(place->node);
    free(place);
}

/* One more position, alone until it hears of the roster.  False: no memory. */
static bool add_place(struct places *places)
{
    struct chord_config chord = {.stabilise_ms = ROUTER_STABILISE_MS,
                                 .rpc_timeout_ms = ROUTER_RPC_MS,
                                 .lookup_timeout_ms = ROUTER_LOOKUP_MS,
                                 .successors = places->config.successors,
                                 .lookups = CHORD_LOOKUPS_MAX};
    struct place *place = hf_alloc_array(1, sizeof *place);

    if (place == NULL) return false;
    hf_random(&chord.seed, sizeof chord.seed);
    place->self = chord_peer_of(&places->config.self, (uint32_t)places->count);
    place->deadline_ms = UINT64_MAX;
    place->node = chord_node_new(&place->self, &chord);
    if (place->node == NULL) {
        free(place);
        return false;
    }
    places->list[places->count++] = place;
    return true;
}

void places_set(struct places *places, size_t count)
{
    struct chord_event leave = {.kind = CHORD_LEAVE};

    while (places->count > count) {
        step(places, places->list[places->count - 1], &leave);
        place_free(places->list[--places->count]);
    }
    while (places->count < count && add_place(places)) {
    }
}

void places_lengthen(struct places *places, uint32_t successors)
{
    struct chord_event event = {.kind = CHORD_LENGTH, .wanted = successors};

    if (successors <= places->config.successors) return;
    places->config.successors = successors;
    places_step(places, &event);
}

size_t places_count(const struct places *places)
{
    return places->count;
}

const struct chord_node *places_node(const struct places *places, size_t index)
{
    return places->list[index]->node;
}

const char *places_mode(const struct places *places, size_t index)
{
    switch (chord_node_mode(places->list[index]->node)) {
    case CHORD_MODE_ALONE: return "alone";
    case CHORD_MODE_JOINING: return "joining";
    case CHORD_MODE_RING: return "ring";
    case CHORD_MODE_ORDER: return "order";
    case CHORD_MODE_LEFT: return "left";
    }
    return "?";
}

/* ---- making ---- */

struct places *places_new(const struct places_config *config)
{
    struct places *places = hf_alloc_array(1, sizeof *places);
    struct chord_event event = {.kind = CHORD_TICK};

    if (places == NULL) return NULL;
    places->config = *config;
    places->own_last = &places->own;
    places->output = hf_alloc_array(1, sizeof *places->output);
    places->timer = evtimer_new(loop_base(config->loop), on_timer, places);
    places->deliver = event_new(loop_base(config->loop), -1, 0, on_deliver, places);
    if (!add_place(places) || places->output == NULL || places->timer == NULL ||
        places->deliver == NULL) {
        places_free(places);
        return NULL;
    }
    places_step(places, &event);
    return places;
}

void places_free(struct places *places)
{
    if (places == NULL) return;
    if (places->timer != NULL) event_free(places->timer);
    if (places->deliver != NULL) event_free(places->deliver);
    for (struct own_message *own = places->own; own != NULL; own = places->own) {
        places->own = own->next;
        free(own);
    }
    while (places->count > 0)
        place_free(places->list[--places->count]);
    free(places->output);
    free(places);
}
