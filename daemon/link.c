#include "daemon/link.h"

#include "base/alloc.h"

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

#define SINGLE_MAX ((size_t)256 << 10) /* bytes of one read or write */
#define SLICE_SIZE                                                                \
    ((size_t)64 << 10)         /* of a payload: written as a whole or not yet, so \
                                  that progress shows on slow lines */
#define USER_TIMEOUT_MS 30000u /* for the other end's kernel to acknowledge */

struct link {
    struct link_config config;
    struct bufferevent *events;
    struct event *patience; /* armed until settled, and while a frame is incomplete */
    bool open, settled, paused, closed;
    bool calling, freed; /* link_free from inside a callback waits for its return */
    uint64_t active_ms;
    char address[LINK_ADDRESS_SIZE];

    /* The frame that is arriving. */
    bool begun; /* its sizes are known */
    uint32_t header_size, payload_size;
    struct hf_buffer *payload; /* from when the header is whole or the payload begins */
    size_t payload_have;
    uint8_t *header; /* LINK_HEADER_MAX at most, as long as the payload arrives */
};

/* ---- the end ---- */

static void forget_frame(struct link *link)
{
    hf_buffer_unref(link->payload);
    free(link->header);
    link->payload = NULL;
    link->header = NULL;
    link->begun = false;
    link->payload_have = 0;
}

void link_free(struct link *link)
{
    if (link == NULL) return;
    if (link->calling) {
        link->freed = true;
        return;
    }
    forget_frame(link);
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
    const struct timeval patience = {(time_t)(link->config.patience_ms / 1000),
                                     (suseconds_t)(link->config.patience_ms % 1000) * 1000};

    (void)event_add(link->patience, &patience);
}

/* A settled link waits for the rest of a frame only, and only while it reads. */
static void judge_patience(struct link *link)
{
    if (!link->settled) return;
    if (link->paused ||
        (!link->begun && evbuffer_get_length(bufferevent_get_input(link->events)) == 0))
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
    else if (link->begun || evbuffer_get_length(bufferevent_get_input(link->events)) > 0)
        close_link(link, "half a frame, then silence");
    else
        close_link(link, "silence: no hello in time");
}

/* ---- reading ---- */

enum progress { MORE_WANTED, FRAME_WHOLE, FRAME_BAD, NO_MEMORY };

static enum progress begin_frame(struct link *link, struct evbuffer *input)
{
    uint8_t sizes[LINK_SIZES_SIZE];

    if (evbuffer_get_length(input) < sizeof sizes) return MORE_WANTED;
    (void)evbuffer_remove(input, sizes, sizeof sizes);
    if (!link_sizes_get(sizes, &link->header_size, &link->payload_size)) return FRAME_BAD;
    link->begun = true;
    return FRAME_WHOLE;
}

/* Takes what has come of the frame; it is allocated only when its header is there. */
static enum progress take_frame(struct link *link, struct evbuffer *input)
{
    int got;

    if (!link->begun) {
        enum progress begun = begin_frame(link, input);

        if (begun != FRAME_WHOLE) return begun;
    }
    if (link->header == NULL) {
        if (evbuffer_get_length(input) < link->header_size) return MORE_WANTED;
        link->header = malloc(link->header_size);
        if (link->header == NULL) return NO_MEMORY;
        (void)evbuffer_remove(input, link->header, link->header_size);
    }
    if (link->payload_size == 0) return FRAME_WHOLE;
    if (link->payload == NULL) {
        if (!link->settled && link->payload_size > 0) return FRAME_BAD;
        link->payload = hf_buffer_new(link->payload_size);
        if (link->payload == NULL) return NO_MEMORY;
    }
    got = evbuffer_remove(input, link->payload->b + link->payload_have,
                          link->payload_size - link->payload_have);
    if (got > 0) link->payload_have += (size_t)got;
    return link->payload_have == link->payload_size ? FRAME_WHOLE : MORE_WANTED;
}

/* False: the link is gone, or closed. */
static bool deliver(struct link *link)
{
    struct hf_buffer *payload = link->payload;
    uint8_t *header = link->header;
    enum link_kind kind;
    const uint8_t *body;
    size_t n;
    bool good = link_header_get(header, link->header_size, &kind, &body, &n);

    link->payload = NULL;
    link->header = NULL;
    forget_frame(link);
    if (good) {
        link->calling = true;
        good = link->config.frame(link->config.arg, kind, body, n, payload);
    }
    free(header);
    hf_buffer_unref(payload);
    if (!survives(link)) return false;
    if (!good) close_link(link, "a message that it may not send, or malformed");
    return good;
}

static void on_read(struct bufferevent *events, void *arg)
{
    struct link *link = arg;
    struct evbuffer *input = bufferevent_get_input(events);

    link->active_ms = loop_now_ms();
    while (!link->paused && !link->closed) {
        switch (take_frame(link, input)) {
        case MORE_WANTED: judge_patience(link); return;
        case FRAME_BAD: close_link(link, "a frame beyond the limits"); return;
        case NO_MEMORY: close_link(link, "no memory for its frame"); return;
        case FRAME_WHOLE:
            if (!deliver(link)) return;
        }
    }
    judge_patience(link);
}

void link_pause(struct link *link, bool paused)
{
    if (paused == link->paused) return;
    link->paused = paused;
    if (paused) {
        (void)bufferevent_disable(link->events, EV_READ);
    } else {
        link->active_ms = loop_now_ms();
        (void)bufferevent_enable(link->events, EV_READ);
        bufferevent_trigger(link->events, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
    judge_patience(link);
}

/* ---- writing ---- */

static void release(const void *bytes, size_t n, void *arg)
{
    (void)bytes;
    (void)n;
    hf_buffer_unref(arg);
}

void link_send(struct link *link, const uint8_t *header, size_t n,
               struct hf_buffer *payload)
{
    struct evbuffer *output = bufferevent_get_output(link->events);
    uint8_t sizes[LINK_SIZES_SIZE];
    const size_t payload_size = payload != NULL ? payload->size : 0;

    if (link->closed) return;
    link_sizes_put(sizes, (uint32_t)n, (uint32_t)payload_size);
    if (evbuffer_expand(output, sizeof sizes + n) != 0 ||
        evbuffer_add(output, sizes, sizeof sizes) != 0 ||
        evbuffer_add(output, header, n) != 0)
        abort(); /* a stream with a hole in it serves nobody */
    for (size_t at = 0; at < payload_size; at += SLICE_SIZE) {
        const size_t slice =
            payload_size - at < SLICE_SIZE ? payload_size - at : SLICE_SIZE;

        (void)hf_buffer_ref(payload);
        if (evbuffer_add_reference(output, payload->b + at, slice, release, payload) != 0)
            abort();
    }
}

size_t link_queued(const struct link *link)
{
    return evbuffer_get_length(bufferevent_get_output(link->events));
}

/* What the kernel took out of a queue that is still not empty is a sign that the other end
 * reads; the last of it may only lie in the kernel's buffer. */
static void on_drained(struct evbuffer *output, const struct evbuffer_cb_info *info,
                       void *arg)
{
    struct link *link = arg;

    if (info->n_deleted > 0 && evbuffer_get_length(output) > 0)
        link->active_ms = loop_now_ms();
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
    const unsigned timeout_ms = USER_TIMEOUT_MS;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
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
    bufferevent_openssl_set_allow_dirty_shutdown(link->events, 1);
    (void)bufferevent_set_max_single_read(link->events, SINGLE_MAX);
    (void)bufferevent_set_max_single_write(link->events, SINGLE_MAX);
    bufferevent_setwatermark(link->events, EV_READ, 0, SINGLE_MAX);
    bufferevent_setcb(link->events, on_read, NULL, on_event, link);
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

    if (link != NULL) link->config = *config;
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

const char *link_address(const struct link *link)
{
    return link->address;
}

void link_settle(struct link *link)
{
    link->settled = true;
    judge_patience(link);
}

uint64_t link_active_ms(const struct link *link)
{
    return link->active_ms;
}
