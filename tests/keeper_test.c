/* daemon/keeper.h: when operations end, what peers cannot do to it, what it logs. */
#include "daemon/keeper.h"
#include "daemon/warnings.h"
#include "daemon_block.h"
#include "daemon_ring.h"
#include "test.h"

#include <string.h>

/* A client that starts one operation after another, each when the last has ended. */
struct client {
    struct daemon_ring *ring;
    const struct test_block *block;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    bool starting; /* inside keeper_start */
    unsigned left, ended;
    enum hf_code code;
    uint32_t pieces;
};

static void client_init(struct client *c, struct daemon_ring *ring, unsigned left)
{
    *c = (struct client){.ring = ring,
                         .mutex = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER,
                         .left = left};
}

static void next(struct client *c);

static void on_done(void *arg, const struct dht_action *done)
{
    struct client *c = arg;

    assert_false(c->starting);
    (void)pthread_mutex_lock(&c->mutex);
    c->ended++;
    c->code = done->code;
    if (done->block != NULL) c->pieces = done->block->piece_count;
    (void)pthread_cond_signal(&c->changed);
    (void)pthread_mutex_unlock(&c->mutex);
    if (c->left > 0) next(c);
}

static void start(struct client *c, const struct dht_event *event)
{
    c->left--;
    c->starting = true;
    keeper_start(c->ring->nodes[0].keeper, event, on_done, c);
    c->starting = false;
}

/* Puts the block, or asks for what nobody has. */
static void next(struct client *c)
{
    struct dht_event event = {.kind = DHT_GET, .block = {{9}}};

    if (c->block != NULL) {
        event = (struct dht_event){.kind = DHT_PUT};
        event.put.manifest = c->block->manifest_bytes;
        event.put.fragments = c->block->fragments;
        event.put.fragment_count = c->block->manifest.shape.n;
    }
    start(c, &event);
}

static void start_first(struct daemon_ring *ring, void *arg)
{
    (void)ring;
    next(arg);
}

static void wait_for(struct client *c, unsigned ended)
{
    (void)pthread_mutex_lock(&c->mutex);
    while (c->ended < ended)
        (void)pthread_cond_wait(&c->changed, &c->mutex);
    (void)pthread_mutex_unlock(&c->mutex);
}

static void operations_end_once_and_never_inside_their_start(void **state)
{
    struct daemon_ring *ring = daemon_ring_new(&(struct ring_options){.count = 3});
    struct client c;

    (void)state;
    client_init(&c, ring, 20);
    daemon_ring_call(ring, start_first, &c);
    wait_for(&c, 20);
    daemon_ring_stop(ring);
    assert_int_equal(c.ended, 20);
    assert_int_equal(c.code, HF_NOT_FOUND);
    daemon_ring_free(ring);
}

static void a_stored_block_counts(void **state)
{
    struct daemon_ring *ring = daemon_ring_new(&(struct ring_options){.count = 3});
    struct test_owner owner;
    struct test_block *block;
    struct client c;

    (void)state;
    test_owner_init(&owner, 4);
    owner.source = ring->nodes[0].id;
    block = test_block_new(&owner, 1, 131072, 1, 2, 1);
    client_init(&c, ring, 1);
    c.block = block;
    assert_int_equal(keeper_stored_bytes(ring->nodes[1].keeper), 0);
    daemon_ring_call(ring, start_first, &c);
    wait_for(&c, 1);
    daemon_ring_stop(ring);
    assert_int_equal(c.code, HF_OK);
    assert_int_equal(keeper_stored_bytes(ring->nodes[0].keeper), 0); /* the source */
    assert_true(keeper_stored_bytes(ring->nodes[1].keeper) > 131072);
    assert_true(keeper_stored_bytes(ring->nodes[2].keeper) > 131072);
    assert_int_equal(
        keeper_redundancy(ring->nodes[0].keeper, (struct dht_redundancy){0, 0}).n, 2);
    assert_int_equal(
        keeper_redundancy(ring->nodes[0].keeper, (struct dht_redundancy){2, 3}).n, 3);
    assert_true(hf_id_equal(keeper_self(ring->nodes[0].keeper), &ring->nodes[0].id));
    test_block_free(block);
    test_owner_done(&owner);
    daemon_ring_free(ring);
}

static void what_is_under_way_is_cancelled(void **state)
{
    struct daemon_ring *ring = daemon_ring_new(&(struct ring_options){.count = 3});
    struct client clients[KEEPER_OPERATIONS_MAX];

    (void)state;
    daemon_ring_mute(ring, 1);
    daemon_ring_mute(ring, 2);
    daemon_ring_stop(ring);
    for (size_t i = 0; i < KEEPER_OPERATIONS_MAX; i++) {
        client_init(&clients[i], ring, 1);
        next(&clients[i]);
    }
    daemon_ring_free(ring);
    for (size_t i = 0; i < KEEPER_OPERATIONS_MAX; i++) {
        assert_int_equal(clients[i].ended, 1);
        assert_int_equal(clients[i].code, HF_CANCELLED);
    }
}

/* The header of a message from node 1. */
static size_t encode(const struct dht_message *message, uint8_t out[DHT_HEADER_MAX])
{
    struct hf_writer w = hf_writer_init(out, DHT_HEADER_MAX);

    dht_message_put(&w, message);
    return hf_writer_size(&w);
}

static void frames_that_are_none_are_logged(void **state)
{
    struct daemon_ring *ring = daemon_ring_new(&(struct ring_options){.count = 2});
    struct keeper *keeper = ring->nodes[0].keeper;
    const struct hf_id *peer = &ring->nodes[1].id;
    struct dht_message fetch = {.kind = DHT_RECORDS_FETCH, .request = 1};
    struct hf_buffer *payload = hf_buffer_new(10);
    uint8_t bytes[DHT_HEADER_MAX];
    char hex[HF_ID_HEX_SIZE];
    size_t n = encode(&fetch, bytes);

    (void)state;
    test_log_capture();
    daemon_ring_stop(ring);
    memset(payload->b, 0, payload->size);
    for (size_t i = 0; i < n; i++)
        assert_false(keeper_frame(keeper, peer, bytes, i, NULL));
    assert_false(keeper_frame(keeper, peer, bytes, n, payload)); /* it has none */
    assert_int_equal(test_log_lines("warn dht: peer", hf_id_hex(peer, hex)), n + 1);
    assert_true(keeper_frame(keeper, peer, bytes, n, NULL));
    hf_buffer_unref(payload);
    daemon_ring_free(ring);
}

static void flood(struct daemon_ring *ring, void *arg)
{
    struct dht_message fetch = {.kind = DHT_RECORDS_FETCH};
    uint8_t bytes[DHT_HEADER_MAX];

    (void)arg;
    for (uint64_t i = 0; i < 2 * DHT_JOBS_MAX; i++) {
        size_t n;

        fetch.request = i + 1;
        n = encode(&fetch, bytes);
        assert_true(
            keeper_frame(ring->nodes[0].keeper, &ring->nodes[1].id, bytes, n, NULL));
    }
    assert_true(keeper_busy(ring->nodes[0].keeper));
    assert_int_equal(ring->nodes[0].busy_changes, 1);
}

static void look(struct daemon_ring *ring, void *arg)
{
    *(size_t *)arg = ring->nodes[0].busy_changes;
}

static void a_flood_makes_it_busy_for_a_while(void **state)
{
    struct daemon_ring *ring = daemon_ring_new(&(struct ring_options){.count = 2});
    size_t changes;

    (void)state;
    daemon_ring_call(ring, flood, NULL);
    do
        daemon_ring_call(ring, look, &changes);
    while (changes < 2);
    daemon_ring_stop(ring);
    assert_false(keeper_busy(ring->nodes[0].keeper));
    daemon_ring_free(ring);
}

static void warnings_name_the_peer_and_are_bounded(void **state)
{
    struct log_limit limit = {0};
    struct hf_id self = {{1}};
    struct dht_action warn = {.kind = DHT_ACTION_WARN, .peer = {{2}}, .key = {{3}}};
    char peer[HF_ID_HEX_SIZE], key[HF_ID_HEX_SIZE];
    uint64_t now_ms = 10 * LOG_LIMIT_MS;

    (void)state;
    test_log_capture();
    (void)hf_id_hex(&warn.peer, peer);
    (void)hf_id_hex(&warn.key, key);
    for (int i = DHT_WARN_BAD_FRAGMENT; i <= DHT_WARN_DAMAGED_FRAGMENT; i++) {
        warn.warning = (enum dht_warning)i;
        warnings_add(&limit, &warn, &self, now_ms);
        assert_int_equal(test_log_lines(" dht: ", peer), i);
    }
    assert_int_equal(test_log_lines(peer, key), 5); /* BAD_ANSWER is about none */
    assert_int_equal(test_log_lines(peer, "altered fragment of block"), 1);
    warn.peer = self;
    warnings_add(&limit, &warn, &self, now_ms);
    assert_int_equal(test_log_lines("this node's own fragment", key), 1);
    for (unsigned i = 0; i < 2 * LOG_LIMIT_LINES; i++)
        warnings_add(&limit, &warn, &self, now_ms + LOG_LIMIT_MS - 1);
    assert_int_equal(test_log_lines(" dht: ", ""), LOG_LIMIT_LINES);
    warnings_add(&limit, &warn, &self, now_ms + LOG_LIMIT_MS);
    assert_int_equal(test_log_lines(" dht: ", ""), LOG_LIMIT_LINES + 2);
    assert_int_equal(test_log_lines("107 more warnings", ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_end_once_and_never_inside_their_start),
        cmocka_unit_test(a_stored_block_counts),
        cmocka_unit_test(what_is_under_way_is_cancelled),
        cmocka_unit_test(frames_that_are_none_are_logged),
        cmocka_unit_test(a_flood_makes_it_busy_for_a_while),
        cmocka_unit_test(warnings_name_the_peer_and_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
