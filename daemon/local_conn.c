#include "daemon/local_conn.h"

#include "base/alloc.h"
#include "base/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BURST_MAX  ((size_t)1 << 20) /* bytes read before others have their turn */
#define IOVECS_MAX 64

struct local_conn {
    struct local_conn_events events;
    int fd;
    struct timeval stall;
    struct event *readable, *writable;
    struct local_reader reader;
    struct evbuffer *out;
};

struct local_reader *local_conn_reader(struct local_conn *conn)
{
    return &conn->reader;
}

static void wait_to_read(struct local_conn *conn)
{
    bool idle = local_reader_idle(&conn->reader);

    (void)event_add(conn->readable, idle ? NULL : &conn->stall);
}

/* ---- writing ---- */

static void drop_reference(const void *bytes, size_t n, void *owner)
{
    (void)bytes;
    (void)n;
    hf_buffer_unref(owner);
}

static bool queue_answer(struct evbuffer *out, const struct local_answer *answer)
{
    uint8_t header[4 + LOCAL_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header + 4, LOCAL_HEADER_MAX);
    size_t n;

    local_reply_put(&w, &answer->reply);
    n = hf_writer_size(&w);
    for (unsigned i = 0; i < 4; i++)
        header[i] = (uint8_t)(n >> (24 - 8 * i));
    if (n == 0 || evbuffer_add(out, header, 4 + n) != 0) return false;
    for (size_t i = 0; i < answer->reply.part_count; i++) {
        struct hf_buffer *owner = hf_buffer_ref(answer->parts[i].owner);

        if (answer->reply.sizes[i] > 0 &&
            evbuffer_add_reference(out, answer->parts[i].b, answer->reply.sizes[i],
                                   drop_reference, owner) == 0)
            continue;
        hf_buffer_unref(owner);
        if (answer->reply.sizes[i] > 0) return false;
    }
    return true;
}

/* Reads the next request, unless the owner is done with the connection. */
static void finish(struct local_conn *conn)
{
    local_reader_next(&conn->reader);
    if (conn->events.replied(conn->events.arg)) wait_to_read(conn);
}

static void write_more(struct local_conn *conn)
{
    struct evbuffer_iovec iov[IOVECS_MAX];
    struct msghdr m = {.msg_iov = iov};
    ssize_t n;

    while (evbuffer_get_length(conn->out) > 0) {
        int count = evbuffer_peek(conn->out, -1, NULL, iov, IOVECS_MAX);

        m.msg_iovlen = (size_t)(count < IOVECS_MAX ? count : IOVECS_MAX);
        n = sendmsg(conn->fd, &m, MSG_NOSIGNAL); /* evbuffer_write would raise SIGPIPE */
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(conn->writable, &conn->stall);
            return;
        }
        if (n < 0) { /* it has gone away */
            conn->events.closed(conn->events.arg);
            return;
        }
        (void)evbuffer_drain(conn->out, (size_t)n);
    }
    finish(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct local_conn *conn = arg;

    (void)fd;
    if ((what & EV_TIMEOUT) == 0) {
        write_more(conn);
        return;
    }
    hf_log(HF_LOG_WARN, "local", "a program does not take its answer; it was closed");
    conn->events.closed(conn->events.arg);
}

void local_conn_reply(struct local_conn *conn, struct local_answer *answer)
{
    bool queued = queue_answer(conn->out, answer);

    local_answer_done(answer);
    if (queued)
        write_more(conn);
    else
        conn->events.closed(conn->events.arg);
}

/* ---- reading ---- */

/* Reads once.  False: nothing more is to be read now (and *conn may be gone). */
static bool read_once(struct local_conn *conn, size_t *left)
{
    bool had_header = conn->reader.state > LOCAL_READER_HEADER;
    struct hf_err err;
    uint8_t *at;
    size_t size;
    enum hf_code rc = local_reader_room(&conn->reader, &at, &size, &err);
    ssize_t n;

    if (rc != HF_OK) goto bad;
    n = read(conn->fd, at, size < *left ? size : *left);
    if (n < 0 && errno == EINTR) return true;
    if (n < 0 && errno == EAGAIN) {
        wait_to_read(conn);
        return false;
    }
    if (n <= 0) {
        conn->events.closed(conn->events.arg);
        return false;
    }
    *left -= (size_t)n;
    rc = local_reader_took(&conn->reader, (size_t)n, &err);
    if (rc != HF_OK) goto bad;
    return had_header || conn->reader.state <= LOCAL_READER_HEADER ||
           conn->events.header(conn->events.arg);
bad:
    hf_log(HF_LOG_WARN, "local", "a program's request is no good (%s); it was closed",
           err.msg);
    conn->events.closed(conn->events.arg);
    return false;
}

/* Active, but not at once: the caller, and others, go first. */
void local_conn_go_on(struct local_conn *conn)
{
    event_active(conn->readable, EV_READ, 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct local_conn *conn = arg;
    size_t left = BURST_MAX;

    (void)fd;
    if ((what & EV_READ) == 0) {
        hf_log(HF_LOG_WARN, "local", "a program stopped within a request; it was closed");
        conn->events.closed(conn->events.arg);
        return;
    }
    while (conn->reader.state != LOCAL_READER_WHOLE) {
        if (left == 0) {
            local_conn_go_on(conn);
            return;
        }
        if (!read_once(conn, &left)) return;
    }
    conn->events.request(conn->events.arg);
}

/* ---- making ---- */

struct local_conn *local_conn_new(struct event_base *base, int fd,
                                  const struct timeval *stall,
                                  const struct local_conn_events *events)
{
    struct local_conn *conn = hf_alloc_array(1, sizeof *conn);

    if (conn == NULL) {
        (void)close(fd);
        return NULL;
    }
    conn->events = *events;
    conn->fd = fd;
    conn->stall = *stall;
    local_reader_init(&conn->reader);
    conn->readable = event_new(base, fd, EV_READ, on_readable, conn);
    conn->writable = event_new(base, fd, EV_WRITE, on_writable, conn);
    conn->out = evbuffer_new();
    if (conn->readable == NULL || conn->writable == NULL || conn->out == NULL) {
        local_conn_free(conn);
        return NULL;
    }
    wait_to_read(conn);
    return conn;
}

void local_conn_free(struct local_conn *conn)
{
    if (conn == NULL) return;
    if (conn->readable != NULL) event_free(conn->readable);
    if (conn->writable != NULL) event_free(conn->writable);
    if (conn->out != NULL) evbuffer_free(conn->out);
    local_reader_done(&conn->reader);
    (void)close(conn->fd);
    free(conn);
}
