#include "daemon/router.h"

#include "base/alloc.h"
#include "daemon/places.h"

#include <stdlib.h>

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

struct router {
    struct router_config config;
    struct places *places;
    struct event *deliver;
    struct chord_peer *members; /* positions, ascending; borrowed by the places */
    size_t member_count;
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

static void on_ended(void *arg, const struct chord_node *by,
                     const struct chord_action *action)
{
    struct router *router = arg;
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

/* ---- lookups ---- */

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
        places_step_nearest(router->places, &event);
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
    places_receive(router->places, node, &message);
    return true;
}

void router_down(struct router *router, const struct hf_id *node)
{
    const struct chord_peer peer = chord_peer_of(node, 0);
    struct chord_event event = {.kind = CHORD_UNREACHABLE, .peer = &peer};

    places_step(router->places, &event);
}

void router_successors_wanted(struct router *router, uint32_t successors)
{
    places_lengthen(router->places, successors);
}

void router_leave(struct router *router)
{
    struct chord_event event = {.kind = CHORD_LEAVE};

    places_step(router->places, &event);
}

/* ---- positions ---- */

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
    places_set(router->places, own);
    places_step(router->places, &event);
    free(router->members);
    router->members = peers;
    router->member_count = event.peer_count;
    return true;
}

/* ---- making ---- */

static void on_send(void *arg, const struct hf_id *node, const uint8_t *body, size_t n)
{
    struct router *router = arg;

    router->config.send(router->config.arg, node, body, n);
}

struct router *router_new(const struct router_config *config)
{
    struct router *router = hf_alloc_array(1, sizeof *router);
    const struct places_config places = {.self = config->self,
                                         .loop = config->loop,
                                         .successors = config->successors,
                                         .send = on_send,
                                         .ended = on_ended,
                                         .arg = router};

    if (router == NULL) return NULL;
    router->config = *config;
    router->waiting.last = &router->waiting.first;
    router->running.last = &router->running.first;
    router->ended.last = &router->ended.first;
    router->deliver = event_new(loop_base(config->loop), -1, 0, on_deliver, router);
    router->places = places_new(&places);
    if (router->places != NULL && router->deliver != NULL) return router;
    router_free(router);
    return NULL;
}

void router_free(struct router *router)
{
    if (router == NULL) return;
    if (router->deliver != NULL) event_free(router->deliver);
    clear(&router->waiting);
    clear(&router->running);
    clear(&router->ended);
    places_free(router->places);
    free(router->members);
    free(router);
}

/* ---- questions ---- */

size_t router_positions(const struct router *router)
{
    return places_count(router->places);
}

const struct chord_node *router_node(const struct router *router, size_t index)
{
    return places_node(router->places, index);
}

const char *router_mode(const struct router *router, size_t index)
{
    return places_mode(router->places, index);
}

size_t router_table_size(const struct router *router)
{
    return router->member_count;
}
