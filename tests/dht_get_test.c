/* dht/get.h: who is asked, whom it believes, and what it says when there is too little. */
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

static enum hf_code code_of_get(struct net *net, size_t node, const struct net_block *block)
{
    return net_wait(net, net_get(net, node, block))->action.code;
}

static void k_requests_are_enough(void **state)
{
    struct net *net = net_new(15, 1);
    struct net_block *block = stored(net, 1);
    uint64_t before = net->nodes[0].sent;

    (void)state;
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    assert_int_equal(net->nodes[0].sent - before, 7);

    before = net->nodes[5].sent; /* it holds one of them itself */
    net_check_block(net, net_wait(net, net_get(net, 5, block)), block);
    assert_in_range(net->nodes[5].sent - before, 6, 7); /* the source may be among them */
    net_block_free(block);
    net_free(net);
}

static void a_late_holder_is_hedged(void **state)
{
    struct net *net = net_new(15, 2);
    struct net_block *block = stored(net, 2);
    uint64_t begun, before;

    (void)state;
    /* Whoever it is that will be asked: the three that are fastest so far. */
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    for (size_t i = 1; i <= 3; i++)
        net->nodes[i].slow_ms = 40000;
    begun = net->now_ms;
    before = net->nodes[0].fetches;
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    assert_true(net->now_ms - begun < 2000); /* late, and not the silence of 5 s */
    assert_in_range(net->nodes[0].fetches - before, 7, 10);
    net_block_free(block);
    net_free(net);
}

static void silent_holders_are_not_asked_first_again(void **state)
{
    struct net *net = net_new(15, 3);
    struct net_block *block = stored(net, 3);

    (void)state;
    for (size_t i = 1; i <= 7; i++)
        net_kill(net, i);
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    net_kill(net, 8); /* six are left */
    assert_int_equal(code_of_get(net, 0, block), HF_UNAVAILABLE);
    net_revive(net, 1);
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    net_block_free(block);
    net_free(net);
}

static void an_altered_fragment_is_named_and_replaced(void **state)
{
    enum net_fault faults[] = {NET_ALTERS, NET_SWAPS};

    (void)state;
    for (size_t f = 0; f < 2; f++) {
        struct net *net = net_new(5, 4 + f);
        struct net_block *block = stored(net, 4);

        net_fault(net, 2, faults[f]);
        net_fault(net, 4, faults[f]);
        net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
        for (size_t i = 1; i < 5; i++) /* never an honest one, never twice */
            assert_true(net_warned(net, 0, i, DHT_WARN_BAD_FRAGMENT) <= (i % 2 == 0));
        net_fault(net, 1, faults[f]); /* one honest one is left: not enough */
        assert_int_equal(code_of_get(net, 0, block), HF_CORRUPT);
        for (size_t i = 1; i < 5; i++)
            if (i != 3) assert_true(net_warned(net, 0, i, DHT_WARN_BAD_FRAGMENT) >= 1);
        assert_int_equal(net_warned(net, 0, 3, DHT_WARN_BAD_FRAGMENT), 0);
        net_block_free(block);
        net_free(net);
    }
}

static void who_has_it_damaged_is_named(void **state)
{
    struct net *net = net_new(5, 4);
    struct net_block *block = stored(net, 4);

    (void)state;
    net_fault(net, 2, NET_DAMAGED);
    net_kill(net, 4); /* so that three are left, and it may be asked */
    net_kill(net, 3);
    assert_int_equal(code_of_get(net, 0, block), HF_UNAVAILABLE);
    assert_true(net_warned(net, 0, 2, DHT_WARN_DAMAGED_FRAGMENT) == 1);
    net_revive(net, 3);
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    assert_int_equal(net_warned(net, 0, 1, DHT_WARN_DAMAGED_FRAGMENT), 0);
    assert_int_equal(net_warned(net, 0, 2, DHT_WARN_BAD_FRAGMENT), 0); /* it did not lie */
    net_block_free(block);
    net_free(net);
}

static void not_found_needs_everybodys_word(void **state)
{
    struct net *net = net_new(5, 6);
    struct net_block *never = net_block_new(net, 0, 5, 2, 4, 1);

    (void)state;
    assert_int_equal(code_of_get(net, 0, never), HF_NOT_FOUND);
    net_kill(net, 3);
    assert_int_equal(code_of_get(net, 0, never), HF_UNAVAILABLE);
    net_revive(net, 3);
    net_fault(net, 3, NET_FORGETFUL); /* "don't know" */
    assert_int_equal(code_of_get(net, 0, never), HF_UNAVAILABLE);
    net_fault(net, 3, NET_HONEST);
    assert_int_equal(code_of_get(net, 0, never), HF_NOT_FOUND);
    net_block_free(never);
    net_free(net);
}

static void liars_who_deny_hide_a_block_only_together(void **state)
{
    struct net *net = net_new(5, 7);
    struct net_block *block = stored(net, 6);

    (void)state;
    net_fault(net, 1, NET_DENIES);
    net_fault(net, 2, NET_DENIES);
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    net_fault(net, 3, NET_DENIES);
    assert_int_equal(code_of_get(net, 0, block), HF_NOT_FOUND);
    net_block_free(block);
    net_free(net);
}

static void a_foreign_manifest_is_not_believed(void **state)
{
    struct net *net = net_new(5, 8);
    struct net_block *block = stored(net, 7);
    struct net_fragment *fragment = &net->nodes[2].fragments[0];
    uint8_t seed[HF_SEED_SIZE] = {99};
    struct hf_signer *other = hf_signer_new(seed);
    struct manifest forged = block->manifest;
    struct hf_writer w;
    struct hf_err err;

    (void)state;
    /* The very fragment, under a manifest that another owner signed for it. */
    assert_non_null(other);
    hf_buffer_unref(fragment->manifest);
    fragment->manifest = hf_buffer_new(MANIFEST_SIZE_MAX);
    assert_non_null(fragment->manifest);
    w = hf_writer_init(fragment->manifest->b, MANIFEST_SIZE_MAX);
    assert_int_equal(manifest_encode(&w, &forged, other, &err), HF_OK);
    fragment->manifest->size = hf_writer_size(&w);
    net_kill(net, 1);
    net_kill(net, 3);
    assert_int_equal(code_of_get(net, 0, block), HF_UNAVAILABLE);
    assert_int_equal(net_warned(net, 0, 2, DHT_WARN_BAD_MANIFEST), 1);
    net_revive(net, 3);
    net_check_block(net, net_wait(net, net_get(net, 0, block)), block);
    hf_signer_free(other);
    net_block_free(block);
    net_free(net);
}

/* A valid fragment of another block of the vault is not this block's. */
static void another_block_of_the_vault_is_not_believed(void **state)
{
    struct net *net = net_new(5, 9);
    struct net_block *block = stored(net, 8), *other = stored(net, 9);

    (void)state;
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(net->nodes[i].fragment_count, 2);
        net->nodes[i].fragments[0].block = net->nodes[i].fragments[1].block;
        net->nodes[i].fragments[1].block = block->id;
    }
    assert_int_equal(code_of_get(net, 0, block), HF_CORRUPT);
    net_block_free(block);
    net_block_free(other);
    net_free(net);
}

static void remove_generation(struct net_node *node, uint32_t generation)
{
    for (size_t i = 0; i < node->fragment_count; i++) {
        struct net_fragment f = node->fragments[i];

        if (f.generation != generation) continue;
        hf_buffer_unref(f.manifest);
        hf_buffer_unref(f.payload);
        node->fragments[i] = node->fragments[--node->fragment_count];
        return;
    }
}

/* A recoding that stopped in the middle: the old generation is still readable, also where a
 * holder would rather give the new one. */
static void generations_are_never_mixed(void **state)
{
    struct net *net = net_new(5, 10);
    struct net_block *old = stored(net, 10);
    struct net_block *new = net_block_new(net, 0, 10, 2, 4, 2);
    const struct net_outcome *get;

    (void)state;
    assert_true(hf_id_equal(&old->id, &new->id));
    assert_int_equal(net_wait(net, net_put(net, 0, new))->action.code, HF_OK);
    get = net_wait(net, net_get(net, 0, old));
    net_check_block(net, get, old);
    assert_int_equal(get->action.block->manifest.generation, 2);

    /* Left: node 1 has the old one, node 2 both, nobody else anything. */
    for (uint32_t g = 1; g <= 2; g++) {
        remove_generation(&net->nodes[3], g);
        remove_generation(&net->nodes[4], g);
    }
    remove_generation(&net->nodes[1], 2);
    get = net_wait(net, net_get(net, 0, old));
    net_check_block(net, get, old);
    assert_int_equal(get->action.block->manifest.generation, 1);
    assert_int_equal(net->warning_count, 0);
    net_block_free(old);
    net_block_free(new);
    net_free(net);
}

static void a_holder_that_comes_back_is_asked(void **state)
{
    struct net *net = net_new(5, 11);
    struct net_block *block = stored(net, 11);
    uint64_t tag;

    (void)state;
    net->links = true;
    for (size_t i = 1; i < 5; i++)
        net->nodes[i].slow_ms = i == 1 ? 3000 : 0;
    for (size_t i = 2; i < 5; i++)
        net_kill(net, i);
    tag = net_get(net, 0, block); /* node 1 answers after three seconds */
    net_run(net, 1000);
    net_revive(net, 3);
    net_check_block(net, net_wait(net, tag), block);
    net_block_free(block);
    net_free(net);
}

static void the_holders_of_a_large_ring_are_found(void **state)
{
    struct net *net = net_new(90, 12);
    struct net_block *block = stored(net, 12);
    uint64_t before = net->nodes[44].sent;

    (void)state;
    assert_int_equal(net_holders(net, block), 14);
    net_check_block(net, net_wait(net, net_get(net, 44, block)), block);
    assert_in_range(net->nodes[44].sent - before, 6, 8);
    net_block_free(block);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(k_requests_are_enough),
        cmocka_unit_test(a_late_holder_is_hedged),
        cmocka_unit_test(silent_holders_are_not_asked_first_again),
        cmocka_unit_test(an_altered_fragment_is_named_and_replaced),
        cmocka_unit_test(who_has_it_damaged_is_named),
        cmocka_unit_test(not_found_needs_everybodys_word),
        cmocka_unit_test(liars_who_deny_hide_a_block_only_together),
        cmocka_unit_test(a_foreign_manifest_is_not_believed),
        cmocka_unit_test(another_block_of_the_vault_is_not_believed),
        cmocka_unit_test(generations_are_never_mixed),
        cmocka_unit_test(a_holder_that_comes_back_is_asked),
        cmocka_unit_test(the_holders_of_a_large_ring_are_found),
    };
    return cmocka_run_group_tests_name("dht/get", tests, NULL, NULL);
}
