#include "daemon/router.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

struct lookup {
    struct lookup *next;
    struct hf_id key;
    uint32_t wanted;
    uint64_t tag;
    struct hf_id found[CHORD_FOUND_MAX];
    size_t count;
};

struct lookup_queue {
    struct lookup *first, **last;
};

struct router {
    struct router_config config;
    struct chord_node *node;
    struct chord_output *output;
    struct event *timer, *deliver;
    struct chord_peer *members; /* borrowed by the node */
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

static void send_message(struct router *router, const struct chord_action *action)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    chord_message_put(&w, action->message);
    if (!w.failed)
        router->config.send(router->config.arg, &action->peer.node, bytes,
                            hf_writer_size(&w));
}

static void end_lookup(struct router *router, const struct chord_action *action)
{
    struct lookup *lookup = take(&router->running, &action->tag);

    if (lookup == NULL) return;
    router->running_count--;
    if (action->kind == CHORD_FOUND) {
        for (; lookup->count < action->peer_count; lookup->count++)
            lookup->found[lookup->count] = action->peers[lookup->count].node;
    }
    append(&router->ended, lookup);
    event_active(router->deliver, EV_TIMEOUT, 0);
}

static void set_timer(struct router *router, uint64_t now_ms)
{
    const uint64_t deadline_ms = router->output->deadline_ms;
    const uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    const struct timeval wait = {(time_t)(wait_ms / 1000),
                                 (suseconds_t)(wait_ms % 1000 * 1000)};

    if (deadline_ms != UINT64_MAX) (void)event_add(router->timer, &wait);
}

static void step(struct router *router, struct chord_event *event)
{
    struct chord_output *output = router->output;

    event->now_ms = loop_now_ms();
    chord_step(router->node, event, output);
    for (size_t i = 0; i < output->action_count; i++) {
        const struct chord_action *action = &output->actions[i];

        switch (action->kind) {
        case CHORD_SEND: send_message(router, action); break;
        case CHORD_FOUND:
        case CHORD_FAILED: end_lookup(router, action); break;
        case CHORD_NEIGHBOURS:
            hf_log(HF_LOG_DEBUG, "router", "neighbours changed (%s)", router_mode(router));
            break;
        }
    }
    set_timer(router, event->now_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct chord_event event = {.kind = CHORD_TICK};

    (void)fd;
    (void)what;
    step(arg, &event);
}

/* ---- lookups ---- */

static void start_waiting(struct router *router)
{
    while (router->running_count < CHORD_LOOKUPS_MAX) {
        struct lookup *lookup = take(&router->waiting, NULL);
        struct chord_event event = {.kind = CHORD_LOOKUP};

        if (lookup == NULL) return;
        event.key = lookup->key;
        event.tag = lookup->tag;
        event.wanted = lookup->wanted;
        append(&router->running, lookup);
        router->running_count++;
        step(router, &event);
    }
}

/* What is asked for meanwhile is answered in the next turn of the loop. */
static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    struct router *router = arg;
    struct lookup_queue ended = router->ended;
    struct lookup *lookup;

    (void)fd;
    (void)what;
    if (ended.first == NULL) return;
    router->ended = (struct lookup_queue){.last = &router->ended.first};
    while ((lookup = take(&ended, NULL)) != NULL) {
        router->lookups--;
        router->config.found(router->config.arg, lookup->tag, lookup->found, lookup->count);
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
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_MESSAGE, .peer = &peer};
    struct chord_message message;
    struct hf_err err;

    if (chord_message_parse(body, n, &message, &err) != HF_OK) return false;
    event.message = &message;
    step(router, &event);
    return true;
}

void router_down(struct router *router, const struct hf_id *node)
{
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_UNREACHABLE, .peer = &peer};

    step(router, &event);
}

bool router_members(struct router *router, const struct hf_id *nodes, size_t count)
{
    struct chord_peer *members = hf_alloc_array(count, sizeof *members);
    struct chord_event event = {.kind = CHORD_ROSTER, .peers = members};

    if (members == NULL) return false;
    for (size_t i = 0; i < count; i++)
        members[i] = chord_peer_of(&nodes[i], 0);
    event.peer_count = count;
    step(router, &event);
    free(router->members);
    router->members = members;
    return true;
}

void router_leave(struct router *router)
{
    struct chord_event event = {.kind = CHORD_LEAVE};

    step(router, &event);
}

/* ---- making ---- */

struct router *router_new(const struct router_config *config)
{
    struct router *router = hf_alloc_array(1, sizeof *router);
    const struct chord_peer self = chord_peer_of(&config->self, 0);
    struct chord_config chord = {.stabilise_ms = ROUTER_STABILISE_MS,
                                 .rpc_timeout_ms = ROUTER_RPC_MS,
                                 .lookup_timeout_ms = ROUTER_LOOKUP_MS,
                                 .successors = config->successors,
                                 .lookups = CHORD_LOOKUPS_MAX};
    struct chord_event event = {.kind = CHORD_TICK};

    if (router == NULL) return NULL;
    router->config = *config;
    router->waiting.last = &router->waiting.first;
    router->running.last = &router->running.first;
    router->ended.last = &router->ended.first;
    hf_random(&chord.seed, sizeof chord.seed);
    router->node = chord_node_new(&self, &chord);
    router->output = hf_alloc_array(1, sizeof *router->output);
    router->timer = evtimer_new(loop_base(config->loop), on_timer, router);
    router->deliver = event_new(loop_base(config->loop), -1, 0, on_deliver, router);
    if (router->node == NULL || router->output == NULL || router->timer == NULL ||
        router->deliver == NULL) {
        router_free(router);
        return NULL;
    }
    step(router, &event);
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
    chord_node_free(router->node);
    free(router->output);
    free(router->members);
    free(router);
}

/* ---- questions ---- */

const char *router_mode(const struct router *router)
{
    switch (chord_node_mode(router->node)) {
    case CHORD_MODE_ALONE: return "alone";
    case CHORD_MODE_JOINING: return "joining";
    case CHORD_MODE_RING: return "ring";
    case CHORD_MODE_ORDER: return "order";
    case CHORD_MODE_LEFT: return "left";
    }
    return "?";
}

bool router_predecessor(const struct router *router, struct hf_id *node)
{
    struct chord_peer peer;

    if (!chord_node_predecessor(router->node, &peer)) return false;
    *node = peer.node;
    return true;
}

size_t router_successors(const struct router *router,
                         struct hf_id nodes[static CHORD_SUCCESSORS_MAX])
{
    struct chord_peer peers[CHORD_SUCCESSORS_MAX];
    const size_t count = chord_node_successors(router->node, peers);

    for (size_t i = 0; i < count; i++)
        nodes[i] = peers[i].node;
    return count;
}
