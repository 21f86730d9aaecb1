#include "daemon/link.h"

#include "base/alloc.h"
#include "daemon/inflow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SINGLE_MAX      ((size_t)256 << 10) /* bytes of one read or write */
#define FILL_MIN        ((size_t)128 << 10) /* below: more bulk is put on the line ... */
#define FILL_MAX        ((size_t)256 << 10) /* ... up to this: prompt frames wait for no more */
#define UNSENT_MAX      (256 << 10) /* bytes that the kernel holds back and has not sent */
#define USER_TIMEOUT_MS 30000u      /* for the other end's kernel to acknowledge */
#define WINDOW_SMALL    (64 << 10)  /* of a link whose reading is limited */
#define WINDOW_MAX      (1 << 30)

struct link {
    struct link_config config;
    struct bufferevent *events;
    struct event *patience; /* armed until settled, and while a frame is incomplete */
    bool open, paused, held, closed;
    bool calling, freed; /* link_free from inside a callback waits for its return */
    uint64_t active_ms;
    char address[LINK_ADDRESS_SIZE];

    struct inflow in;
    struct outflow out;
    uint64_t counted; /* bytes that config.received was told of */
    struct link_meter meter;
};

/* ---- the end ---- */

void link_free(struct link *link)
{
    if (link == NULL) return;
    if (link->calling) {
        link->freed = true;
        return;
    }
    inflow_done(&link->in);
    outflow_done(&link->out);
    if (link->events != NULL) bufferevent_free(link->events);
    if (link->patience != NULL) event_free(link->patience);
    free(link);
}

/* After a callback: false when the link is gone. */
static bool survives(struct link *link)
{
    link->calling = false;
    if (!link->freed) return true;
    link->freed = false;
    link_free(link);
    return false;
}

static void close_link(struct link *link, const char *why)
{
    if (link->closed) return;
    link->closed = true;
    (void)bufferevent_disable(link->events, EV_READ | EV_WRITE);
    (void)event_del(link->patience);
    link->calling = true;
    link->config.closed(link->config.arg, why);
    (void)survives(link);
}

/* ---- patience ---- */

static void wait_from_now(struct link *link)
{
    const uint64_t wait_ms = (uint64_t)link->config.patience_ms + link->meter.slack_ms;
    const struct timeval patience = {(time_t)(wait_ms / 1000),
                                     (suseconds_t)(wait_ms % 1000) * 1000};

    (void)event_add(link->patience, &patience);
}

/* A settled link waits for the rest of a piece only, and only while it reads. */
static void judge_patience(struct link *link)
{
    if (!link->in.settled) return;
    if (link->paused ||
        (!link->in.begun && evbuffer_get_length(bufferevent_get_input(link->events)) == 0))
        (void)event_del(link->patience);
    else
        wait_from_now(link);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    if (!link->open)
        close_link(link, "silence: no handshake in time");
    else if (link->in.begun || evbuffer_get_length(bufferevent_get_input(link->events)) > 0)
        close_link(link, "half a frame, then silence");
    else
        close_link(link, "silence: no hello in time");
}

/* ---- reading ---- */

/* False: the link is gone, or closed. */
static bool deliver(struct link *link)
{
    struct arrival frame = link->in.now;
    enum link_kind kind;
    const uint8_t *body;
    size_t n;
    bool good = link_header_get(frame.header, frame.header_size, &kind, &body, &n);

    link->in.now = (struct arrival){0};
    if (good) {
        link->calling = true;
        good = link->config.frame(link->config.arg, kind, body, n, frame.payload);
    }
    inflow_release(&frame);
    if (!survives(link)) return false;
    if (!good) close_link(link, "a message that it may not send, or malformed");
    return good;
}

static void count_received(struct link *link)
{
    const uint64_t received = link_bytes(link).received;

    link->config.received(link->config.arg, received - link->counted);
    link->counted = received;
}

static void on_read(struct bufferevent *events, void *arg)
{
    struct link *link = arg;
    struct evbuffer *input = bufferevent_get_input(events);

    link->active_ms = loop_now_ms();
    count_received(link);
    while (!link->paused && !link->closed) {
        switch (inflow_take(&link->in, input)) {
        case INFLOW_MORE: judge_patience(link); return;
        case INFLOW_BAD: close_link(link, "a frame beyond the limits"); return;
        case INFLOW_NO_MEMORY: close_link(link, "no memory for its frame"); return;
        case INFLOW_PIECE: break;
        case INFLOW_FRAME:
            if (!deliver(link)) return;
        }
    }
    judge_patience(link);
}

static void set_reading(struct link *link)
{
    if (link->paused || link->held)
        (void)bufferevent_disable(link->events, EV_READ);
    else
        (void)bufferevent_enable(link->events, EV_READ);
}

void link_pause(struct link *link, bool paused)
{
    if (paused == link->paused) return;
    link->paused = paused;
    set_reading(link);
    if (!paused) {
        link->active_ms = loop_now_ms();
        bufferevent_trigger(link->events, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
    judge_patience(link);
}

void link_hold(struct link *link, bool held)
{
    if (held == link->held || link->closed) return;
    link->held = held;
    set_reading(link);
}

/* ---- writing ---- */

/* Keeps the line busy, and no more than that. */
static void fill_line(struct link *link)
{
    const struct evbuffer *output = bufferevent_get_output(link->events);

    if (link->meter.part > 0 || link->closed || evbuffer_get_length(output) >= FILL_MIN)
        return;
    while (link->out.first != NULL && evbuffer_get_length(output) < FILL_MAX)
        (void)outflow_part(&link->out, 0);
}

static void on_write(struct bufferevent *events, void *arg)
{
    (void)events;
    fill_line(arg);
}

void link_send(struct link *link, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload)
{
    if (link->closed) return;
    outflow_send(&link->out, lane, header, n, payload);
    fill_line(link);
}

size_t link_queued(const struct link *link)
{
    return outflow_queued(&link->out);
}

/* What the other end may send before any of it is read. */
static void set_window(struct link *link, int bytes)
{
    (void)setsockopt(bufferevent_getfd(link->events), IPPROTO_TCP, TCP_WINDOW_CLAMP, &bytes,
                     sizeof bytes);
}

void link_meter(struct link *link, const struct link_meter *meter)
{
    const bool was_read = link->meter.read > 0;

    if (link->closed) return;
    link->meter = *meter;
    if (meter->read > 0) {
        (void)bufferevent_set_max_single_read(link->events, meter->read);
        set_window(link, WINDOW_SMALL);
    } else if (was_read) {
        (void)bufferevent_set_max_single_read(link->events, SINGLE_MAX);
        set_window(link, WINDOW_MAX);
    }
    fill_line(link);
}

bool link_has_bulk(const struct link *link)
{
    return link->out.first != NULL && !link->closed;
}

size_t link_push(struct link *link)
{
    if (!link_has_bulk(link) ||
        evbuffer_get_length(bufferevent_get_output(link->events)) > 0)
        return 0;
    return outflow_part(&link->out, link->meter.part);
}

/* What the kernel took out of a queue that is still not empty is a sign that the other end
 * reads; the last of it may only lie in the kernel's buffer. */
static void on_drained(struct evbuffer *output, const struct evbuffer_cb_info *info,
                       void *arg)
{
    struct link *link = arg;

    (void)output;
    if (info->n_deleted > 0 && link_queued(link) > 0) link->active_ms = loop_now_ms();
}

/* ---- opening ---- */

/* NULL: TLS has nothing to say. */
static const char *tls_failure(struct bufferevent *events)
{
    const unsigned long reason = bufferevent_get_openssl_error(events);
    const char *text = reason != 0 ? ERR_reason_error_string(reason) : NULL;

    ERR_clear_error();
    if (ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return NULL;
    return text;
}

/* A connection that was not made is reported as one that was closed: only errno tells. */
static bool is_no_connection(int errnum)
{
    return errnum == ECONNREFUSED || errnum == EHOSTUNREACH || errnum == ENETUNREACH ||
           errnum == ETIMEDOUT;
}

static void on_event(struct bufferevent *events, short what, void *arg)
{
    struct link *link = arg;
    const int errnum = EVUTIL_SOCKET_ERROR();
    const char *text;
    char why[128];

    if ((what & BEV_EVENT_CONNECTED) != 0) {
        link->open = true;
        link->active_ms = loop_now_ms();
        link->calling = true;
        link->config.open(link->config.arg);
        (void)survives(link);
        return;
    }
    text = tls_failure(events);
    if (text != NULL)
        (void)snprintf(why, sizeof why, "TLS: %s", text);
    else if (((what & BEV_EVENT_ERROR) != 0 && errnum != 0) ||
             (!link->open && is_no_connection(errnum)))
        (void)snprintf(why, sizeof why, "%s", strerrordesc_np(errnum));
    else
        (void)snprintf(why, sizeof why,
                       link->open ? "it closed the connection"
                                  : "it closed during the handshake");
    close_link(link, why);
}

static void name_address(struct link *link, const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    if (address->sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(link->address, sizeof link->address, "[%s]:%u", host,
                       ntohs(v6->sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(link->address, sizeof link->address, "%s:%u", host,
                       ntohs(v4->sin_port));
    }
}

/* Whether it takes effect is the kernel's affair: nothing depends on it but speed. */
static void tune(int fd)
{
    const int one = 1;
    const int unsent = UNSENT_MAX;
    const unsigned timeout_ms = USER_TIMEOUT_MS;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/* A socket that is being connected, or -1. */
static int connect_socket(const struct sockaddr *address, int size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) return -1;
    tune(fd);
    if (connect(fd, address, (socklen_t)size) == 0 || errno == EINPROGRESS) return fd;
    (void)close(fd);
    return -1;
}

static bool start(struct link *link, SSL *ssl, int fd)
{
    const bool server = link->config.side == TLS_SERVER;
    struct event_base *base = loop_base(link->config.loop);

    link->events = bufferevent_openssl_socket_new(
        base, fd, ssl, server ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (link->events == NULL) return false;
    outflow_init(&link->out, bufferevent_get_output(link->events));
    bufferevent_openssl_set_allow_dirty_shutdown(link->events, 1);
    (void)bufferevent_set_max_single_read(link->events, SINGLE_MAX);
    (void)bufferevent_set_max_single_write(link->events, SINGLE_MAX);
    bufferevent_setwatermark(link->events, EV_READ, 0, SINGLE_MAX);
    bufferevent_setwatermark(link->events, EV_WRITE, FILL_MIN, 0);
    bufferevent_setcb(link->events, on_read, on_write, on_event, link);
    link->patience = evtimer_new(base, on_patience, link);
    if (link->patience == NULL ||
        evbuffer_add_cb(bufferevent_get_output(link->events), on_drained, link) == NULL)
        return false;
    wait_from_now(link);
    return bufferevent_enable(link->events, EV_READ | EV_WRITE) == 0;
}

struct link *link_new(const struct link_config *config)
{
    struct link *link = hf_alloc_array(1, sizeof *link);
    SSL *ssl = SSL_new(config->context);
    int fd = config->fd;

    if (link != NULL) {
        link->config = *config;
    }
    if (link != NULL && ssl != NULL) {
        link->active_ms = loop_now_ms();
        name_address(link, config->address);
        /* Never SSL_MODE_ENABLE_PARTIAL_WRITE: libevent goes on with the next piece when
         * only a part of one was written, and the rest is missing from the stream. */
        (void)SSL_set_mode(ssl,
                           SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
        if (fd >= 0)
            tune(fd);
        else
            fd = connect_socket(config->address, config->address_size);
        if (fd >= 0 && start(link, ssl, fd)) return link;
    }
    if (link == NULL || link->events == NULL) { /* else they belong to it */
        SSL_free(ssl);
        if (fd >= 0) (void)close(fd);
    }
    link_free(link);
    return NULL;
}

/* ---- questions ---- */

bool link_key(const struct link *link, struct hf_public_key *key)
{
    return link->open && tls_peer_key(bufferevent_openssl_get_ssl(link->events), key);
}

struct link_bytes link_bytes(const struct link *link)
{
    SSL *ssl = bufferevent_openssl_get_ssl(link->events);

    return (struct link_bytes){.received = BIO_number_read(SSL_get_rbio(ssl)),
                               .sent = BIO_number_written(SSL_get_wbio(ssl))};
}

struct link_bytes link_bulk_bytes(const struct link *link)
{
    return (struct link_bytes){.received = link->in.part_bytes,
                               .sent = link->out.part_bytes};
}

const char *link_address(const struct link *link)
{
    return link->address;
}

void link_settle(struct link *link)
{
    link->in.settled = true;
    judge_patience(link);
}

uint64_t link_active_ms(const struct link *link)
{
    return link->active_ms;
}
