/* dht/node.h as a whole: bad networks, determinism, and peers that talk nonsense. */
#include "base/hash.h"
#include "dht_net.h"

#include "dht/lists.h"

#include <string.h>

/* Puts, gets and records while messages are lost, doubled, late and out of order, and
 * members come and go.  Returns the trace's hash. */
static struct hf_id storm(uint64_t seed, size_t ring)
{
    struct net *net = net_new(ring, seed);
    struct net_block *blocks[24];
    uint64_t puts[24], records[24];
    struct hf_id hash;

    net->loss = 100;
    net->duplicates = 150;
    net->delay_max_ms = 900;
    net->links = seed % 2 == 0;
    for (uint32_t i = 0; i < 24; i++) {
        struct dht_redundancy r =
            dht_node_redundancy(net->nodes[0].dht, (struct dht_redundancy){0, 0});
        struct hf_buffer *record = net_record(net, 1, 1, i + 1, (uint8_t)i);
        size_t victim = 1 + test_random(&net->random) % (ring - 1);

        blocks[i] = net_block_new(net, 0, i, r.k, r.n, 1);
        puts[i] = net_put(net, 0, blocks[i]);
        records[i] = net_record_put(net, 0, record);
        hf_buffer_unref(record);
        if (net->nodes[victim].dead)
            net_revive(net, victim);
        else if (i % 3 == 0)
            net_kill(net, victim);
        net_run(net, 700);
    }
    for (size_t i = 0; i < ring; i++)
        if (net->nodes[i].dead) net_revive(net, i);
    for (size_t i = 0; i < 24; i++) {
        (void)net_wait(net, puts[i]);
        (void)net_wait(net, records[i]);
    }
    net->loss = 0;
    assert_int_equal(net_wait(net, net_flush(net, 0))->action.code, HF_OK);
    for (size_t i = 0; i < 24; i++) {
        enum hf_code code = net->outcomes[puts[i]].action.code;

        if (code == HF_UNAVAILABLE) continue; /* the client keeps it */
        assert_int_equal(net_indices(net, blocks[i]), blocks[i]->manifest.shape.n);
        net_check_block(net, net_wait(net, net_get(net, i % ring, blocks[i])), blocks[i]);
    }
    net_run(net, 600000);
    for (uint64_t tag = 1; tag < net->next_tag; tag++)
        assert_int_equal(net->outcomes[tag].times, 1); /* exactly once, however late */
    assert_null(net->events);                          /* and then all is quiet */
    assert_int_equal(net->warning_count, 0);
    for (size_t i = 0; i < 24; i++)
        net_block_free(blocks[i]);
    hf_sha256_final(&net->trace, &hash);
    net_free(net);
    return hash;
}

static void storms_pass(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        (void)storm(seed, 4 + seed);
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    struct hf_id a = storm(77, 9), b = storm(77, 9), c = storm(78, 9);

    (void)state;
    assert_true(hf_id_equal(&a, &b));
    assert_false(hf_id_equal(&a, &c));
}

/* ---- one node, spoken to directly ---- */

static void send(struct net *net, size_t from, size_t to, const struct dht_message *message)
{
    struct dht_event event = {
        .kind = DHT_MESSAGE, .peer = net->nodes[from].id, .message = message};

    net_step(net, to, &event);
}

/* Sends a STORE to node 2 and returns the code of the answer that node 1 would get. */
static enum hf_code answer_to_store(struct net *net, const struct dht_message *store)
{
    struct dht_event event = {
        .kind = DHT_MESSAGE, .peer = net->nodes[1].id, .message = store};
    struct dht_action action;
    enum hf_code code = HF_OK;
    bool answered = false;

    dht_step(net->nodes[2].dht, &event, net->now_ms);
    while (dht_next(net->nodes[2].dht, &action)) {
        if (action.kind == DHT_ACTION_SEND) {
            assert_int_equal(action.message.kind, DHT_STORED);
            assert_int_equal(action.message.request, store->request);
            code = action.message.code;
            answered = true;
        } else {
            assert_int_equal(action.kind, DHT_ACTION_STORE); /* not yet acknowledged */
            code = HF_OK;
        }
        dht_action_done(&action);
    }
    assert_true(answered || code == HF_OK);
    return code;
}

static void a_holder_verifies_before_it_stores(void **state)
{
    struct net *net = net_new(5, 21);
    struct net_block *block = net_block_new(net, 0, 1, 2, 4, 1);
    struct net_block *own = net_block_new(net, 2, 2, 2, 4, 1); /* node 2 is its source */
    struct dht_message store = {.kind = DHT_STORE, .request = 7, .index = 1};
    struct hf_buffer *altered = hf_buffer_new(block->fragments[1]->size);

    (void)state;
    assert_non_null(altered);
    memcpy(altered->b, block->fragments[1]->b, altered->size);
    altered->b[100] ^= 1;
    store.manifest = block->manifest_bytes;
    store.payload = altered;
    assert_int_equal(answer_to_store(net, &store), HF_CORRUPT);
    store.payload = block->fragments[1];
    store.index = 2;
    assert_int_equal(answer_to_store(net, &store), HF_CORRUPT);
    store.index = 31;
    assert_int_equal(answer_to_store(net, &store), HF_CORRUPT);
    store.index = 1;
    altered->size = 1;
    store.payload = altered;
    assert_int_equal(answer_to_store(net, &store), HF_CORRUPT);
    store.payload = block->fragments[1];
    block->manifest_bytes->b[60] ^= 1;
    assert_int_equal(answer_to_store(net, &store), HF_CORRUPT);
    block->manifest_bytes->b[60] ^= 1;
    assert_int_equal(answer_to_store(net, &store), HF_OK);
    store.manifest = own->manifest_bytes;
    store.payload = own->fragments[1];
    assert_int_equal(answer_to_store(net, &store), HF_DENIED);
    hf_buffer_unref(altered);
    net_block_free(own);
    net_block_free(block);
    net_free(net);
}

/* The store never answers: jobs and their bytes are bounded, and who comes then is told. */
static void a_holder_bounds_what_it_holds(void **state)
{
    struct net *net = net_new(5, 22);
    struct net_block *block = net_block_new(net, 0, 1, 1, 2, 1);
    struct dht_message store = {.kind = DHT_STORE,
                                .manifest = block->manifest_bytes,
                                .payload = block->fragments[0]};
    struct dht_message fetch = {.kind = DHT_FETCH, .vault = net->vault, .block = block->id};
    struct dht_event event = {
        .kind = DHT_MESSAGE, .peer = net->nodes[1].id, .message = &fetch};
    struct dht_action action;
    size_t fits =
        DHT_JOB_BYTES_MAX / (block->fragments[0]->size + block->manifest_bytes->size);
    size_t busy = 0;

    (void)state;
    assert_true(fits < DHT_JOBS_MAX);
    for (size_t i = 0; i < fits; i++) {
        if (i < fits / 2) assert_false(dht_node_busy(net->nodes[2].dht));
        store.request = i;
        assert_int_equal(answer_to_store(net, &store), HF_OK);
    }
    assert_true(dht_node_busy(net->nodes[2].dht));
    assert_int_equal(answer_to_store(net, &store), HF_UNAVAILABLE);
    for (size_t i = 0; i < DHT_JOBS_MAX; i++) { /* small ones still pass, up to the limit */
        fetch.request = 1000 + i;
        dht_step(net->nodes[2].dht, &event, net->now_ms);
        while (dht_next(net->nodes[2].dht, &action)) {
            if (action.kind == DHT_ACTION_SEND) {
                assert_int_equal(action.message.code, HF_UNAVAILABLE);
                busy++;
            }
            dht_action_done(&action);
        }
    }
    assert_int_equal(busy, fits);
    net_block_free(block);
    net_free(net);
}

static void answers_that_nobody_asked_for_are_ignored(void **state)
{
    struct net *net = net_new(5, 23);
    struct net_block *block = net_block_new(net, 0, 1, 2, 4, 1);
    uint64_t tag = net_put(net, 0, block);
    uint64_t random = 4;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct dht_message answer = {.kind = (enum dht_message_kind)(2 + 2 * (i % 5)),
                                     .request = test_random(&random) % 40,
                                     .code = HF_OK};

        if (i % 2) answer.request = test_random(&random);
        send(net, 1 + i % 4, 0, &answer);
    }
    assert_int_equal(net->outcomes[tag].times, 0);
    assert_int_equal(net_wait(net, tag)->action.code, HF_OK);
    assert_int_equal(net_indices(net, block), 4);
    net_block_free(block);
    net_free(net);
}

/* Another member cannot acknowledge in a holder's place, nor with another kind. */
static void an_answer_counts_only_from_who_was_asked(void **state)
{
    struct net *net = net_new(3, 24);
    struct net_block *block = net_block_new(net, 0, 1, 1, 2, 1);
    struct dht_event put = {
        .kind = DHT_PUT, .tag = 5, .put = {block->manifest_bytes, block->fragments, 2}};
    struct dht_event found = {.kind = DHT_LOOKUP_FAILED};
    struct dht_node *node = net->nodes[0].dht;
    struct dht_action action;
    struct dht_message ack[2];
    struct hf_id asked[2];
    size_t count = 0, ended = 0;

    (void)state;
    dht_step(node, &put, 0);
    assert_true(dht_next(node, &action));
    assert_int_equal(action.kind, DHT_ACTION_LOOKUP);
    found.tag = action.tag;
    dht_action_done(&action);
    dht_step(node, &found, 1);
    while (dht_next(node, &action)) {
        assert_int_equal(action.kind, DHT_ACTION_SEND);
        asked[count] = action.peer;
        ack[count++] =
            (struct dht_message){.kind = DHT_STORED, .request = action.message.request};
        dht_action_done(&action);
    }
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 6; i++) {
        struct dht_message message = ack[i % 2];
        struct dht_event event = {.kind = DHT_MESSAGE, .message = &message};

        event.peer = asked[i < 2 ? 1 - i % 2 : i % 2]; /* swapped; wrong kind; right */
        if (i == 2 || i == 3) message.kind = DHT_FETCHED;
        dht_step(node, &event, 2);
        assert_int_equal(ended, 0);
        while (dht_next(node, &action)) {
            assert_int_equal(action.kind, DHT_ACTION_DONE);
            assert_int_equal(action.tag, 5);
            assert_int_equal(i, 5);
            ended++;
            dht_action_done(&action);
        }
    }
    assert_int_equal(ended, 1);
    net_block_free(block);
    net_free(net);
}

static void a_node_without_a_roster_answers_and_waits_for_nothing(void **state)
{
    struct dht_config config = {.store_complete = false};
    struct dht_node *node = dht_node_new(&config);
    struct dht_event event = {.kind = DHT_GET, .tag = 1};
    struct dht_action action;

    (void)state;
    assert_non_null(node);
    dht_step(node, &event, 5);
    assert_true(dht_next(node, &action));
    assert_int_equal(action.kind, DHT_ACTION_LOOKUP);
    dht_action_done(&action);
    assert_int_equal(dht_deadline(node), 5 + DHT_LOOKUP_MAX_MS);
    event.kind = DHT_TICK;
    dht_step(node, &event, 5 + DHT_LOOKUP_MAX_MS);
    assert_true(dht_next(node, &action));
    assert_int_equal(action.kind, DHT_ACTION_DONE);
    assert_int_equal(action.code, HF_UNAVAILABLE);
    dht_action_done(&action);
    assert_int_equal(dht_deadline(node), UINT64_MAX);
    dht_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms_pass),
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
        cmocka_unit_test(a_holder_verifies_before_it_stores),
        cmocka_unit_test(a_holder_bounds_what_it_holds),
        cmocka_unit_test(answers_that_nobody_asked_for_are_ignored),
        cmocka_unit_test(an_answer_counts_only_from_who_was_asked),
        cmocka_unit_test(a_node_without_a_roster_answers_and_waits_for_nothing),
    };
    return cmocka_run_group_tests_name("dht/node", tests, NULL, NULL);
}
