#include "daemon/links.h"

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/peers.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 500
#define BACKLOG 128

/* ---- time passes ---- */

static void ping(struct conn *conn, uint64_t now_ms)
{
    uint8_t header[2 * HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);

    conn->pinged_ms = now_ms;
    link_header_put(&w, LINK_PING);
    hf_put_uint(&w, ++conn->links->ping);
    conn_send(conn, LINK_PROMPT, header, hf_writer_size(&w), NULL);
}

static void look_at(struct conn *conn, uint64_t now_ms)
{
    const uint64_t active_ms = link_active_ms(conn->link);
    const uint64_t quiet_ms = now_ms > active_ms ? now_ms - active_ms : 0;
    const bool lingers = conn->state == CONN_GUEST || conn->state == CONN_RETIRED;

    if (conn->dropped)
        conn_lost(conn, "it was evicted");
    else if (lingers && now_ms >= conn->until_ms)
        conn_free(conn);
    else if (conn->state != CONN_UP || conn->links->paused)
        return;
    else if (quiet_ms >= LINK_SILENCE_MS + conn->links->throttle.slack_ms)
        conn_lost(conn, "silence");
    else if (quiet_ms >= LINK_PING_MS && now_ms - conn->pinged_ms >= LINK_PING_MS)
        ping(conn, now_ms);
}

static void tell_moves(struct conn *conn)
{
    const struct links_events *events = &conn->links->events;
    const struct link_bytes now = link_bulk_bytes(conn->link);
    const struct link_bytes before = conn->moved;
    const struct hf_id node = conn->peer->node;

    conn->moved = now;
    if (now.received != before.received) events->moved(events->arg, &node, true);
    if (now.sent != before.sent || throttle_holds_back(conn))
        events->moved(events->arg, &node, false);
}

/* The link that was needed least lately, and over which nothing waits to go. */
static struct conn *least_needed(const struct links *links)
{
    struct conn *least = NULL;

    for (struct conn *conn = links->conns; conn != NULL; conn = conn->next) {
        if (conn->state == CONN_UP && link_queued(conn->link) == 0 &&
            (least == NULL || conn->used_ms < least->used_ms))
            least = conn;
    }
    return least;
}

static void rest_some(struct links *links)
{
    size_t count = 0;

    for (const struct conn *conn = links->conns; conn != NULL; conn = conn->next)
        count += conn->state == CONN_UP;
    for (; count > links->kept_max; count--) {
        struct conn *conn = least_needed(links);

        if (conn == NULL) return;
        conn_rest(conn);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct links *links = arg;
    const uint64_t now_ms = loop_now_ms();
    struct conn *next;

    (void)fd;
    (void)what;
    for (struct conn *conn = links->conns; conn != NULL; conn = next) {
        next = conn->next; /* only conn itself can go meanwhile */
        if (conn->state == CONN_UP && links->events.moved != NULL) tell_moves(conn);
        look_at(conn, now_ms);
    }
    rest_some(links);
    if (links->listener_rests) {
        links->listener_rests = false;
        (void)evconnlistener_enable(links->listener);
    }
}

/* ---- the door ---- */

/* A stranger who is honest is one for milliseconds only. */
static void drop_oldest_stranger(struct links *links)
{
    struct conn *oldest = NULL;

    for (struct conn *conn = links->conns; conn != NULL; conn = conn->next) {
        if (conn->state == CONN_STRANGER || conn->state == CONN_GUEST) oldest = conn;
    }
    if (oldest != NULL) conn_lost(oldest, "silent, and others want in");
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                      struct sockaddr *address, int size, void *arg)
{
    struct links *links = arg;

    (void)listener;
    if (links->strangers >= LINK_STRANGERS_MAX) drop_oldest_stranger(links);
    if (conn_new(links, fd, address, size, NULL) == NULL)
        hf_log(HF_LOG_WARN, "links", "a connection was dropped: no memory");
}

/* No descriptors are left: the connection waits in the kernel. */
static void on_accept_failed(struct evconnlistener *listener, void *arg)
{
    struct links *links = arg;

    hf_log(HF_LOG_WARN, "links", "accept: %s", strerrordesc_np(EVUTIL_SOCKET_ERROR()));
    (void)evconnlistener_disable(listener);
    links->listener_rests = true;
}

/* As address_split, but port 0 is allowed. */
static bool split_listen(const char *listen, char host[static ADDRESS_SIZE],
                         char port[static 6])
{
    const char *colon = strrchr(listen, ':');
    char other[ADDRESS_SIZE];

    if (colon == NULL || strcmp(colon, ":0") != 0) return address_split(listen, host, port);
    if (strlen(listen) + 1 > sizeof other) return false;
    memcpy(other, listen, (size_t)(colon - listen));
    memcpy(other + (colon - listen), ":1", 3);
    if (!address_split(other, host, port)) return false;
    memcpy(port, "0", 2);
    return true;
}

static uint16_t real_port(struct evconnlistener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char port[6] = "0";

    (void)getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size);
    (void)getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port,
                      NI_NUMERICSERV);
    return (uint16_t)strtoul(port, NULL, 10);
}

enum hf_code links_listen(struct links *links, const char *listen, uint16_t *port,
                          struct hf_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[ADDRESS_SIZE];
    char service[6];
    int failure;

    if (!split_listen(listen, host, service))
        return hf_fail(err, HF_INVALID, "listen '%.80s': want HOST:PORT", listen);
    failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0)
        return hf_fail(err, HF_INVALID, "listen %.80s: %s", listen, gai_strerror(failure));
    links->listener = evconnlistener_new_bind(
        loop_base(links->loop), on_accept, links,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
        found->ai_addr, (int)found->ai_addrlen);
    freeaddrinfo(found);
    if (links->listener == NULL)
        return hf_fail(err, HF_IO, "listen %.80s: %s", listen,
                       strerrordesc_np(EVUTIL_SOCKET_ERROR()));
    evconnlistener_set_error_cb(links->listener, on_accept_failed);
    *port = real_port(links->listener);
    return HF_OK;
}

void links_close_door(struct links *links)
{
    if (links->listener != NULL) evconnlistener_free(links->listener);
    links->listener = NULL;
    links->listener_rests = false;
}

/* ---- what the others of daemon/ ask for ---- */

void links_connect(struct links *links, const struct hf_id *node)
{
    struct peer *peer;

    if (hf_id_equal(node, &links->self)) return;
    peer = peers_get(links, node);
    if (peer != NULL) peer_connect(peer);
}

void links_readdress(struct links *links, const struct hf_id *node)
{
    struct peer *peer = peers_find(links, node);

    if (peer == NULL || peer->up != NULL) return;
    peer->readdressed = true;
    peer->retry_ms = 0;
    peer->wait_ms = 0;
}

/* body is n bytes. */
static void send_frame(struct links *links, const struct hf_id *node, enum link_kind kind,
                       enum link_lane lane, const uint8_t *body, size_t n,
                       struct hf_buffer *payload)
{
    uint8_t header[LINK_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    struct peer *peer = peers_find(links, node);

    if (peer == NULL) {
        links_connect(links, node);
        peer = peers_find(links, node);
    }
    link_header_put(&w, kind);
    hf_put_raw(&w, body, n);
    if (peer == NULL || w.failed) return;
    if (peer->up != NULL) {
        if (kind == LINK_CHORD || kind == LINK_DHT) peer->up->used_ms = loop_now_ms();
        conn_send(peer->up, lane, header, hf_writer_size(&w), payload);
        return;
    }
    peer_connect(peer);
    if (peer->opening != NULL || peer->resolving)
        (void)peer_wait(peer, lane, header, hf_writer_size(&w), payload);
}

void links_send(struct links *links, const struct hf_id *node, enum link_kind kind,
                const uint8_t *body, size_t n, struct hf_buffer *payload)
{
    send_frame(links, node, kind, LINK_PROMPT, body, n, payload);
}

void links_send_bulk(struct links *links, const struct hf_id *node, enum link_kind kind,
                     const uint8_t *body, size_t n, struct hf_buffer *payload)
{
    send_frame(links, node, kind, LINK_BULK, body, n, payload);
}

bool links_is_up(const struct links *links, const struct hf_id *node)
{
    const struct peer *peer = peers_find(links, node);

    return peer != NULL && peer->up != NULL;
}

void links_drop(struct links *links, const struct hf_id *node)
{
    for (struct conn *conn = links->conns; conn != NULL; conn = conn->next) {
        if (conn->peer == NULL || !hf_id_equal(&conn->peer->node, node)) continue;
        conn->dropped = true;
        event_active(links->tick, EV_TIMEOUT, 0);
    }
}

void links_pause(struct links *links, bool paused)
{
    links->paused = paused;
    for (struct conn *conn = links->conns; conn != NULL; conn = conn->next) {
        if (conn->state == CONN_UP || conn->state == CONN_RETIRED)
            link_pause(conn->link, paused);
    }
}

void links_keep(struct links *links, size_t max)
{
    links->kept_max = max;
}

void links_limit(struct links *links, uint64_t upload, uint64_t download)
{
    throttle_set(links, upload, download);
}

struct links_traffic links_traffic(const struct links *links)
{
    struct links_traffic traffic = {.received = links->throttle.past.received,
                                    .sent = links->throttle.past.sent,
                                    .upload = links->throttle.up.rate,
                                    .download = links->throttle.down.rate};

    for (const struct conn *conn = links->conns; conn != NULL; conn = conn->next) {
        const struct link_bytes bytes = link_bytes(conn->link);

        traffic.received += bytes.received;
        traffic.sent += bytes.sent;
    }
    return traffic;
}

/* ---- making ---- */

enum hf_code links_new(struct loop *loop, struct member_home *member,
                       const struct links_events *events, struct links **links,
                       struct hf_err *err)
{
    const struct timeval interval = {.tv_usec = TICK_MS * 1000};
    struct links *made = hf_alloc_array(1, sizeof *made);
    enum hf_code rc;

    *links = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for links");
    made->loop = loop;
    made->member = member;
    made->events = *events;
    made->kept_max = LINKS_KEPT_MAX;
    made->self = member->certificate.id;
    authority_fingerprint(&member->ring.authority, &made->fingerprint);
    rc = tls_context_new(member->identity, TLS_SERVER, &made->server, err);
    if (rc == HF_OK) rc = tls_context_new(member->identity, TLS_CLIENT, &made->client, err);
    made->resolver = resolver_new(loop);
    made->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, made);
    if (rc == HF_OK && (!throttle_init(made) || made->resolver == NULL ||
                        made->tick == NULL || event_add(made->tick, &interval) != 0))
        rc = hf_fail(err, HF_NO_MEMORY, "no memory or threads for links");
    if (rc == HF_OK)
        *links = made;
    else
        links_free(made);
    return rc;
}

void links_free(struct links *links)
{
    if (links == NULL) return;
    links_close_door(links);
    resolver_free(links->resolver);
    while (links->conns != NULL)
        conn_free(links->conns);
    peers_free(links);
    throttle_done(links);
    if (links->tick != NULL) event_free(links->tick);
    SSL_CTX_free(links->server);
    SSL_CTX_free(links->client);
    free(links);
}
