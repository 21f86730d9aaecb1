#include "membership/join_client.h"

#include "base/random.h"
#include "base/secret.h"
#include "membership/invitations.h"
#include "membership/link_frame.h"
#include "membership/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TRIES    5u
#define RETRY_MS 250u /* and up to twice that; doubles */

#define ANNOUNCEMENT_SET_MAX 4096u /* a roster of one announcement */

/* ---- connecting ---- */

static enum hf_code wait_connected(int fd, struct hf_err *err)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    int failure = 0;
    socklen_t size = sizeof failure;
    int ready;

    do {
        ready = poll(&pollfd, 1, JOIN_TIMEOUT_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) return hf_fail(err, HF_TIMED_OUT, "no answer");
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
        return hf_fail_errno(err, errno, "connect");
    return failure == 0
               ? HF_OK
               : hf_fail(err, HF_UNAVAILABLE, "connect: %s", strerrordesc_np(failure));
}

static enum hf_code connect_one(const struct addrinfo *address, int *fd, struct hf_err *err)
{
    enum hf_code rc = HF_OK;
    int flags;

    *fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) return hf_fail_errno(err, errno, "socket");
    if (connect(*fd, address->ai_addr, address->ai_addrlen) != 0)
        rc = errno == EINPROGRESS
                 ? wait_connected(*fd, err)
                 : hf_fail(err, HF_UNAVAILABLE, "connect: %s", strerrordesc_np(errno));
    if (rc == HF_OK) {
        flags = fcntl(*fd, F_GETFL);
        if (flags < 0 || fcntl(*fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
            rc = hf_fail_errno(err, errno, "fcntl");
    }
    if (rc == HF_OK) return HF_OK;
    (void)close(*fd);
    *fd = -1;
    return rc;
}

static enum hf_code connect_to(const char *address, int *fd, struct hf_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[ADDRESS_SIZE];
    char port[6];
    enum hf_code rc;
    int failure;

    *fd = -1;
    if (!address_split(address, host, port))
        return hf_fail(err, HF_INVALID, "address '%s': want HOST:PORT", address);
    failure = getaddrinfo(host, port, &hints, &found);
    if (failure != 0)
        return hf_fail(err, HF_UNAVAILABLE, "%s: %s", host, gai_strerror(failure));
    rc = hf_fail(err, HF_UNAVAILABLE, "%s: has no address", host);
    for (const struct addrinfo *a = found; a != NULL && rc != HF_OK; a = a->ai_next)
        rc = connect_one(a, fd, err);
    freeaddrinfo(found);
    return rc;
}

/* ---- frames over TLS ---- */

struct stream {
    SSL *ssl;
    uint8_t *header;  /* LINK_HEADER_MAX */
    uint8_t *payload; /* of the last frame, malloc'ed */
    uint32_t header_size, payload_size;
};

/* Why the last TLS call failed. */
static enum hf_code tls_failed(struct hf_err *err, const char *doing)
{
    const int errnum = errno;
    const unsigned long reason = ERR_peek_error();

    ERR_clear_error();
    if (reason != 0 && ERR_GET_REASON(reason) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return hf_fail(err, HF_DENIED, "%s: %s", doing, ERR_reason_error_string(reason));
    if (errnum == EAGAIN || errnum == EWOULDBLOCK)
        return hf_fail(err, HF_TIMED_OUT, "%s: no answer within %d s", doing,
                       JOIN_TIMEOUT_MS / 1000);
    return hf_fail(err, HF_UNAVAILABLE, "%s: the connection was closed", doing);
}

static enum hf_code read_exactly(struct stream *stream, uint8_t *bytes, size_t n,
                                 struct hf_err *err)
{
    size_t done = 0;

    while (done < n) {
        size_t got = 0;

        errno = 0;
        if (SSL_read_ex(stream->ssl, bytes + done, n - done, &got) != 1)
            return tls_failed(err, "read");
        done += got;
    }
    return HF_OK;
}

static enum hf_code write_all(struct stream *stream, const uint8_t *bytes, size_t n,
                              struct hf_err *err)
{
    size_t written = 0;

    errno = 0;
    if (n == 0 || SSL_write_ex(stream->ssl, bytes, n, &written) == 1) return HF_OK;
    return tls_failed(err, "write");
}

static enum hf_code frame_send(struct stream *stream, const struct hf_writer *header,
                               const uint8_t *payload, size_t payload_size,
                               struct hf_err *err)
{
    const size_t header_size = hf_writer_size(header);
    uint8_t sizes[LINK_SIZES_SIZE];
    enum hf_code rc;

    link_sizes_put(sizes, (uint32_t)header_size, (uint32_t)payload_size);
    rc = write_all(stream, sizes, sizeof sizes, err);
    if (rc == HF_OK) rc = write_all(stream, header->start, header_size, err);
    if (rc == HF_OK) rc = write_all(stream, payload, payload_size, err);
    return rc;
}

/* Reads the next frame, which must be of `kind`; *body is its structure. */
static enum hf_code frame_receive(struct stream *stream, enum link_kind want,
                                  const uint8_t **body, size_t *body_size,
                                  struct hf_err *err)
{
    uint8_t sizes[LINK_SIZES_SIZE];
    enum link_kind kind;
    enum hf_code rc = read_exactly(stream, sizes, sizeof sizes, err);

    if (rc != HF_OK) return rc;
    if (!link_sizes_get(sizes, &stream->header_size, &stream->payload_size))
        return hf_fail(err, HF_CORRUPT, "what answers there is not Holdfast");
    rc = read_exactly(stream, stream->header, stream->header_size, err);
    if (rc != HF_OK) return rc;
    if (!link_header_get(stream->header, stream->header_size, &kind, body, body_size) ||
        kind != want)
        return hf_fail(err, HF_CORRUPT, "an unexpected message");
    free(stream->payload);
    stream->payload = malloc(stream->payload_size + 1u); /* <= LINK_PAYLOAD_MAX */
    if (stream->payload == NULL) return hf_fail(err, HF_NO_MEMORY, "join");
    return read_exactly(stream, stream->payload, stream->payload_size, err);
}

/* ---- the dialogue ---- */

static enum hf_code ask(struct stream *stream, const struct invitation_code *code,
                        const struct identity *identity, const char *name,
                        struct link_peer *steward, struct hf_err *err)
{
    uint8_t bytes[JOIN_REQUEST_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    struct join_request request = {.key = *identity_public(identity)};
    struct link_hello hello;
    struct hf_public_key key;
    const uint8_t *body = NULL;
    enum hf_code rc;
    size_t n = 0;

    if (!name_valid(name, NAME_SIZE))
        return hf_fail(err, HF_INVALID, "name: want 1 to %u printable bytes",
                       NAME_SIZE - 1);
    if (!tls_peer_key(stream->ssl, &key))
        return hf_fail(err, HF_DENIED, "the steward shows no key");
    rc = frame_receive(stream, LINK_HELLO, &body, &n, err);
    if (rc == HF_OK) rc = link_hello_parse(body, n, &hello, err);
    if (rc == HF_OK) rc = link_hello_verify(&hello, &code->fingerprint, &key, steward, err);
    if (rc == HF_WRONG_KEY)
        return hf_fail(err, HF_DENIED, "the machine there belongs to another ring");
    if (rc != HF_OK) return rc;
    if (!steward->certificate.steward)
        return hf_fail(err, HF_DENIED, "the machine there is not a steward of the ring");
    memcpy(request.name, name, strlen(name) + 1);
    invitation_prove(code->secret, &request.key, &key, &request.proof);
    link_header_put(&w, LINK_JOIN_REQUEST);
    join_request_put(&w, &request);
    return frame_send(stream, &w, NULL, 0, err);
}

/* A refusal as the user's exit code wants it: what concerns the code is HF_WRONG_KEY. */
static enum hf_code refused(const struct join_reply *reply, struct hf_err *err)
{
    const bool about_code = reply->code == HF_DENIED || reply->code == HF_TIMED_OUT ||
                            reply->code == HF_NO_SPACE;

    return hf_fail(err, about_code ? HF_WRONG_KEY : HF_DENIED, "the steward refuses: %s",
                   reply->text);
}

static enum hf_code take_reply(struct stream *stream, const struct link_peer *steward,
                               const struct identity *identity, struct joined *joined,
                               struct hf_err *err)
{
    struct join_reply reply;
    struct hf_id fingerprint;
    struct roster_merge merge;
    const uint8_t *body = NULL;
    enum hf_code rc;
    bool news;
    size_t n = 0;

    rc = frame_receive(stream, LINK_JOIN_REPLY, &body, &n, err);
    if (rc == HF_OK) rc = join_reply_parse(body, n, &reply, err);
    if (rc != HF_OK) return rc;
    if (reply.code != HF_OK) return refused(&reply, err);
    joined->ring_bytes = reply.ring;
    joined->certificate_bytes = reply.certificate;
    authority_fingerprint(&steward->ring.authority, &fingerprint);
    rc = ring_parameters_parse(reply.ring.b, reply.ring.size, &fingerprint, &joined->ring,
                               err);
    if (rc == HF_OK)
        rc = certificate_parse(reply.certificate.b, reply.certificate.size,
                               &joined->ring.authority, &joined->certificate, err);
    if (rc != HF_OK) return rc;
    if (memcmp(joined->certificate.key.b, identity_public(identity)->b,
               HF_PUBLIC_KEY_SIZE) != 0)
        return hf_fail(err, HF_CORRUPT, "the certificate is of another machine");
    joined->roster = roster_new(&joined->ring.authority);
    if (joined->roster == NULL) return hf_fail(err, HF_NO_MEMORY, "join");
    rc = roster_merge(joined->roster, stream->payload, stream->payload_size, &merge, err);
    if (rc == HF_OK)
        rc = roster_add(joined->roster, reply.certificate.b, reply.certificate.size, &news,
                        err);
    return rc;
}

/* Signs this machine's announcement, above any that the ring remembers of it, puts it on
 * the roster and tells the steward. */
static enum hf_code announce(struct stream *stream, const struct identity *identity,
                             const struct join_wish *wish, struct joined *joined,
                             struct hf_err *err)
{
    const uint64_t before = roster_revision(joined->roster);
    const struct roster_member *self = roster_find(joined->roster, &joined->certificate.id);
    struct announcement announcement = wish->announcement;
    uint8_t fact[FACT_SIZE_MAX];
    uint8_t header[16];
    uint8_t set[ANNOUNCEMENT_SET_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    size_t cursor = 0;
    enum hf_code rc;
    bool news;
    size_t n;

    announcement.node = joined->certificate.id;
    announcement.seq = self->announced ? self->announcement.seq + 1 : 1;
    rc = announcement_sign(&announcement, identity_signer(identity), fact, &n, err);
    if (rc == HF_OK) rc = roster_add(joined->roster, fact, n, &news, err);
    if (rc != HF_OK) return rc;
    (void)roster_encode(joined->roster, before, &cursor, set, sizeof set, &n);
    link_header_put(&w, LINK_ROSTER);
    hf_put_null(&w);
    return frame_send(stream, &w, set, n, err);
}

static enum hf_code converse(struct stream *stream, const struct invitation_code *code,
                             const struct identity *identity, const struct join_wish *wish,
                             struct joined *joined, struct hf_err *err)
{
    struct link_peer steward;
    enum hf_code rc;

    errno = 0;
    if (SSL_connect(stream->ssl) != 1) return tls_failed(err, "TLS");
    rc = ask(stream, code, identity, wish->name, &steward, err);
    if (rc == HF_OK) rc = take_reply(stream, &steward, identity, joined, err);
    if (rc == HF_OK) rc = announce(stream, identity, wish, joined, err);
    if (rc == HF_OK) (void)SSL_shutdown(stream->ssl);
    return rc;
}

enum hf_code join_over_socket(int fd, const struct invitation_code *code,
                              const struct identity *identity, const struct join_wish *wish,
                              struct joined *joined, struct hf_err *err)
{
    const struct timeval patience = {.tv_sec = JOIN_TIMEOUT_MS / 1000};
    struct stream stream = {.header = malloc(LINK_HEADER_MAX)};
    SSL_CTX *context = NULL;
    enum hf_code rc;

    memset(joined, 0, sizeof *joined);
    rc = tls_context_new(identity, TLS_CLIENT, &context, err);
    if (rc != HF_OK) goto out;
    stream.ssl = SSL_new(context);
    if (stream.ssl == NULL || stream.header == NULL || SSL_set_fd(stream.ssl, fd) != 1) {
        rc = hf_fail(err, HF_NO_MEMORY, "join");
        goto out;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
        rc = hf_fail_errno(err, errno, "setsockopt");
        goto out;
    }
    rc = converse(&stream, code, identity, wish, joined, err);
out:
    if (rc != HF_OK) {
        roster_free(joined->roster);
        joined->roster = NULL;
    }
    SSL_free(stream.ssl);
    SSL_CTX_free(context);
    free(stream.payload);
    free(stream.header);
    return rc;
}

/* Whoever asks at the same time as too many others is sent away; a moment later, each at
 * its own, there is room.  The steward serves a machine that asks again. */
static void pause_before(unsigned try)
{
    uint32_t random;
    uint32_t ms = RETRY_MS << try;
    struct timespec pause;

    hf_random(&random, sizeof random);
    ms += random % ms;
    pause = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

enum hf_code join_ring(const struct invitation_code *code, const struct identity *identity,
                       const struct join_wish *wish, struct joined *joined,
                       struct hf_err *err)
{
    enum hf_code rc = HF_UNAVAILABLE;
    bool connected = true;
    int fd;

    memset(joined, 0, sizeof *joined);
    for (unsigned try = 0; try < TRIES && connected && rc == HF_UNAVAILABLE; try++) {
        if (try > 0) pause_before(try - 1);
        rc = connect_to(code->address, &fd, err);
        connected = rc == HF_OK;
        if (connected) {
            rc = join_over_socket(fd, code, identity, wish, joined, err);
            (void)close(fd);
        }
    }
    if (rc == HF_OK) return HF_OK;
    if (rc == HF_UNAVAILABLE && connected)
        return hf_prefix(err, "join by way of the steward at %s, tried %u times",
                         code->address, TRIES);
    return hf_prefix(err, "join by way of the steward at %s", code->address);
}
