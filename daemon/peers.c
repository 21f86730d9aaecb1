#include "daemon/peers.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

/* Where the node is, or would be. */
static size_t place_of(const struct links *links, const struct hf_id *node)
{
    size_t low = 0;
    size_t high = links->peer_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&links->peers[middle]->node, node) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct peer *peers_find(const struct links *links, const struct hf_id *node)
{
    const size_t place = place_of(links, node);

    if (place == links->peer_count || !hf_id_equal(&links->peers[place]->node, node))
        return NULL;
    return links->peers[place];
}

struct peer *peers_get(struct links *links, const struct hf_id *node)
{
    const size_t place = place_of(links, node);
    struct peer *peer = peers_find(links, node);
    struct peer **grown;

    if (peer != NULL) return peer;
    grown = hf_grow_array(links->peers, &links->peer_capacity, links->peer_count + 1,
                          sizeof(struct peer *));
    if (grown == NULL) return NULL;
    links->peers = grown;
    peer = hf_alloc_array(1, sizeof *peer);
    if (peer == NULL) return NULL;
    peer->node = *node;
    peer->links = links;
    peer->last = &peer->first;
    memmove(grown + place + 1, grown + place,
            (links->peer_count - place) * sizeof(struct peer *));
    grown[place] = peer;
    links->peer_count++;
    return peer;
}

void peers_free(struct links *links)
{
    for (size_t i = 0; i < links->peer_count; i++) {
        peer_forget_waiting(links->peers[i]);
        free(links->peers[i]);
    }
    free(links->peers);
}

/* ---- what waits ---- */

bool peer_wait(struct peer *peer, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload)
{
    const size_t size = n + (payload != NULL ? payload->size : 0);
    struct waiting *waiting;

    if (peer->waiting_bytes + size > LINK_QUEUE_MAX) return false;
    waiting = malloc(sizeof *waiting + n);
    if (waiting == NULL) return false;
    waiting->next = NULL;
    waiting->payload = hf_buffer_ref(payload);
    waiting->lane = lane;
    waiting->n = n;
    memcpy(waiting->header, header, n);
    *peer->last = waiting;
    peer->last = &waiting->next;
    peer->waiting_bytes += size;
    return true;
}

static void take_waiting(struct peer *peer, struct conn *conn)
{
    while (peer->first != NULL) {
        struct waiting *waiting = peer->first;

        peer->first = waiting->next;
        if (conn != NULL)
            conn_send(conn, waiting->lane, waiting->header, waiting->n, waiting->payload);
        hf_buffer_unref(waiting->payload);
        free(waiting);
    }
    peer->last = &peer->first;
    peer->waiting_bytes = 0;
}

void peer_flush(struct peer *peer)
{
    take_waiting(peer, peer->up);
}

void peer_forget_waiting(struct peer *peer)
{
    take_waiting(peer, NULL);
}

/* ---- connecting ---- */

/* The back-off, with a jitter so that two members do not always meet half-way. */
static void back_off(struct peer *peer)
{
    uint32_t random;

    peer->wait_ms = peer->wait_ms == 0 ? LINK_RETRY_MIN_MS : peer->wait_ms * 2;
    if (peer->wait_ms > LINK_RETRY_MAX_MS) peer->wait_ms = LINK_RETRY_MAX_MS;
    hf_random(&random, sizeof random);
    peer->retry_ms = loop_now_ms() + peer->wait_ms / 2 + random % (peer->wait_ms / 2 + 1);
}

/* False: all records of the name were tried. */
static bool try_record(struct peer *peer)
{
    while (peer->record < peer->records.count) {
        const struct resolver_record *record = &peer->records.list[peer->record++];

        peer->opening = conn_new(peer->links, -1, &record->at.any, record->size, peer);
        if (peer->opening != NULL) return true;
    }
    return false;
}

static bool same_record(const struct resolver_record *a, const struct resolver_record *b)
{
    if (a->size != b->size || a->at.any.sa_family != b->at.any.sa_family) return false;
    if (a->at.any.sa_family == AF_INET)
        return a->at.v4.sin_addr.s_addr == b->at.v4.sin_addr.s_addr &&
               a->at.v4.sin_port == b->at.v4.sin_port;
    return IN6_ARE_ADDR_EQUAL(&a->at.v6.sin6_addr, &b->at.v6.sin6_addr) &&
           a->at.v6.sin6_port == b->at.v6.sin6_port &&
           a->at.v6.sin6_scope_id == b->at.v6.sin6_scope_id;
}

/* The record that led to a link before comes first, the others in their order: one that
 * leads nowhere costs a time-out each time. */
static void prefer_reached(struct peer *peer)
{
    struct resolver_record *list = peer->records.list;

    for (size_t i = 0; i < peer->records.count; i++) {
        if (!same_record(&list[i], &peer->reached)) continue;
        memmove(list + 1, list, i * sizeof *list);
        list[0] = peer->reached;
        return;
    }
}

static void on_resolved(void *arg, const struct resolver_records *records)
{
    struct peer *peer = arg;

    peer->resolving = false;
    if (peer->up != NULL || peer->opening != NULL) return;
    peer->records = *records;
    peer->record = 0;
    prefer_reached(peer);
    if (!try_record(peer)) peer_failed(peer);
}

/* The address of this attempt: the one that worked last, if it is still announced, then
 * the others in their order. */
static const char *address_of(const struct peer *peer, const struct announcement *announced)
{
    size_t worked = 0;
    size_t at = peer->attempt;

    while (worked < announced->address_count &&
           strcmp(announced->addresses[worked], peer->worked) != 0)
        worked++;
    if (worked < announced->address_count && at <= worked) at = at == 0 ? worked : at - 1;
    return announced->addresses[at];
}

/* False: there are no more addresses than were tried. */
static bool try_address(struct peer *peer)
{
    const struct roster_member *member =
        roster_find(peer->links->member->roster, &peer->node);

    if (member == NULL || member->evicted || !member->announced ||
        peer->attempt >= member->announcement.address_count)
        return false;
    memcpy(peer->tried, address_of(peer, &member->announcement), sizeof peer->tried);
    peer->resolving = true;
    resolver_start(peer->links->resolver, peer->tried, on_resolved, peer);
    return true;
}

void peer_connect(struct peer *peer)
{
    if (peer->up != NULL || peer->opening != NULL || peer->resolving) return;
    if (loop_now_ms() < peer->retry_ms) return;
    peer->attempt = 0;
    peer->readdressed = false;
    if (!try_address(peer)) back_off(peer);
}

void peer_reached(struct peer *peer)
{
    memcpy(peer->worked, peer->tried, sizeof peer->worked);
    peer->reached = peer->records.list[peer->record - 1];
}

void peer_failed(struct peer *peer)
{
    struct links *links = peer->links;

    if (peer->up == NULL && !peer->readdressed && try_record(peer)) return;
    peer->attempt++;
    if (peer->up != NULL || (!peer->readdressed && try_address(peer))) return;
    if (peer->readdressed)
        peer->retry_ms = 0;
    else
        back_off(peer);
    peer_forget_waiting(peer);
    links->events.down(links->events.arg, &peer->node);
}
