#include "base/alloc.h"
#include "base/log.h"
#include "daemon/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_stranger(const struct conn *conn)
{
    return conn->state == CONN_STRANGER || conn->state == CONN_GUEST;
}

/* ---- the end ---- */

void conn_free(struct conn *conn)
{
    struct conn **at = &conn->links->conns;

    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    throttle_forget(conn);
    if (is_stranger(conn)) conn->links->strangers--;
    if (conn->peer != NULL && conn->peer->up == conn) conn->peer->up = NULL;
    if (conn->peer != NULL && conn->peer->opening == conn) conn->peer->opening = NULL;
    link_free(conn->link);
    free(conn);
}

static const char *name_of(const struct conn *conn)
{
    const struct roster_member *member =
        roster_find(conn->links->member->roster, &conn->peer->node);

    return member != NULL ? member->certificate.name : "?";
}

void conn_lost(struct conn *conn, const char *why)
{
    struct links *links = conn->links;
    struct peer *peer = conn->peer;
    const enum conn_state state = conn->state;

    if (conn->why[0] != '\0') why = conn->why;
    if (state == CONN_STRANGER && log_limit_allows(&links->lines, "links", loop_now_ms()))
        hf_log(HF_LOG_WARN, "links", "%s dropped: %s", link_address(conn->link), why);
    if (state == CONN_UP)
        hf_log(HF_LOG_INFO, "links", "link to %s (%s) lost: %s", name_of(conn),
               link_address(conn->link), why);
    if (state == CONN_OPENING)
        hf_log(peer->wait_ms == 0 ? HF_LOG_INFO : HF_LOG_DEBUG, "links",
               "no link to %s (%s): %s", name_of(conn), link_address(conn->link), why);
    conn_free(conn);
    if (state == CONN_OPENING) peer_failed(peer);
    if (state == CONN_UP) links->events.down(links->events.arg, &peer->node);
}

/* ---- who it is ---- */

/* Keeps what both ends keep: the link that the lower node opened; of two by the same end
 * the newer, for who opens a second one has lost the first. */
static bool better(const struct conn *conn, const struct conn *than)
{
    const bool lower = hf_id_compare(&conn->links->self, &conn->peer->node) < 0;

    return conn->ours == than->ours || conn->ours == lower;
}

static void retire(struct conn *conn)
{
    conn->state = CONN_RETIRED;
    conn->until_ms = loop_now_ms() + LINK_LINGER_MS;
}

/* The other end has shown that it is conn->peer. */
static void adopt(struct conn *conn)
{
    struct links *links = conn->links;
    struct peer *peer = conn->peer;
    struct conn *old = peer->up;
    const bool again = old != NULL && old->ours == conn->ours;

    if (is_stranger(conn)) links->strangers--;
    if (peer->opening == conn) {
        peer->opening = NULL;
        peer_reached(peer);
    }
    peer->wait_ms = 0;
    peer->retry_ms = 0;
    link_settle(conn->link);
    if (links->paused) link_pause(conn->link, true);
    if (old != NULL && !better(conn, old)) {
        retire(conn);
        throttle_adopt(conn);
        return;
    }
    if (old != NULL) retire(old);
    conn->state = CONN_UP;
    throttle_adopt(conn);
    conn->used_ms = loop_now_ms();
    peer->up = conn;
    peer_flush(peer);
    if (old != NULL && !again) return;
    if (again) links->events.down(links->events.arg, &peer->node);
    hf_log(HF_LOG_INFO, "links", "link to %s (%s) stands", name_of(conn),
           link_address(conn->link));
    links->events.up(links->events.arg, &peer->node);
}

/* The member that a hello speaks of, which is put on the roster if it is news. */
static enum hf_code identify(struct conn *conn, const uint8_t *body, size_t n,
                             struct hf_id *node, struct hf_err *err)
{
    struct links *links = conn->links;
    struct roster *roster = links->member->roster;
    const struct roster_member *member;
    struct hf_public_key key;
    struct link_hello hello;
    struct link_peer peer;
    bool news = false;
    enum hf_code rc;

    if (!link_key(conn->link, &key)) return hf_fail(err, HF_DENIED, "it shows no key");
    rc = link_hello_parse(body, n, &hello, err);
    if (rc == HF_OK) rc = link_hello_verify(&hello, &links->fingerprint, &key, &peer, err);
    if (rc == HF_OK)
        rc = roster_add(roster, hello.certificate.b, hello.certificate.size, &news, err);
    if (rc != HF_OK) return rc;
    *node = peer.certificate.id;
    member = roster_find(roster, node);
    if (news) links->events.learnt(links->events.arg);
    if (member == NULL || member->evicted)
        return hf_fail(err, HF_DENIED, "%s was evicted", peer.certificate.name);
    if (hf_id_equal(node, &links->self))
        return hf_fail(err, HF_DENIED, "it is this node itself");
    if (conn->peer != NULL && !hf_id_equal(node, &conn->peer->node))
        return hf_fail(err, HF_DENIED, "another member, %s, answers there",
                       peer.certificate.name);
    return HF_OK;
}

static bool take_hello(struct conn *conn, const uint8_t *body, size_t n)
{
    struct hf_id node;
    struct hf_err err;

    if (identify(conn, body, n, &node, &err) != HF_OK) {
        (void)snprintf(conn->why, sizeof conn->why, "%.*s", (int)sizeof conn->why - 1,
                       err.msg);
        return false;
    }
    if (conn->peer == NULL) conn->peer = peers_get(conn->links, &node);
    if (conn->peer == NULL) return false;
    if (conn->ours && conn->peer->up != NULL && !better(conn, conn->peer->up)) {
        conn_free(conn); /* not needed any more */
        return true;
    }
    if (conn->ours) conn_hello(conn);
    adopt(conn);
    return true;
}

/* ---- who wants to join ---- */

static bool take_join(struct conn *conn, const uint8_t *body, size_t n)
{
    struct links *links = conn->links;
    struct join_reply *reply = hf_alloc_array(1, sizeof *reply);
    const struct roster_member *member;
    struct hf_public_key key;
    struct hf_buffer *payload;
    uint8_t header[JOIN_REPLY_MAX + HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);

    if (reply == NULL || !link_key(conn->link, &key)) {
        free(reply);
        return false;
    }
    payload = links->events.join(links->events.arg, link_address(conn->link), &key, body, n,
                                 reply);
    link_header_put(&w, LINK_JOIN_REPLY);
    join_reply_put(&w, reply);
    conn_send(conn, LINK_PROMPT, header, hf_writer_size(&w), payload);
    hf_buffer_unref(payload);
    conn->state = CONN_GUEST;
    conn->until_ms = loop_now_ms() + LINK_HELLO_MS;
    member = reply->code == HF_OK ? roster_find_key(links->member->roster, &key) : NULL;
    if (member != NULL) {
        conn->guest = member->certificate.id;
        link_settle(conn->link);
    }
    free(reply);
    return true;
}

/* ---- frames ---- */

static void put_aside(struct conn *conn)
{
    struct links *links = conn->links;
    struct peer *peer = conn->peer;

    peer->up = NULL;
    retire(conn);
    hf_log(HF_LOG_DEBUG, "links", "link to %s (%s) put aside", name_of(conn),
           link_address(conn->link));
    links->events.rested(links->events.arg, &peer->node);
}

void conn_rest(struct conn *conn)
{
    uint8_t header[2 * HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);

    link_header_put(&w, LINK_REST);
    hf_put_null(&w);
    conn_send(conn, LINK_PROMPT, header, hf_writer_size(&w), NULL);
    put_aside(conn);
}

/* Both ends may have had the thought. */
static bool take_rest(struct conn *conn, const uint8_t *body, size_t n)
{
    struct hf_reader r = hf_reader_init(body, n);

    hf_get_null(&r);
    if (!hf_reader_done(&r)) return false;
    if (conn->state == CONN_UP) put_aside(conn);
    return true;
}

static bool answer_ping(struct conn *conn, const uint8_t *body, size_t n)
{
    struct hf_reader r = hf_reader_init(body, n);
    uint8_t header[2 * HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    const uint64_t number = hf_get_u64(&r);

    if (!hf_reader_done(&r)) return false;
    link_header_put(&w, LINK_PONG);
    hf_put_uint(&w, number);
    conn_send(conn, LINK_PROMPT, header, hf_writer_size(&w), NULL);
    return true;
}

/* Of a member whose link stands. */
static bool take_frame(struct conn *conn, enum link_kind kind, const uint8_t *body,
                       size_t n, struct hf_buffer *payload)
{
    struct links_events *events = &conn->links->events;

    switch (kind) {
    case LINK_PING: return payload == NULL && answer_ping(conn, body, n);
    case LINK_PONG: return payload == NULL; /* that it came is all it says */
    case LINK_REST: return payload == NULL && take_rest(conn, body, n);
    case LINK_CHORD:
    case LINK_DHT: conn->used_ms = loop_now_ms(); /* fall through */
    case LINK_ROSTER_DIGEST:
    case LINK_ROSTER:
        return events->frame(events->arg, &conn->peer->node, kind, body, n, payload);
    case LINK_HELLO:
    case LINK_JOIN_REQUEST:
    case LINK_JOIN_REPLY: return false;
    }
    return false;
}

bool conn_frame(struct conn *conn, enum link_kind kind, const uint8_t *body, size_t n,
                struct hf_buffer *payload)
{
    struct links_events *events = &conn->links->events;

    switch (conn->state) {
    case CONN_STRANGER:
        if (kind == LINK_JOIN_REQUEST) return take_join(conn, body, n);
        return kind == LINK_HELLO && take_hello(conn, body, n);
    case CONN_GUEST:
        return kind == LINK_ROSTER && !hf_id_is_zero(&conn->guest) &&
               events->frame(events->arg, &conn->guest, kind, body, n, payload);
    case CONN_OPENING: return kind == LINK_HELLO && take_hello(conn, body, n);
    case CONN_UP:
    case CONN_RETIRED: return take_frame(conn, kind, body, n, payload);
    }
    return false;
}

void conn_send(struct conn *conn, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload)
{
    const size_t size = n + (payload != NULL ? payload->size : 0);

    if (link_queued(conn->link) + size > LINK_QUEUE_MAX) return;
    link_send(conn->link, lane, header, n, payload);
    if (lane == LINK_BULK && payload != NULL)
        throttle_bulk(conn->links);
    else
        throttle_prompt(conn, size);
}

void conn_hello(struct conn *conn)
{
    uint8_t header[LINK_HELLO_MAX + HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    struct link_hello hello;

    member_home_hello(conn->links->member, &hello);
    link_header_put(&w, LINK_HELLO);
    link_hello_put(&w, &hello);
    conn_send(conn, LINK_PROMPT, header, hf_writer_size(&w), NULL);
}

/* ---- making ---- */

static void on_open(void *arg)
{
    struct conn *conn = arg;

    if (!conn->ours) conn_hello(conn);
}

static bool on_frame(void *arg, enum link_kind kind, const uint8_t *body, size_t n,
                     struct hf_buffer *payload)
{
    return conn_frame(arg, kind, body, n, payload);
}

static void on_received(void *arg, uint64_t bytes)
{
    throttle_received(arg, bytes);
}

static void on_closed(void *arg, const char *why)
{
    conn_lost(arg, why);
}

struct conn *conn_new(struct links *links, int fd, const struct sockaddr *address, int size,
                      struct peer *peer)
{
    struct conn *conn = hf_alloc_array(1, sizeof *conn);
    const struct link_config config = {.loop = links->loop,
                                       .context = fd >= 0 ? links->server : links->client,
                                       .side = fd >= 0 ? TLS_SERVER : TLS_CLIENT,
                                       .fd = fd,
                                       .address = address,
                                       .address_size = size,
                                       .patience_ms = LINK_HELLO_MS,
                                       .open = on_open,
                                       .frame = on_frame,
                                       .received = on_received,
                                       .closed = on_closed,
                                       .arg = conn};

    if (conn == NULL) {
        if (fd >= 0) (void)close(fd);
        return NULL;
    }
    *conn = (struct conn){.links = links,
                          .state = fd >= 0 ? CONN_STRANGER : CONN_OPENING,
                          .ours = fd < 0,
                          .peer = peer,
                          .link = link_new(&config)};
    if (conn->link == NULL) {
        free(conn);
        return NULL;
    }
    conn->next = links->conns;
    links->conns = conn;
    if (fd >= 0) links->strangers++;
    return conn;
}
