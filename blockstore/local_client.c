#include "blockstore/local_client.h"

#include "base/home.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define IDLE_MAX 8u     /* connections kept open */
#define LOOK_US  250000 /* how often a call that waits asks whether it is cancelled */

struct local_client {
    char path[HF_PATH_MAX];
    struct local_cancel cancel;
    pthread_mutex_t mutex; /* guards the two below */
    int idle[IDLE_MAX];
    size_t idle_count;
};

enum hf_code local_client_new(const char *run_dir, struct local_client **client,
                              struct hf_err *err)
{
    struct sockaddr_un address;
    struct local_client *c = calloc(1, sizeof *c);
    enum hf_code rc;

    *client = NULL;
    if (c == NULL) return hf_fail(err, HF_NO_MEMORY, "daemon: out of memory");
    rc = hf_path_join(run_dir, LOCAL_SOCKET, c->path, err);
    if (rc == HF_OK && strlen(c->path) >= sizeof address.sun_path)
        rc = hf_fail(err, HF_TOO_LARGE,
                     "daemon: the path of its socket is longer than %zu: %s",
                     sizeof address.sun_path - 1, c->path);
    if (rc != HF_OK) {
        free(c);
        return rc;
    }
    (void)pthread_mutex_init(&c->mutex, NULL);
    *client = c;
    return HF_OK;
}

void local_client_free(struct local_client *client)
{
    if (client == NULL) return;
    while (client->idle_count > 0)
        (void)close(client->idle[--client->idle_count]);
    (void)pthread_mutex_destroy(&client->mutex);
    free(client);
}

void local_client_cancel_on(struct local_client *client, const struct local_cancel *cancel)
{
    client->cancel = *cancel;
}

/* ---- waiting ---- */

static bool is_cancelled(const struct local_client *c)
{
    return c->cancel.asked != NULL && c->cancel.asked(c->cancel.arg);
}

/* After a system call on a socket that failed with `why`: it is to be tried again. */
static bool goes_on(const struct local_client *c, int why)
{
    return why == EINTR || (why == EAGAIN && !is_cancelled(c));
}

static enum hf_code broken(const struct local_client *c, struct hf_err *err)
{
    if (is_cancelled(c)) return hf_fail(err, HF_CANCELLED, "interrupted");
    return hf_fail(err, HF_IO, "daemon: it went away; is 'holdfastd' still running?");
}

/* ---- connections ---- */

static enum hf_code connect_new(struct local_client *c, int *fd, struct hf_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval look = {.tv_usec = LOOK_US};
    int why;

    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) return hf_fail_errno(err, errno, "daemon: socket");
    memcpy(address.sun_path, c->path, strlen(c->path) + 1);
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof look) != 0 ||
        setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &look, sizeof look) != 0)
        why = errno;
    else
        do {
            if (connect(*fd, (const struct sockaddr *)&address, sizeof address) == 0)
                return HF_OK;
            why = errno;
        } while (goes_on(c, why));
    (void)close(*fd);
    *fd = -1;
    if (why == EAGAIN) return broken(c, err);
    if (why == ENOENT || why == ECONNREFUSED)
        return hf_fail(err, HF_IO,
                       "daemon: none is running for this home; start 'holdfastd'");
    (void)hf_fail_errno(err, why, "daemon: connect to %s", c->path);
    return err->code == HF_NOT_FOUND ? hf_fail(err, HF_IO, "daemon: no socket") : err->code;
}

static bool take_idle(struct local_client *c, int *fd)
{
    bool found;

    (void)pthread_mutex_lock(&c->mutex);
    found = c->idle_count > 0;
    if (found) *fd = c->idle[--c->idle_count];
    (void)pthread_mutex_unlock(&c->mutex);
    return found;
}

static void give_idle(struct local_client *c, int fd)
{
    (void)pthread_mutex_lock(&c->mutex);
    if (c->idle_count < IDLE_MAX) {
        c->idle[c->idle_count++] = fd;
        fd = -1;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    if (fd >= 0) (void)close(fd);
}

/* ---- one exchange ---- */

static bool send_all(const struct local_client *c, int fd, struct iovec *iov, size_t count)
{
    while (count > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

        if (n < 0 && goes_on(c, errno)) continue;
        if (n <= 0) return false;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return true;
}

static bool read_all(const struct local_client *c, int fd, void *buf, size_t n)
{
    uint8_t *p = buf;

    while (n > 0) {
        ssize_t got = recv(fd, p, n, MSG_WAITALL);

        if (got < 0 && goes_on(c, errno)) continue;
        if (got <= 0) return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static bool send_request(const struct local_client *c, int fd, struct local_call *call)
{
    uint8_t header[4 + LOCAL_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header + 4, LOCAL_HEADER_MAX);
    struct iovec iov[1 + LOCAL_PARTS_MAX];
    size_t n;

    for (size_t i = 0; i < call->request.part_count; i++) {
        union {
            const uint8_t *from;
            uint8_t *to;
        } part = {
            .from = call->parts[i]}; /* an iovec is not const; sending does not change it */

        call->request.sizes[i] = (uint32_t)call->sizes[i];
        iov[1 + i] = (struct iovec){part.to, call->sizes[i]};
    }
    local_request_put(&w, &call->request);
    n = hf_writer_size(&w);
    for (unsigned i = 0; i < 4; i++)
        header[i] = (uint8_t)(n >> (24 - 8 * i));
    iov[0] = (struct iovec){header, 4 + n};
    return send_all(c, fd, iov, 1 + call->request.part_count);
}

/* *answered: some of the reply was there, so the request must not be sent again. */
static enum hf_code read_reply(const struct local_client *c, int fd,
                               struct local_call *call, struct local_reply *reply,
                               bool *answered, struct hf_err *err)
{
    uint8_t header[LOCAL_HEADER_MAX];
    size_t n = 0;
    enum hf_code rc;

    *answered = false;
    if (!read_all(c, fd, header, 4)) return broken(c, err);
    *answered = true;
    for (unsigned i = 0; i < 4; i++)
        n = n << 8 | header[i];
    if (n == 0 || n > sizeof header)
        return hf_fail(err, HF_CORRUPT, "daemon: not its protocol");
    if (!read_all(c, fd, header, n)) return broken(c, err);
    rc = local_reply_parse(header, n, reply, err);
    for (size_t i = 0; rc == HF_OK && i < reply->part_count; i++) {
        uint8_t *to = call->part != NULL ? call->part(call->arg, reply, i) : NULL;

        if (to == NULL)
            rc = hf_fail(err, HF_CORRUPT, "daemon: its answer makes no sense");
        else if (!read_all(c, fd, to, reply->sizes[i]))
            rc = broken(c, err);
    }
    return rc;
}

enum hf_code local_client_call(struct local_client *client, struct local_call *call,
                               struct local_reply *reply, struct hf_err *err)
{
    int fd;
    bool old = take_idle(client, &fd);
    bool answered;
    enum hf_code rc = old ? HF_OK : connect_new(client, &fd, err);

    if (rc != HF_OK) return rc;
    for (;;) {
        answered = false;
        rc = send_request(client, fd, call)
                 ? read_reply(client, fd, call, reply, &answered, err)
                 : broken(client, err);
        if (rc == HF_OK) break;
        (void)close(fd);
        if (!old || answered || rc == HF_CANCELLED) return rc;
        old = false; /* it was restarted since: all requests may be repeated */
        rc = connect_new(client, &fd, err);
        if (rc != HF_OK) return rc;
    }
    give_idle(client, fd);
    if (reply->code == HF_OK) return HF_OK;
    return hf_fail(err, reply->code, "%s",
                   reply->message[0] != '\0' ? reply->message : hf_code_text(reply->code));
}

/* ---- JSON ---- */

static uint8_t *take_json(void *arg, const struct local_reply *reply, size_t index)
{
    char **text = arg;

    if (index > 0) return NULL;
    *text = calloc(1, (size_t)reply->sizes[0] + 1);
    return (uint8_t *)*text;
}

enum hf_code local_client_admin(struct local_client *client, const char *verb,
                                const char *json, char **answer, struct hf_err *err)
{
    struct local_call *call = calloc(1, sizeof *call);
    struct local_reply *reply = calloc(1, sizeof *reply);
    const uint8_t *part = (const uint8_t *)json;
    size_t size = strlen(json);
    enum hf_code rc;

    *answer = NULL;
    if (call == NULL || reply == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "daemon: out of memory");
    } else {
        call->request.kind = LOCAL_ADMIN;
        (void)snprintf(call->request.verb, sizeof call->request.verb, "%s", verb);
        call->request.part_count = 1;
        call->parts = &part;
        call->sizes = &size;
        call->part = take_json;
        call->arg = answer;
        rc = local_client_call(client, call, reply, err);
        if (rc == HF_OK && *answer == NULL)
            rc = hf_fail(err, HF_CORRUPT, "daemon: an answer without content");
    }
    if (rc != HF_OK) {
        free(*answer);
        *answer = NULL;
    }
    free(call);
    free(reply);
    return rc;
}
