#include "daemon_ring.h"

#include "blockstore/local_protocol.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

struct ring_frame {
    struct ring_frame *next;
    struct ring_node *from, *to;
    uint8_t body[DHT_HEADER_MAX];
    size_t n;
    struct hf_buffer *payload;
    bool lookup; /* the answer to one, for `to` */
    struct hf_id key;
    uint64_t tag;
    uint32_t wanted;
};

static bool silent(const struct ring_node *node)
{
    return node->dead || node->mute;
}

static void frame_free(struct ring_frame *frame)
{
    struct ring_frame **at = &frame->from->ring->frames;

    while (*at != frame)
        at = &(*at)->next;
    *at = frame->next;
    hf_buffer_unref(frame->payload);
    free(frame);
}

static void answer_lookup(const struct ring_frame *frame)
{
    const struct daemon_ring *ring = frame->to->ring;
    struct hf_id ids[RING_NODES_MAX];
    size_t first = 0, count = 0;

    while (first < ring->count && hf_id_compare(&ring->nodes[first].id, &frame->key) < 0)
        first++;
    for (size_t i = 0; i < ring->count; i++) {
        const struct ring_node *node = &ring->nodes[(first + i) % ring->count];

        if (!node->dead && count < frame->wanted) ids[count++] = node->id;
    }
    keeper_found(frame->to->keeper, frame->tag, ids, NULL, count);
}

static void deliver(void *arg)
{
    struct ring_frame *frame = arg;

    if (frame->lookup)
        answer_lookup(frame);
    else if (!silent(frame->from) && !silent(frame->to))
        assert_true(keeper_frame(frame->to->keeper, &frame->from->id, frame->body, frame->n,
                                 frame->payload));
    frame_free(frame);
}

static struct ring_frame *frame_new(struct ring_node *from, struct ring_node *to)
{
    struct ring_frame *frame = calloc(1, sizeof *frame);

    assert_non_null(frame);
    frame->from = from;
    frame->to = to;
    frame->next = from->ring->frames;
    from->ring->frames = frame;
    return frame;
}

static struct ring_node *node_of(struct daemon_ring *ring, const struct hf_id *id)
{
    for (size_t i = 0; i < ring->count; i++)
        if (hf_id_equal(&ring->nodes[i].id, id)) return &ring->nodes[i];
    return NULL;
}

static void send_frame(void *arg, const struct hf_id *id, const uint8_t *body, size_t n,
                       struct hf_buffer *payload)
{
    struct ring_node *from = arg, *to = node_of(from->ring, id);
    struct ring_frame *frame;

    assert_true(to != NULL && n <= DHT_HEADER_MAX);
    if (silent(from) || silent(to)) return;
    frame = frame_new(from, to);
    memcpy(frame->body, body, n);
    frame->n = n;
    frame->payload = hf_buffer_ref(payload);
    loop_post(from->ring->loop, deliver, frame);
}

static void start_lookup(void *arg, const struct hf_id *key, uint32_t wanted, uint64_t tag)
{
    struct ring_node *node = arg;
    struct ring_frame *frame = frame_new(node, node);

    frame->lookup = true;
    frame->key = *key;
    frame->wanted = wanted;
    frame->tag = tag;
    loop_post(node->ring->loop, deliver, frame);
}

static void count_busy(void *arg, bool busy)
{
    struct ring_node *node = arg;

    assert_int_equal(keeper_busy(node->keeper), busy);
    node->busy_changes++;
}

/* ---- making ---- */

static void start_node(struct daemon_ring *ring, size_t i,
                       const struct ring_options *options)
{
    struct ring_node *node = &ring->nodes[i];
    struct log_options log = {.holder = "test"};
    struct keeper_config config = {.loop = ring->loop,
                                   .store_complete = true,
                                   .send = send_frame,
                                   .send_bulk = send_frame,
                                   .lookup = start_lookup,
                                   .busy = count_busy,
                                   .arg = node};
    struct hf_err err;

    if (i > 0) log.space_max = options->space_max;
    node->ring = ring;
    memset(node->id.b, (int)i + 1, sizeof node->id.b);
    node->id.b[0] = (uint8_t)((i + 1) * 256 / (options->count + 1));
    ring->members[i].id = node->id;
    (void)snprintf(node->dir, sizeof node->dir, "%s/%zu", ring->dir, i);
    assert_int_equal(segment_log_open(node->dir, &log, &node->log, &err), HF_OK);
    config.self = node->id;
    config.log = node->log;
    assert_int_equal(keeper_new(&config, &node->keeper, &err), HF_OK);
}

static json_t *admin(void *arg, const char *verb, const json_t *arguments,
                     struct hf_err *err)
{
    struct daemon_ring *ring = arg;

    return ring->admin(ring, verb, arguments, err);
}

static void *run(void *arg)
{
    struct daemon_ring *ring = arg;
    struct hf_err err;

    assert_int_equal(loop_run(ring->loop, &err), HF_OK);
    return NULL;
}

struct daemon_ring *daemon_ring_new(const struct ring_options *options)
{
    struct daemon_ring *ring = calloc(1, sizeof *ring);
    struct local_server_config server = {
        .admin = admin, .admin_arg = ring, .stall_ms = options->stall_ms};
    struct hf_err err;

    assert_non_null(ring);
    ring->count = options->count;
    ring->dir = test_dir_new();
    ring->loop = loop_new();
    assert_true(ring->dir != NULL && ring->loop != NULL);
    for (size_t i = 0; i < ring->count; i++)
        start_node(ring, i, options);
    for (size_t i = 0; i < ring->count; i++)
        keeper_members(ring->nodes[i].keeper, ring->members, ring->count);
    (void)snprintf(ring->run_dir, sizeof ring->run_dir, "%s/run", ring->dir);
    (void)snprintf(ring->socket_path, sizeof ring->socket_path, "%s/" LOCAL_SOCKET,
                   ring->run_dir);
    server.loop = ring->loop;
    server.keeper = ring->nodes[0].keeper;
    server.path = ring->socket_path;
    assert_int_equal(local_server_new(&server, &ring->server, &err), HF_OK);
    assert_int_equal(pthread_create(&ring->thread, NULL, run, ring), 0);
    ring->running = true;
    return ring;
}

void daemon_ring_stop(struct daemon_ring *ring)
{
    if (!ring->running) return;
    loop_stop(ring->loop);
    assert_int_equal(pthread_join(ring->thread, NULL), 0);
    ring->running = false;
}

void daemon_ring_free(struct daemon_ring *ring)
{
    daemon_ring_stop(ring);
    local_server_free(ring->server);
    for (size_t i = 0; i < ring->count; i++)
        keeper_free(ring->nodes[i].keeper);
    while (ring->frames != NULL)
        frame_free(ring->frames);
    for (size_t i = 0; i < ring->count; i++)
        segment_log_close(ring->nodes[i].log);
    loop_free(ring->loop);
    test_dir_remove(ring->dir);
    free(ring);
}

/* ---- from the test's thread ---- */

struct call {
    struct daemon_ring *ring;
    ring_fn *fn;
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void run_call(void *arg)
{
    struct call *call = arg;

    call->fn(call->ring, call->arg);
    (void)pthread_mutex_lock(&call->mutex);
    call->done = true;
    (void)pthread_cond_signal(&call->cond);
    (void)pthread_mutex_unlock(&call->mutex);
}

void daemon_ring_call(struct daemon_ring *ring, ring_fn *fn, void *arg)
{
    struct call call = {.ring = ring,
                        .fn = fn,
                        .arg = arg,
                        .mutex = PTHREAD_MUTEX_INITIALIZER,
                        .cond = PTHREAD_COND_INITIALIZER};

    if (!ring->running) {
        fn(ring, arg);
        return;
    }
    loop_post(ring->loop, run_call, &call);
    (void)pthread_mutex_lock(&call.mutex);
    while (!call.done)
        (void)pthread_cond_wait(&call.cond, &call.mutex);
    (void)pthread_mutex_unlock(&call.mutex);
}

static void kill_node(struct daemon_ring *ring, void *arg)
{
    struct ring_node *node = arg;

    node->dead = true;
    for (size_t i = 0; i < ring->count; i++)
        if (&ring->nodes[i] != node) keeper_down(ring->nodes[i].keeper, &node->id);
}

static void revive_node(struct daemon_ring *ring, void *arg)
{
    struct ring_node *node = arg;

    node->dead = node->mute = false;
    for (size_t i = 0; i < ring->count; i++)
        if (&ring->nodes[i] != node) keeper_up(ring->nodes[i].keeper, &node->id);
}

static void mute_node(struct daemon_ring *ring, void *arg)
{
    struct ring_node *node = arg;

    (void)ring;
    node->mute = true;
}

void daemon_ring_kill(struct daemon_ring *ring, size_t node)
{
    daemon_ring_call(ring, kill_node, &ring->nodes[node]);
}

void daemon_ring_revive(struct daemon_ring *ring, size_t node)
{
    daemon_ring_call(ring, revive_node, &ring->nodes[node]);
}

void daemon_ring_mute(struct daemon_ring *ring, size_t node)
{
    daemon_ring_call(ring, mute_node, &ring->nodes[node]);
}
