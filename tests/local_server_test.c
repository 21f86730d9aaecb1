/* daemon/local_server.h and keeper.h through the socket: real stores on disk, the real
 * client (ring_store.h), and programs that do not keep to the protocol. */
#include "blockstore/local_client.h"
#include "blockstore/ring_store.h"
#include "daemon_block.h"
#include "daemon_ring.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    struct daemon_ring *ring;
    struct test_owner owner;
    struct block_store *store;
};

static struct fixture fixture_new(const struct ring_options *options)
{
    struct fixture f = {.ring = NULL};
    struct block_owner owner;
    struct hf_err err;

    test_log_capture();
    f.ring = daemon_ring_new(options);
    test_owner_init(&f.owner, 5);
    owner = (struct block_owner){
        .vault = f.owner.vault, .host = {{1}}, .signer = f.owner.signer};
    assert_int_equal(ring_store_open(f.ring->run_dir, &owner, NULL, &f.store, &err), HF_OK);
    return f;
}

/* Another store of the same owner: it has no blocks in memory. */
static void reopen(struct fixture *f)
{
    struct block_owner owner = {
        .vault = f->owner.vault, .host = {{1}}, .signer = f->owner.signer};
    struct hf_err err;

    block_store_close(f->store);
    assert_int_equal(ring_store_open(f->ring->run_dir, &owner, NULL, &f->store, &err),
                     HF_OK);
}

static void fixture_done(struct fixture *f)
{
    block_store_close(f->store);
    daemon_ring_free(f->ring);
    test_owner_done(&f->owner);
}

static uint8_t *content(uint64_t seed, size_t size)
{
    uint8_t *bytes = malloc(size);
    uint64_t random = seed * 2 + 1;

    assert_non_null(bytes);
    test_random_bytes(&random, bytes, size);
    return bytes;
}

static struct hf_id put(struct fixture *f, uint64_t seed, size_t size)
{
    uint8_t *bytes = content(seed, size);
    struct hf_err err;
    struct hf_id id;
    enum hf_code rc = block_store_put(f->store, bytes, size, &id, &err);

    if (rc != HF_OK) print_error("put: %s\n", err.msg);
    assert_int_equal(rc, HF_OK);
    free(bytes);
    return id;
}

/* A put that fails with a message that holds `text`. */
static void check_put_fails(struct fixture *f, size_t size, enum hf_code code,
                            const char *text)
{
    uint8_t *bytes = content(99, size);
    struct hf_err err;
    struct hf_id id;

    assert_int_not_equal(block_store_put(f->store, bytes, size, &id, &err), HF_OK);
    if (err.code != code || strstr(err.msg, text) == NULL) print_error("%s\n", err.msg);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, text));
    free(bytes);
}

static enum hf_code get(struct fixture *f, const struct hf_id *id, uint64_t seed,
                        size_t size, struct hf_err *err)
{
    uint8_t *bytes = content(seed, size), *got = malloc(size);
    enum hf_code rc;

    assert_non_null(got);
    reopen(f);
    rc = block_store_get(f->store, id, 0, size, got, err);
    if (rc == HF_OK) assert_memory_equal(bytes, got, size);
    free(bytes);
    free(got);
    return rc;
}

/* ---- blocks ---- */

static void blocks_come_back_from_half_of_the_ring(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 5});
    struct hf_id big = put(&f, 1, BLOCK_SIZE_MAX), small = put(&f, 2, BLOCK_SIZE_MIN);
    struct hf_id ids[3] = {big, small, {{7}}};
    bool have[3];
    struct hf_err err;

    (void)state;
    assert_int_equal(block_store_flush(f.store, &err), HF_OK);
    assert_int_equal(get(&f, &big, 1, BLOCK_SIZE_MAX, &err), HF_OK);
    assert_int_equal(block_store_have(f.store, ids, 3, have, &err), HF_OK);
    assert_true(have[0] && have[1] && !have[2]);
    daemon_ring_kill(f.ring, 1);
    daemon_ring_kill(f.ring, 3);
    assert_int_equal(get(&f, &big, 1, BLOCK_SIZE_MAX, &err), HF_OK);
    assert_int_equal(get(&f, &small, 2, BLOCK_SIZE_MIN, &err), HF_OK);
    daemon_ring_kill(f.ring, 4);
    assert_int_equal(get(&f, &big, 1, BLOCK_SIZE_MAX, &err), HF_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "1 of 2 needed fragments answered, 3 holders silent"));
    daemon_ring_revive(f.ring, 1);
    assert_int_equal(get(&f, &big, 1, BLOCK_SIZE_MAX, &err), HF_OK);
    fixture_done(&f);
}

static void a_block_that_nobody_has_is_not_found(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct hf_err err;

    (void)state;
    assert_int_equal(get(&f, &(struct hf_id){{7}}, 1, BLOCK_SIZE_MIN, &err), HF_NOT_FOUND);
    fixture_done(&f);
}

static void an_altered_fragment_is_named_and_the_block_still_right(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 5});
    struct hf_id id = put(&f, 1, BLOCK_SIZE_MAX);
    uint8_t *bytes = content(1, BLOCK_SIZE_MAX);
    char block[HF_ID_HEX_SIZE], peer[HF_ID_HEX_SIZE];
    size_t liar = 0, killed[2] = {0}, count = 0;
    struct hf_err err;

    (void)state;
    /* Fragment 0 is the first half of the block; one of the four holders has it. */
    for (size_t i = 1; i < 5; i++)
        if (test_alter(f.ring->nodes[i].dir, bytes, 4096) > 0) liar = i;
    assert_int_not_equal(liar, 0);
    (void)hf_id_hex(&f.ring->nodes[liar].id, peer);
    (void)hf_id_hex(&id, block);
    for (size_t i = 1; count < 2; i++)
        if (i != liar) killed[count++] = i;
    /* One honest holder is left: the altered fragment is wanted, and not used. */
    daemon_ring_kill(f.ring, killed[0]);
    daemon_ring_kill(f.ring, killed[1]);
    assert_int_equal(get(&f, &id, 1, BLOCK_SIZE_MAX, &err), HF_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "1 of 2 needed fragments answered"));
    assert_int_equal(test_log_lines("warn dht: ", peer), 1);
    assert_int_equal(test_log_lines(peer, block), 1);
    assert_int_equal(test_log_lines("held for others, is damaged", block), 1);
    /* With two the block is right, whoever is asked first. */
    daemon_ring_revive(f.ring, killed[0]);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(get(&f, &id, 1, BLOCK_SIZE_MAX, &err), HF_OK);
    assert_int_equal(test_log_lines("held for others, is damaged", block), 1);
    free(bytes);
    fixture_done(&f);
}

static void full_holders_are_told_as_such(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 5, .space_max = 300000});

    (void)state;
    (void)put(&f, 1, BLOCK_SIZE_MIN);
    check_put_fails(&f, BLOCK_SIZE_MAX, HF_NO_SPACE, "have no space left");
    assert_true(test_log_lines("cannot be kept", "--space") >= 1);
    fixture_done(&f);
}

static void too_few_holders_and_degraded_flushes(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 5});
    struct hf_err err;

    (void)state;
    daemon_ring_kill(f.ring, 2);
    (void)put(&f, 1, BLOCK_SIZE_MIN);
    (void)put(&f, 2, BLOCK_SIZE_MIN);
    assert_int_equal(block_store_flush(f.store, &err), HF_DEGRADED);
    assert_non_null(strstr(err.msg, "2 blocks are below their target redundancy"));
    daemon_ring_kill(f.ring, 3);
    check_put_fails(&f, BLOCK_SIZE_MIN, HF_UNAVAILABLE, "holdfast ring peers");
    check_put_fails(&f, BLOCK_SIZE_MIN, HF_UNAVAILABLE,
                    "3 of 4 holders must acknowledge: ");
    daemon_ring_revive(f.ring, 2);
    daemon_ring_revive(f.ring, 3);
    (void)put(&f, 3, BLOCK_SIZE_MIN);
    assert_int_equal(block_store_flush(f.store, &err), HF_OK);
    fixture_done(&f);
}

static void a_flush_mends_what_was_degraded(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 4});
    struct hf_err err;

    (void)state;
    daemon_ring_kill(f.ring, 2);
    (void)put(&f, 1, BLOCK_SIZE_MIN);
    daemon_ring_revive(f.ring, 2);
    assert_int_equal(block_store_flush(f.store, &err), HF_OK);
    fixture_done(&f);
}

static void a_ring_of_one_has_nobody(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 1});

    (void)state;
    check_put_fails(&f, BLOCK_SIZE_MIN, HF_UNAVAILABLE, "too few peers");
    fixture_done(&f);
}

struct worker {
    struct fixture *f;
    uint64_t seed;
    pthread_t thread;
};

static void *put_and_get(void *arg)
{
    struct worker *w = arg;
    uint8_t *bytes = content(w->seed, BLOCK_SIZE_MAX), *got = malloc(BLOCK_SIZE_MAX);
    struct hf_err err;
    struct hf_id id;

    for (unsigned i = 0; got != NULL && i < 3; i++) {
        bytes[0] = (uint8_t)i;
        if (block_store_put(w->f->store, bytes, BLOCK_SIZE_MAX, &id, &err) != HF_OK ||
            block_store_get(w->f->store, &id, 0, BLOCK_SIZE_MAX, got, &err) != HF_OK ||
            memcmp(bytes, got, BLOCK_SIZE_MAX) != 0)
            abort();
    }
    free(bytes);
    free(got);
    return NULL;
}

/* 16 times 8 MiB of fragments: more than may be held at once. */
static void many_programs_at_once_have_their_turn(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct worker workers[16];
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        workers[i] = (struct worker){.f = &f, .seed = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, put_and_get, &workers[i]),
                         0);
    }
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(block_store_flush(f.store, &err), HF_OK);
    fixture_done(&f);
}

/* ---- records ---- */

static void count_record(void *arg, const uint8_t *record, size_t n)
{
    (void)record;
    (void)n;
    ++*(size_t *)arg;
}

static void records_go_round(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 5});
    struct hf_buffer *records[3];
    size_t count = 0;
    struct hf_err err;

    (void)state;
    records[0] = test_record(&f.owner, 1, 1, 1);
    records[1] = test_record(&f.owner, 1, 2, 2);
    records[2] = test_record(&f.owner, 2, 1, 3);
    assert_int_equal(block_store_get_records(f.store, count_record, &count, &err), HF_OK);
    assert_int_equal(count, 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            block_store_put_record(f.store, records[i]->b, records[i]->size, &err), HF_OK);
    assert_int_equal(block_store_put_record(f.store, records[0]->b, records[0]->size, &err),
                     HF_EXISTS);
    assert_non_null(strstr(err.msg, "newer record"));
    assert_int_equal(block_store_get_records(f.store, count_record, &count, &err), HF_OK);
    assert_int_equal(count, 2);
    for (size_t i = 1; i < 4; i++)
        daemon_ring_kill(f.ring, i);
    count = 0;
    assert_int_equal(block_store_get_records(f.store, count_record, &count, &err),
                     HF_INCOMPLETE);
    assert_int_equal(count, 2);
    assert_non_null(strstr(err.msg, "only 2 of 5 holders"));
    assert_int_equal(block_store_put_record(f.store, records[2]->b, records[2]->size, &err),
                     HF_UNAVAILABLE);
    for (size_t i = 0; i < 3; i++)
        hf_buffer_unref(records[i]);
    fixture_done(&f);
}

/* ---- questions about the ring ---- */

static json_t *echo(void *arg, const char *verb, const json_t *arguments,
                    struct hf_err *err)
{
    (void)arg;
    if (strcmp(verb, "status") == 0)
        return json_pack("{s:s, s:o}", "verb", verb, "arguments",
                         json_deep_copy(arguments));
    (void)hf_fail(err, HF_INVALID, "no verb of that name");
    return NULL;
}

static void json_goes_both_ways(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 1});
    struct local_client *client;
    struct hf_err err;
    char *answer;

    (void)state;
    f.ring->admin = echo;
    assert_int_equal(local_client_new(f.ring->run_dir, &client, &err), HF_OK);
    assert_int_equal(local_client_admin(client, "status", "{\"a\":[1]}", &answer, &err),
                     HF_OK);
    assert_string_equal(answer, "{\"verb\":\"status\",\"arguments\":{\"a\":[1]}}");
    free(answer);
    assert_int_equal(local_client_admin(client, "other", "{}", &answer, &err), HF_INVALID);
    assert_string_equal(err.msg, "no verb of that name");
    assert_int_equal(local_client_admin(client, "status", "{", &answer, &err), HF_INVALID);
    assert_int_equal(local_client_admin(client, "status", "[]", &answer, &err), HF_INVALID);
    local_client_free(client);
    fixture_done(&f);
}

/* ---- programs that do not keep to the protocol ---- */

static int open_socket(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, f->ring->socket_path, strlen(f->ring->socket_path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The frame of a request header; returns its size. */
static size_t frame(uint8_t out[4 + LOCAL_HEADER_MAX], const struct local_request *request)
{
    struct hf_writer w = hf_writer_init(out + 4, LOCAL_HEADER_MAX);
    size_t n;

    local_request_put(&w, request);
    n = hf_writer_size(&w);
    out[0] = out[1] = 0;
    out[2] = (uint8_t)(n >> 8);
    out[3] = (uint8_t)n;
    return 4 + n;
}

static void send_bytes(int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

        if (sent <= 0) return; /* closed on us: the test sees */
        bytes += sent;
        n -= (size_t)sent;
    }
}

/* True when the server has closed the connection (with or without a word). */
static bool closed(int fd)
{
    uint8_t byte[256];
    ssize_t n;

    do
        n = recv(fd, byte, sizeof byte, 0);
    while (n > 0);
    (void)close(fd);
    return n == 0 || errno == ECONNRESET;
}

/* Sends it on a new connection; the server closes that. */
static void check_refused(struct fixture *f, const struct local_request *request)
{
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    int fd = open_socket(f);

    send_bytes(fd, bytes, frame(bytes, request));
    assert_true(closed(fd));
}

static void malformed_requests_are_logged_and_closed(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    static const uint8_t none[4] = {0}, long_header[4] = {0, 0, 0x20, 1};
    uint8_t garbage[104] = {0, 0, 0, 100, 0xa7, 1, 2};
    struct local_request r;
    struct hf_id id;
    int fd;

    (void)state;
    fd = open_socket(&f);
    send_bytes(fd, none, sizeof none);
    assert_true(closed(fd));
    fd = open_socket(&f);
    send_bytes(fd, long_header, sizeof long_header);
    assert_true(closed(fd));
    fd = open_socket(&f);
    send_bytes(fd, garbage, sizeof garbage);
    assert_true(closed(fd));
    assert_int_equal(test_log_lines("local", "a program's request is no good"), 3);
    r = (struct local_request){.kind = LOCAL_PUT, .part_count = 1, .sizes = {100}};
    check_refused(&f, &r); /* a put without fragments */
    r = (struct local_request){.kind = LOCAL_PUT, .part_count = 34};
    for (size_t i = 0; i < 34; i++)
        r.sizes[i] = 16384;
    check_refused(&f, &r); /* and one with too many */
    r = (struct local_request){.kind = LOCAL_PUT, .part_count = 2, .sizes = {4096, 16384}};
    check_refused(&f, &r); /* a manifest that is too long */
    r = (struct local_request){.kind = LOCAL_PUT, .part_count = 2, .sizes = {100, 0}};
    check_refused(&f, &r);
    r = (struct local_request){
        .kind = LOCAL_PUT, .part_count = 2, .sizes = {100, LOCAL_PART_MAX}};
    check_refused(&f, &r);
    r = (struct local_request){.kind = LOCAL_GET, .part_count = 1, .sizes = {1}};
    check_refused(&f, &r);
    r = (struct local_request){.kind = LOCAL_HAVE, .part_count = 1, .sizes = {33}};
    check_refused(&f, &r);
    r = (struct local_request){.kind = LOCAL_HAVE, .part_count = 1, .sizes = {1025 * 32}};
    check_refused(&f, &r);
    r = (struct local_request){.kind = LOCAL_RECORD_PUT, .part_count = 1, .sizes = {4097}};
    check_refused(&f, &r);
    r = (struct local_request){.kind = LOCAL_ADMIN, .part_count = 1, .sizes = {65537}};
    check_refused(&f, &r);
    assert_int_equal(test_log_lines("local", "a program's request is no good"), 13);
    id = put(&f, 1, BLOCK_SIZE_MIN); /* others are not affected */
    assert_int_equal(get(&f, &id, 1, BLOCK_SIZE_MIN, &(struct hf_err){0}), HF_OK);
    fixture_done(&f);
}

static bool yes_at_the_third(void *arg)
{
    unsigned *times = arg;

    return ++*times >= 3;
}

/* A daemon that hangs: its socket takes connections and requests, nobody answers. */
static void a_call_that_waits_is_cancelled(void **state)
{
    char *dir = test_dir_new();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct local_call call = {.request = {.kind = LOCAL_INFO}};
    unsigned times = 0;
    const struct local_cancel cancel = {.asked = yes_at_the_third, .arg = &times};
    struct local_client *client;
    struct local_reply reply;
    struct hf_err err;

    (void)state;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", dir, LOCAL_SOCKET);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(local_client_new(dir, &client, &err), HF_OK);
    local_client_cancel_on(client, &cancel);
    assert_int_equal(local_client_call(client, &call, &reply, &err), HF_CANCELLED);
    assert_true(times >= 3); /* it waited until then */
    /* The queue of a socket that nobody accepts from is full soon: then connecting waits.
     */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(local_client_call(client, &call, &reply, &err), HF_CANCELLED);
    assert_string_equal(err.msg, "interrupted");
    local_client_free(client);
    (void)close(fd);
    test_dir_remove(dir);
}

static void a_put_of_nonsense_is_answered(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct local_client *client;
    uint8_t *nonsense = content(1, 16384);
    const uint8_t *parts[2] = {nonsense, nonsense};
    size_t sizes[2] = {500, 16384};
    struct local_call call = {
        .request = {.kind = LOCAL_PUT, .part_count = 2}, .parts = parts, .sizes = sizes};
    struct local_reply reply;
    struct hf_err err;

    (void)state;
    assert_int_equal(local_client_new(f.ring->run_dir, &client, &err), HF_OK);
    assert_int_equal(local_client_call(client, &call, &reply, &err), HF_CORRUPT);
    call.request = (struct local_request){.kind = LOCAL_RECORD_PUT, .part_count = 1};
    assert_int_equal(local_client_call(client, &call, &reply, &err), HF_CORRUPT);
    local_client_free(client);
    free(nonsense);
    fixture_done(&f);
}

static void a_half_request_is_given_up(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3, .stall_ms = 50});
    struct local_request r = {.kind = LOCAL_PUT, .part_count = 2, .sizes = {100, 16384}};
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    size_t n = frame(bytes, &r);
    int idle = open_socket(&f), fd;

    (void)state;
    for (size_t part = 1; part <= n; part += n / 3) {
        fd = open_socket(&f);
        send_bytes(fd, bytes, part);
        assert_true(closed(fd));
    }
    fd = open_socket(&f);
    send_bytes(fd, bytes, n);
    send_bytes(fd, bytes, 80); /* of the first part */
    assert_true(closed(fd));
    assert_true(test_log_lines("local", "stopped within a request") >= 4);
    r = (struct local_request){.kind = LOCAL_GET, .vault = f.owner.vault};
    n = frame(bytes, &r);
    send_bytes(idle, bytes, n); /* who is only quiet between requests is not closed */
    assert_int_equal(recv(idle, bytes, 4, MSG_WAITALL), 4);
    (void)close(idle);
    fixture_done(&f);
}

/* Sends a get and does not wait for its reply: closes, or takes nothing. */
static void programs_that_go_away_leave_nothing_behind(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3, .stall_ms = 200});
    struct hf_id id = put(&f, 1, BLOCK_SIZE_MAX);
    struct local_request r = {.kind = LOCAL_GET, .vault = f.owner.vault, .block = id};
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    size_t n = frame(bytes, &r);
    int fd;

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        fd = open_socket(&f);
        send_bytes(fd, bytes, n);
        (void)close(fd);
    }
    fd = open_socket(&f);
    send_bytes(fd, bytes, n); /* 4 MiB that it never reads */
    while (test_log_lines("local", "does not take its answer") == 0) {
        struct hf_err err;

        assert_int_equal(get(&f, &id, 1, BLOCK_SIZE_MAX, &err), HF_OK);
    }
    (void)close(fd);
    fixture_done(&f);
}

static void requests_may_follow_each_other_closely(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct local_request r = {.kind = LOCAL_INFO};
    uint8_t bytes[4 + LOCAL_HEADER_MAX], reply[4 + LOCAL_HEADER_MAX];
    size_t n = frame(bytes, &r);
    struct local_reply parsed;
    struct hf_err err;
    int fd = open_socket(&f);

    (void)state;
    for (size_t i = 0; i < 10; i++)
        send_bytes(fd, bytes, n);
    for (size_t i = 0; i < 10; i++) {
        size_t size;

        assert_int_equal(recv(fd, reply, 4, MSG_WAITALL), 4);
        size = (size_t)reply[2] << 8 | reply[3];
        assert_int_equal(recv(fd, reply, size, MSG_WAITALL), size);
        assert_int_equal(local_reply_parse(reply, size, &parsed, &err), HF_OK);
        assert_int_equal(parsed.numbers[0], 1);
        assert_int_equal(parsed.numbers[1], 2);
        assert_true(hf_id_equal(&parsed.node, &f.ring->nodes[0].id));
    }
    (void)close(fd);
    fixture_done(&f);
}

static void more_programs_than_places_wait(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    int fds[LOCAL_CLIENTS_MAX];
    struct local_request r = {.kind = LOCAL_INFO};
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    size_t n = frame(bytes, &r);
    int late;

    (void)state;
    /* The fixture's client has one place; when all others are answered, all are taken. */
    for (size_t i = 0; i + 1 < LOCAL_CLIENTS_MAX; i++) {
        fds[i] = open_socket(&f);
        send_bytes(fds[i], bytes, n);
    }
    for (size_t i = 0; i + 1 < LOCAL_CLIENTS_MAX; i++)
        assert_int_equal(recv(fds[i], bytes, 4, MSG_WAITALL), 4);
    late = open_socket(&f);
    n = frame(bytes, &r);
    send_bytes(late, bytes, n);
    (void)put(&f, 1, BLOCK_SIZE_MIN); /* a round trip: the loop has seen the late one */
    assert_int_equal(recv(late, bytes, 4, MSG_DONTWAIT), -1);
    (void)close(fds[0]);
    assert_int_equal(recv(late, bytes, 4, MSG_WAITALL), 4);
    for (size_t i = 1; i + 1 < LOCAL_CLIENTS_MAX; i++)
        (void)close(fds[i]);
    (void)close(late);
    fixture_done(&f);
}

/* ---- the socket itself ---- */

static void a_dead_socket_is_replaced_a_live_one_is_not(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 1});
    struct local_server_config config = {.loop = f.ring->loop,
                                         .keeper = f.ring->nodes[0].keeper,
                                         .path = f.ring->socket_path};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct local_server *other;
    struct stat st;
    char path[400];
    struct hf_err err;
    int fd;

    (void)state;
    assert_int_equal(stat(f.ring->socket_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(f.ring->run_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(local_server_new(&config, &other, &err), HF_LOCKED);
    assert_null(other);
    assert_non_null(strstr(err.msg, "holdfastd"));
    daemon_ring_stop(f.ring); /* from here on this thread is the loop's */

    (void)snprintf(path, sizeof path, "%s/dead/x.sock", f.ring->dir);
    config.path = path;
    assert_int_equal(local_server_new(&config, &other, &err), HF_OK); /* makes the dir */
    local_server_free(other);
    assert_int_equal(stat(path, &st), -1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd); /* the file stays: its daemon was killed */
    assert_int_equal(local_server_new(&config, &other, &err), HF_OK);
    local_server_free(other);

    fd = creat(path, 0600);
    (void)close(fd);
    assert_int_equal(local_server_new(&config, &other, &err), HF_EXISTS);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/dead", f.ring->dir);
    assert_int_equal(chmod(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/dead/x.sock", f.ring->dir);
    assert_int_equal(local_server_new(&config, &other, &err), HF_DENIED);
    assert_non_null(strstr(err.msg, "chmod 700"));
    memset(path, 'a', 200);
    path[0] = '/';
    (void)snprintf(path, sizeof path, "%s/%0100d/x.sock", f.ring->dir, 0);
    assert_int_equal(local_server_new(&config, &other, &err), HF_TOO_LARGE);
    fixture_done(&f);
}

static void ask_quiesced(struct daemon_ring *ring, void *arg)
{
    *(bool *)arg = local_server_quiesce(ring->server);
}

static void a_quiescing_server_ends_what_it_has_begun(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct test_block *block;
    struct local_request r = {.kind = LOCAL_PUT, .part_count = 3};
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    struct log_status status;
    struct stat st;
    struct hf_err err;
    size_t n;
    int fd = open_socket(&f), idle = open_socket(&f);
    bool quiet;

    (void)state;
    f.owner.source = f.ring->nodes[0].id;
    block = test_block_new(&f.owner, 1, 65536, 1, 2, 1);
    daemon_ring_mute(f.ring, 2); /* so that the put waits for it */
    r.sizes[0] = (uint32_t)block->manifest_bytes->size;
    r.sizes[1] = r.sizes[2] = (uint32_t)block->fragments[0]->size;
    n = frame(bytes, &r);
    send_bytes(fd, bytes, n);
    send_bytes(fd, block->manifest_bytes->b, block->manifest_bytes->size);
    send_bytes(fd, block->fragments[0]->b, block->fragments[0]->size);
    send_bytes(fd, block->fragments[1]->b, block->fragments[1]->size);
    do /* until node 1 has its fragment: the operation runs */
        assert_int_equal(segment_log_status(f.ring->nodes[1].log, &status, &err), HF_OK);
    while (status.entries[LOG_FRAGMENT] == 0);
    daemon_ring_call(f.ring, ask_quiesced, &quiet);
    assert_false(quiet);
    assert_true(closed(idle));
    assert_int_equal(stat(f.ring->socket_path, &st), -1);
    daemon_ring_kill(f.ring, 2);
    assert_int_equal(recv(fd, bytes, 4, MSG_WAITALL), 4); /* the answer */
    assert_true(closed(fd));
    do
        daemon_ring_call(f.ring, ask_quiesced, &quiet);
    while (!quiet);
    test_block_free(block);
    fixture_done(&f);
}

static void it_can_be_freed_in_the_middle_of_operations(void **state)
{
    struct fixture f = fixture_new(&(struct ring_options){.count = 3});
    struct local_request r = {
        .kind = LOCAL_GET, .vault = f.owner.vault, .block = put(&f, 1, BLOCK_SIZE_MAX)};
    uint8_t bytes[4 + LOCAL_HEADER_MAX];
    size_t n = frame(bytes, &r);
    int fds[40];

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        fds[i] = open_socket(&f);
        send_bytes(fds[i], bytes, n);
    }
    assert_int_equal(recv(fds[0], bytes, 4, MSG_WAITALL), 4); /* some are under way */
    fixture_done(&f);
    for (size_t i = 0; i < 40; i++)
        (void)close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back_from_half_of_the_ring),
        cmocka_unit_test(a_block_that_nobody_has_is_not_found),
        cmocka_unit_test(an_altered_fragment_is_named_and_the_block_still_right),
        cmocka_unit_test(full_holders_are_told_as_such),
        cmocka_unit_test(too_few_holders_and_degraded_flushes),
        cmocka_unit_test(a_flush_mends_what_was_degraded),
        cmocka_unit_test(a_ring_of_one_has_nobody),
        cmocka_unit_test(many_programs_at_once_have_their_turn),
        cmocka_unit_test(records_go_round),
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(malformed_requests_are_logged_and_closed),
        cmocka_unit_test(a_call_that_waits_is_cancelled),
        cmocka_unit_test(a_put_of_nonsense_is_answered),
        cmocka_unit_test(a_half_request_is_given_up),
        cmocka_unit_test(programs_that_go_away_leave_nothing_behind),
        cmocka_unit_test(requests_may_follow_each_other_closely),
        cmocka_unit_test(more_programs_than_places_wait),
        cmocka_unit_test(a_dead_socket_is_replaced_a_live_one_is_not),
        cmocka_unit_test(a_quiescing_server_ends_what_it_has_begun),
        cmocka_unit_test(it_can_be_freed_in_the_middle_of_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
