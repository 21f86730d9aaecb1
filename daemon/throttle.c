#include "daemon/throttle.h"

#include "daemon/peers.h"

#define PART_MIN       1024u /* of bulk, ... */
#define PARTS_A_SECOND 16u   /* ... and no more than so much of a second at once */
#define READ_MIN       4096u
#define TLS_RECORD     16384u /* read as a whole */
#define FRAME_COST     72u    /* sizes, and the TLS records of sizes, header and payload */
#define LOOK_MS        20u    /* between two looks whether the line is free again */

static bool is_member(const struct conn *conn)
{
    return conn->state == CONN_UP || conn->state == CONN_RETIRED;
}

static void set_timer(struct event *timer, uint64_t wait_ms)
{
    const struct timeval wait = {(time_t)(wait_ms / 1000),
                                 (suseconds_t)(wait_ms % 1000) * 1000};

    if (!event_pending(timer, EV_TIMEOUT, NULL)) (void)event_add(timer, &wait);
}

/* ---- up ---- */

static struct conn *turn_of(const struct links *links)
{
    return links->throttle.next != NULL ? links->throttle.next : links->conns;
}

/* One part of one link; false: no link has any that can go out now. */
static bool push_one(struct links *links)
{
    struct throttle *throttle = &links->throttle;
    struct conn *first = turn_of(links);
    struct conn *conn = first;

    while (conn != NULL) {
        const size_t cost = is_member(conn) ? link_push(conn->link) : 0;

        throttle->next = conn->next;
        if (cost > 0) {
            bucket_spend(&throttle->up, cost, loop_now_ms());
            return true;
        }
        conn = turn_of(links);
        if (conn == first) break;
    }
    return false;
}

static bool has_bulk(const struct links *links)
{
    for (const struct conn *conn = links->conns; conn != NULL; conn = conn->next)
        if (is_member(conn) && link_has_bulk(conn->link)) return true;
    return false;
}

void throttle_bulk(struct links *links)
{
    struct throttle *throttle = &links->throttle;
    uint64_t wait_ms = 0;

    if (throttle->up.rate == 0) return;
    while ((wait_ms = bucket_wait_ms(&throttle->up, loop_now_ms())) == 0)
        if (!push_one(links)) break;
    if (has_bulk(links))
        set_timer(throttle->up_timer, wait_ms > LOOK_MS ? wait_ms : LOOK_MS);
}

static void on_up_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    throttle_bulk(arg);
}

bool throttle_holds_back(const struct conn *conn)
{
    return conn->links->throttle.up.rate > 0 && link_has_bulk(conn->link);
}

void throttle_prompt(struct conn *conn, size_t bytes)
{
    bucket_spend(&conn->links->throttle.up, bytes + FRAME_COST, loop_now_ms());
}

/* ---- down ---- */

/* Whoever was first the last time is last now. */
static void hold(struct links *links, bool held)
{
    struct conn *const first = turn_of(links);
    struct conn *conn = first;

    links->throttle.held = held;
    while (conn != NULL) {
        if (is_member(conn)) link_hold(conn->link, held);
        conn = conn->next != NULL ? conn->next : links->conns;
        if (conn == first) break;
    }
    if (first != NULL && !held) links->throttle.next = first->next;
}

static void on_down_timer(evutil_socket_t fd, short what, void *arg)
{
    struct links *links = arg;
    const uint64_t wait_ms = bucket_wait_ms(&links->throttle.down, loop_now_ms());

    (void)fd;
    (void)what;
    if (wait_ms > 0)
        set_timer(links->throttle.down_timer, wait_ms);
    else if (links->throttle.held)
        hold(links, false);
}

void throttle_received(struct conn *conn, uint64_t bytes)
{
    struct links *links = conn->links;
    struct throttle *throttle = &links->throttle;
    uint64_t wait_ms;

    bucket_spend(&throttle->down, bytes, loop_now_ms());
    wait_ms = bucket_wait_ms(&throttle->down, loop_now_ms());
    if (wait_ms == 0 || throttle->held) return;
    hold(links, true);
    set_timer(throttle->down_timer, wait_ms);
}

/* ---- setting ---- */

static size_t share(uint64_t rate, size_t least, size_t most)
{
    const uint64_t part = rate / PARTS_A_SECOND;

    if (rate == 0) return 0;
    return part < least ? least : (part > most ? most : (size_t)part);
}

/* All links, for their number is of account. */
static void meter_all(struct links *links)
{
    struct throttle *throttle = &links->throttle;
    struct link_meter meter = {
        .part = share(throttle->up.rate, PART_MIN, LINK_PART_MAX),
        .read = share(throttle->down.rate, READ_MIN, LINK_PART_MAX),
    };
    uint64_t members = 0;

    for (const struct conn *conn = links->conns; conn != NULL; conn = conn->next)
        members += is_member(conn);
    throttle->slack_ms = 0;
    if (throttle->down.rate > 0) /* each of them has its turn, twice */
        throttle->slack_ms = (uint32_t)(2 * members * (meter.read + TLS_RECORD) * 1000 /
                                        throttle->down.rate);
    meter.slack_ms = throttle->slack_ms;
    for (struct conn *conn = links->conns; conn != NULL; conn = conn->next)
        if (is_member(conn)) link_meter(conn->link, &meter);
}

void throttle_set(struct links *links, uint64_t upload, uint64_t download)
{
    struct throttle *throttle = &links->throttle;
    const uint64_t now_ms = loop_now_ms();

    if (upload == throttle->up.rate && download == throttle->down.rate) return;
    bucket_set_rate(&throttle->up, upload, now_ms);
    bucket_set_rate(&throttle->down, download, now_ms);
    (void)event_del(throttle->up_timer);
    (void)event_del(throttle->down_timer);
    meter_all(links);
    if (throttle->held) hold(links, false);
    throttle_bulk(links);
}

void throttle_adopt(struct conn *conn)
{
    meter_all(conn->links);
    link_hold(conn->link, conn->links->throttle.held);
}

void throttle_forget(struct conn *conn)
{
    struct throttle *throttle = &conn->links->throttle;
    const struct link_bytes bytes = link_bytes(conn->link);

    if (throttle->next == conn) throttle->next = conn->next;
    throttle->past.received += bytes.received;
    throttle->past.sent += bytes.sent;
}

bool throttle_init(struct links *links)
{
    struct event_base *base = loop_base(links->loop);

    links->throttle.up_timer = evtimer_new(base, on_up_timer, links);
    links->throttle.down_timer = evtimer_new(base, on_down_timer, links);
    return links->throttle.up_timer != NULL && links->throttle.down_timer != NULL;
}

void throttle_done(struct links *links)
{
    if (links->throttle.up_timer != NULL) event_free(links->throttle.up_timer);
    if (links->throttle.down_timer != NULL) event_free(links->throttle.down_timer);
}
