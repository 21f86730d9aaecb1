/* dht/have.h: enough, lost, or not known. */
#include "dht_net.h"

#include <string.h>

static struct net_block *stored(struct net *net, uint32_t content)
{
    struct dht_redundancy r =
        dht_node_redundancy(net->nodes[0].dht, (struct dht_redundancy){0, 0});
    struct net_block *block = net_block_new(net, 0, content, r.k, r.n, 1);

    assert_int_equal(net_wait(net, net_put(net, 0, block))->action.code, HF_OK);
    return block;
}

static const struct hf_buffer *have(struct net *net, const struct hf_id *ids, size_t count)
{
    const struct net_outcome *outcome = net_wait(net, net_have(net, 0, ids, count));

    assert_int_equal(outcome->action.code, HF_OK);
    assert_int_equal(outcome->action.payload->size, count);
    return outcome->action.payload;
}

static void enough_lost_and_unknown(size_t ring)
{
    struct net *net = net_new(ring, ring);
    struct net_block *block = stored(net, 1);
    struct hf_id ids[2] = {block->id, {{0}}};
    uint32_t k = block->manifest.shape.k, n = block->manifest.shape.n;
    const struct hf_buffer *answer;

    memset(ids[1].b, 0x77, sizeof ids[1].b);
    answer = have(net, ids, 2);
    assert_int_equal(answer->b[0], DHT_HAVE_ENOUGH);
    assert_int_equal(answer->b[1], DHT_HAVE_LOST);

    for (uint32_t i = 0; i < n - k; i++)
        net_kill(net, net_holder_of(net, block, i));
    answer = have(net, ids, 1);
    assert_int_equal(answer->b[0], DHT_HAVE_ENOUGH);

    net_kill(net, net_holder_of(net, block, n - k));
    answer = have(net, ids, 1);
    assert_int_equal(answer->b[0], DHT_HAVE_UNKNOWN);

    for (uint32_t i = 0; i <= n - k; i++) { /* they are back, with empty disks */
        size_t holder = net_holder_of(net, block, i);

        net_revive(net, holder);
        net_fault(net, holder, NET_DENIES);
    }
    answer = have(net, ids, 1);
    assert_int_equal(answer->b[0], DHT_HAVE_LOST);
    net_fault(net, net_holder_of(net, block, 0), NET_FORGETFUL);
    answer = have(net, ids, 1);
    assert_int_equal(answer->b[0], DHT_HAVE_UNKNOWN);
    net_block_free(block);
    net_free(net);
}

static void small_ring(void **state)
{
    (void)state;
    enough_lost_and_unknown(5);
}

static void large_ring(void **state)
{
    (void)state;
    enough_lost_and_unknown(80);
}

static void a_batch_asks_each_member_once(void **state)
{
    static struct hf_id ids[DHT_PRESENCE_MAX + 1];
    struct net *net = net_new(80, 3);
    struct net_block *blocks[4];
    const struct hf_buffer *answer;
    uint64_t before, random = 9, tag;

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        blocks[i] = stored(net, i);
    test_random_bytes(&random, ids, sizeof ids);
    for (size_t i = 0; i < 4; i++)
        ids[i * 300 + 7] = blocks[i]->id;
    before = net->nodes[0].sent;
    answer = have(net, ids, DHT_PRESENCE_MAX);
    assert_int_equal(net->nodes[0].sent - before, 79);
    for (size_t i = 0; i < DHT_PRESENCE_MAX; i++) {
        bool one = i % 300 == 7 && i / 300 < 4;

        assert_int_equal(answer->b[i], one ? DHT_HAVE_ENOUGH : DHT_HAVE_LOST);
    }
    for (size_t i = 0; i < 4; i++)
        net_block_free(blocks[i]);
    tag = net_have(net, 0, ids, DHT_PRESENCE_MAX + 1);
    assert_int_equal(net->outcomes[tag].action.code, HF_INVALID);
    tag = net_have(net, 0, ids, 0);
    assert_int_equal(net->outcomes[tag].action.code, HF_INVALID);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ring),
        cmocka_unit_test(large_ring),
        cmocka_unit_test(a_batch_asks_each_member_once),
    };
    return cmocka_run_group_tests_name("dht/have", tests, NULL, NULL);
}
