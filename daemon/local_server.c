#include "daemon/local_server.h"

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/local_answer.h"
#include "daemon/local_conn.h"
#include "daemon/local_socket.h"

#include <stdlib.h>
#include <unistd.h>

#define ACCEPT_WAIT_MS 1000u /* after running out of descriptors */

enum client_state { CLIENT_READING, CLIENT_QUEUED, CLIENT_RUNNING, CLIENT_WRITING };

struct client {
    struct local_server *server; /* NULL: it is gone; free this when the operation ends */
    struct client *next;         /* in the list of all */
    struct client *behind;       /* in the queue */
    enum client_state state;
    struct local_conn *conn;
    bool admitted; /* counts in operations and bytes_held */
    size_t held;   /* bytes, once the header is there */
};

struct local_server {
    struct local_server_config config;
    struct local_socket socket;
    struct event *acceptable;
    struct event *accept_later; /* a timer, for when descriptors ran out */
    struct timeval stall;
    bool quiescing;
    struct client *clients;
    size_t client_count;
    struct client *first_queued, **last_queued;
    size_t operations, bytes_held;
};

/* ---- admission ---- */

/* Bytes that the request will hold; SIZE_MAX: it needs no admission. */
static size_t cost(const struct local_reader *reader)
{
    switch ((int)reader->request.kind) {
    case LOCAL_INFO:
    case LOCAL_ADMIN: return SIZE_MAX;
    case LOCAL_GET: return CODE_BLOCK_SIZE_MAX;
    default: return local_reader_parts_size(reader);
    }
}

/* What is larger than all that may be held goes alone. */
static bool fits(const struct local_server *server, size_t size)
{
    return server->operations < LOCAL_OPERATIONS_MAX &&
           (server->bytes_held == 0 || (size <= LOCAL_BYTES_HELD_MAX &&
                                        server->bytes_held <= LOCAL_BYTES_HELD_MAX - size));
}

static void admit(struct client *client)
{
    client->admitted = true;
    client->server->operations++;
    client->server->bytes_held += client->held;
}

static void release(struct client *client)
{
    if (!client->admitted) return;
    client->admitted = false;
    client->server->operations--;
    client->server->bytes_held -= client->held;
}

static void leave_queue(struct local_server *server, const struct client *client)
{
    struct client **at = &server->first_queued;

    while (*at != NULL && *at != client)
        at = &(*at)->behind;
    if (*at == NULL) return;
    *at = client->behind;
    if (*at == NULL) server->last_queued = at;
}

/* Lets those in that wait, as long as the first one fits: nobody overtakes. */
static void admit_queued(struct local_server *server)
{
    while (server->first_queued != NULL && fits(server, server->first_queued->held)) {
        struct client *client = server->first_queued;

        leave_queue(server, client);
        admit(client);
        client->state = CLIENT_READING;
        local_conn_go_on(client->conn);
    }
}

static bool on_header(void *arg)
{
    struct client *client = arg;
    struct local_server *server = client->server;
    size_t size = cost(local_conn_reader(client->conn));

    if (size == SIZE_MAX) return true;
    client->held = size;
    if (server->first_queued == NULL && fits(server, size)) {
        admit(client);
        return true;
    }
    client->state = CLIENT_QUEUED;
    client->behind = NULL;
    *server->last_queued = client;
    server->last_queued = &client->behind;
    return false;
}

/* ---- clients go ---- */

static void wait_to_accept(struct local_server *server)
{
    if (!server->quiescing && server->client_count < LOCAL_CLIENTS_MAX)
        (void)event_add(server->acceptable, NULL);
}

/* Not while its operation runs: the keeper still has it. */
static void client_close(struct client *client)
{
    struct local_server *server = client->server;
    struct client **at = &server->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    server->client_count--;
    leave_queue(server, client);
    release(client);
    local_conn_free(client->conn);
    free(client);
    wait_to_accept(server);
    admit_queued(server);
}

static void on_closed(void *arg)
{
    client_close(arg);
}

static bool on_replied(void *arg)
{
    struct client *client = arg;
    struct local_server *server = client->server;

    release(client);
    client->state = CLIENT_READING;
    if (server->quiescing) {
        client_close(client);
        return false;
    }
    admit_queued(server);
    return true;
}

/* ---- running ---- */

static void reply(struct client *client, struct local_answer *answer)
{
    client->state = CLIENT_WRITING;
    local_conn_reply(client->conn, answer);
}

static void on_done(void *arg, const struct dht_action *done)
{
    struct client *client = arg;
    struct local_answer answer;

    if (client->server == NULL) {
        local_conn_free(client->conn);
        free(client);
        return;
    }
    local_answer_init(&answer, local_conn_reader(client->conn)->request.kind, done);
    reply(client, &answer);
}

static void run_info(struct client *client)
{
    const struct local_server_config *config = &client->server->config;
    struct dht_redundancy redundancy =
        keeper_redundancy(config->keeper, config->redundancy);
    struct local_answer answer;

    if (redundancy.n == 0)
        local_answer_plain(&answer, HF_UNAVAILABLE,
                           "too few peers: this ring has no other machine to hold "
                           "anything; invite one with 'holdfast ring invite'");
    else
        local_answer_plain(&answer, HF_OK, "");
    answer.reply.numbers[0] = redundancy.k;
    answer.reply.numbers[1] = redundancy.n;
    answer.reply.number_count = 2;
    answer.reply.node = *keeper_self(config->keeper);
    reply(client, &answer);
}

/* The JSON as a part of *answer. */
static enum hf_code add_json(struct local_answer *answer, const json_t *json,
                             struct hf_err *err)
{
    size_t n = json_dumpb(json, NULL, 0, JSON_COMPACT);
    struct hf_buffer *text;

    if (n == 0 || n > LOCAL_PART_MAX)
        return hf_fail(err, HF_TOO_LARGE, "an answer of %zu bytes", n);
    text = hf_buffer_new(n);
    if (text == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the answer");
    (void)json_dumpb(json, (char *)text->b, n, JSON_COMPACT);
    local_answer_add(answer, text, text->b, n);
    hf_buffer_unref(text);
    return HF_OK;
}

static void run_admin(struct client *client)
{
    const struct local_server_config *config = &client->server->config;
    const struct local_reader *reader = local_conn_reader(client->conn);
    const struct hf_buffer *part = reader->parts[0];
    json_t *arguments =
        json_loadb((const char *)part->b, part->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *result = NULL;
    struct local_answer answer;
    struct hf_err err = {.code = HF_INVALID, .msg = "the arguments are no JSON object"};
    enum hf_code rc = HF_INVALID;

    local_answer_plain(&answer, HF_OK, "");
    if (json_is_object(arguments)) {
        result = config->admin(config->admin_arg, reader->request.verb, arguments, &err);
        rc = result == NULL ? err.code : add_json(&answer, result, &err);
    }
    if (rc != HF_OK) {
        local_answer_done(&answer);
        local_answer_plain(&answer, rc, err.msg);
    }
    json_decref(arguments);
    json_decref(result);
    reply(client, &answer);
}

static void run_operation(struct client *client)
{
    struct local_reader *reader = local_conn_reader(client->conn);
    struct dht_event event = {.vault = reader->request.vault};

    switch (reader->request.kind) {
    case LOCAL_PUT:
        event.kind = DHT_PUT;
        event.put.manifest = reader->parts[0];
        event.put.fragments = reader->parts + 1;
        event.put.fragment_count = (uint32_t)reader->part_count - 1;
        break;
    case LOCAL_GET:
        event.kind = DHT_GET;
        event.block = reader->request.block;
        break;
    case LOCAL_HAVE:
        event.kind = DHT_HAVE_BLOCKS;
        event.ids = (const struct hf_id *)reader->parts[0]->b; /* bytes only */
        event.id_count = reader->parts[0]->size / HF_ID_SIZE;
        break;
    case LOCAL_RECORD_PUT:
        event.kind = DHT_RECORD_PUT;
        event.record = reader->parts[0];
        break;
    case LOCAL_RECORDS_GET: event.kind = DHT_RECORDS_GET; break;
    case LOCAL_FLUSH: event.kind = DHT_FLUSH; break;
    case LOCAL_INFO:
    case LOCAL_ADMIN: break;
    }
    client->state = CLIENT_RUNNING;
    keeper_start(client->server->config.keeper, &event, on_done, client);
    local_reader_done(reader); /* a fragment is freed when its holder has it */
}

static void on_request(void *arg)
{
    struct client *client = arg;

    switch ((int)local_conn_reader(client->conn)->request.kind) {
    case LOCAL_INFO: run_info(client); break;
    case LOCAL_ADMIN: run_admin(client); break;
    default: run_operation(client);
    }
}

/* ---- the server ---- */

static bool client_new(struct local_server *server, int fd)
{
    struct client *client = hf_alloc_array(1, sizeof *client);
    struct local_conn_events events = {.header = on_header,
                                       .request = on_request,
                                       .replied = on_replied,
                                       .closed = on_closed,
                                       .arg = client};

    if (client == NULL) {
        (void)close(fd);
        return false;
    }
    client->server = server;
    client->conn =
        local_conn_new(loop_base(server->config.loop), fd, &server->stall, &events);
    if (client->conn == NULL) {
        free(client);
        return false;
    }
    client->next = server->clients;
    server->clients = client;
    server->client_count++;
    return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval pause = {.tv_sec = ACCEPT_WAIT_MS / 1000};
    struct local_server *server = arg;
    struct hf_err err;
    int client_fd;

    (void)fd;
    (void)what;
    while (server->client_count < LOCAL_CLIENTS_MAX) {
        enum hf_code rc = local_socket_accept(&server->socket, &client_fd, &err);

        if (rc == HF_OK && client_fd < 0) break;
        if (rc == HF_OK && client_new(server, client_fd)) continue;
        hf_log(HF_LOG_ERROR, "local", "no program can connect: %s",
               rc == HF_OK ? "out of memory" : err.msg);
        /* The socket stays readable: it must not be watched now. */
        (void)event_add(server->accept_later, &pause);
        return;
    }
    wait_to_accept(server);
}

enum hf_code local_server_new(const struct local_server_config *config,
                              struct local_server **server, struct hf_err *err)
{
    struct local_server *made = hf_alloc_array(1, sizeof *made);
    uint32_t stall_ms = config->stall_ms != 0 ? config->stall_ms : LOCAL_STALL_MS;
    enum hf_code rc;

    *server = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the local socket");
    made->config = *config;
    made->config.path = NULL;
    made->stall.tv_sec = (time_t)(stall_ms / 1000);
    made->stall.tv_usec = (suseconds_t)(stall_ms % 1000 * 1000);
    made->last_queued = &made->first_queued;
    rc = local_socket_open(config->path, &made->socket, err);
    if (rc != HF_OK) {
        free(made);
        return rc;
    }
    made->acceptable =
        event_new(loop_base(config->loop), made->socket.fd, EV_READ, on_acceptable, made);
    made->accept_later = evtimer_new(loop_base(config->loop), on_acceptable, made);
    if (made->acceptable == NULL || made->accept_later == NULL) {
        local_server_free(made);
        return hf_fail(err, HF_NO_MEMORY, "no memory for the local socket");
    }
    wait_to_accept(made);
    *server = made;
    return HF_OK;
}

static void stop_accepting(struct local_server *server)
{
    server->quiescing = true;
    if (server->acceptable != NULL) event_free(server->acceptable);
    if (server->accept_later != NULL) event_free(server->accept_later);
    server->acceptable = server->accept_later = NULL;
    local_socket_close(&server->socket);
}

bool local_server_quiesce(struct local_server *server)
{
    struct client *next;
    bool some = false;

    stop_accepting(server);
    while (server->first_queued != NULL) /* so that closing others lets none of them in */
        leave_queue(server, server->first_queued);
    for (struct client *client = server->clients; client != NULL; client = next) {
        next = client->next;
        if (client->state == CLIENT_RUNNING || client->state == CLIENT_WRITING)
            some = true;
        else
            client_close(client);
    }
    return !some;
}

void local_server_free(struct local_server *server)
{
    if (server == NULL) return;
    (void)local_server_quiesce(server);
    while (server->clients != NULL) {
        struct client *client = server->clients;

        if (client->state != CLIENT_RUNNING) {
            client_close(client);
            continue;
        }
        server->clients = client->next;
        client->server = NULL;
    }
    free(server);
}
