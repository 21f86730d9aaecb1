/* erasure/code.h: every pattern of losses, the code by its definition, abuse. */
#include "test.h"

#include "base/tree_hash.h"
#include "erasure/code.h"

#include <pthread.h>
#include <string.h>

#define LEAF HF_LEAF_SIZE

static struct coder *coder;

static int make_coder(void **state)
{
    (void)state;
    coder = coder_new();
    return coder == NULL;
}

static int free_coder(void **state)
{
    (void)state;
    coder_free(coder);
    return 0;
}

/* A block with what its coding needs, sized for one shape. */
struct coded {
    struct code_shape shape;
    uint8_t *block, *work, *decoded, *fragment;
    const uint8_t *fragments[CODE_FRAGMENTS_MAX];
};

static void code_block(struct coded *c, size_t size, uint32_t k, uint32_t n)
{
    uint64_t seed = size * 64 + k * 33 + n;
    struct hf_err err;

    assert_int_equal(code_shape_init(&c->shape, size, k, n, &err), HF_OK);
    c->block = malloc(size);
    c->decoded = malloc(size);
    c->work = malloc(code_work_size(&c->shape) + 1);
    c->fragment = malloc(c->shape.fragment_size);
    assert_true(c->block && c->decoded && c->work && c->fragment);
    test_random_bytes(&seed, c->block, size);
    assert_int_equal(coder_encode(coder, &c->shape, c->block, c->work, c->fragments, &err),
                     HF_OK);
}

static void free_coded(struct coded *c)
{
    free(c->block);
    free(c->decoded);
    free(c->work);
    free(c->fragment);
}

/* Decodes from the k fragments whose bits are set, and regenerates one of the others. */
static void check_survivors(struct coded *c, uint32_t survivors)
{
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    uint32_t count = 0, lost = 0;
    struct hf_err err;

    for (uint32_t i = c->shape.n; i-- > 0;) {
        if (survivors >> i & 1)
            pieces[count++] = (struct code_piece){c->fragments[i], i};
        else if (lost == 0 || (survivors & 3) == 0)
            lost = i;
    }
    assert_int_equal(count, c->shape.k);
    memset(c->decoded, 0x5a, c->shape.block_size);
    assert_int_equal(coder_decode(coder, &c->shape, pieces, c->decoded, &err), HF_OK);
    assert_memory_equal(c->decoded, c->block, c->shape.block_size);
    if (survivors >> lost & 1) return;
    memset(c->fragment, 0x5a, c->shape.fragment_size);
    assert_int_equal(coder_regenerate(coder, &c->shape, pieces, lost, c->fragment, &err),
                     HF_OK);
    assert_memory_equal(c->fragment, c->fragments[lost], c->shape.fragment_size);
}

static void every_pattern_of_losses_decodes(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 14; n++) {
        for (uint32_t k = 1; k <= n; k++) {
            struct coded c;

            if (k == n && k > 1) continue;
            code_block(&c, k * LEAF, k, n);
            for (uint32_t pattern = 0; pattern < 1u << n; pattern++)
                if ((uint32_t)__builtin_popcount(pattern) == k)
                    check_survivors(&c, pattern);
            free_coded(&c);
        }
    }
}

static void every_size_decodes_with_padding(void **state)
{
    static const struct {
        uint32_t k, n;
    } codes[] = {{1, 3}, {2, 4}, {3, 5}, {5, 11}, {7, 14}, {10, 30}, {31, 32}};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (size_t leaves = 4; leaves <= 256;
             leaves = leaves < 16 ? leaves + 3 : leaves * 4) {
            struct coded c;
            uint32_t k, all;

            code_block(&c, leaves * LEAF, codes[i].k, codes[i].n);
            k = c.shape.k;
            assert_in_range(k, 1, c.shape.n);
            all = (uint32_t)((UINT64_C(1) << k) - 1);
            check_survivors(&c, all);                    /* nothing to compute */
            check_survivors(&c, all << (c.shape.n - k)); /* all parity at the end */
            check_survivors(&c, all ^ 1u ^ 1u << (codes[i].n - 1));
            free_coded(&c);
        }
    }
}

static void data_fragments_are_slices_of_the_block(void **state)
{
    struct coded c;

    (void)state;
    code_block(&c, 256 * LEAF, 7,
               14); /* 37 leaves each; the last has 34 and 3 of padding */
    assert_int_equal(c.shape.fragment_size, 37 * LEAF);
    assert_int_equal(code_work_size(&c.shape), 8 * 37 * LEAF);
    for (uint32_t i = 0; i < 6; i++)
        assert_ptr_equal(c.fragments[i], c.block + i * 37 * LEAF);
    assert_memory_equal(c.fragments[6], c.block + 6 * 37 * LEAF, 34 * LEAF);
    for (size_t i = 34 * LEAF; i < 37 * LEAF; i++)
        assert_int_equal(c.fragments[6][i], 0);
    free_coded(&c);

    code_block(&c, 4 * LEAF, 1, 3);
    assert_int_equal(code_work_size(&c.shape), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(c.fragments[i], c.block);
    free_coded(&c);

    code_block(&c, 4 * LEAF, 7, 14); /* k is lowered to the leaves */
    assert_int_equal(c.shape.k, 4);
    assert_int_equal(c.shape.fragment_size, LEAF);
    free_coded(&c);
}

static uint8_t gf_multiply(uint8_t a, uint8_t b)
{
    unsigned product = 0;

    for (unsigned i = 0; i < 8; i++)
        if (b >> i & 1) product ^= (unsigned)a << i;
    for (unsigned i = 15; i >= 8; i--)
        if (product >> i & 1) product ^= 0x11du << (i - 8);
    return (uint8_t)product;
}

static uint8_t gf_inverse(uint8_t a)
{
    for (unsigned b = 1; b < 256; b++)
        if (gf_multiply(a, (uint8_t)b) == 1) return (uint8_t)b;
    return 0;
}

/* What docs/formats.md says, written down once more without any library. */
static void parity_is_the_cauchy_sum(void **state)
{
    struct coded c;

    (void)state;
    code_block(&c, 16 * LEAF, 5, 12);
    for (uint32_t i = 5; i < 12; i++) {
        for (size_t at = 0; at < c.shape.fragment_size; at += 251) {
            uint8_t sum = 0;

            for (uint32_t j = 0; j < 5; j++)
                sum ^= gf_multiply(gf_inverse((uint8_t)(i ^ j)), c.fragments[j][at]);
            assert_int_equal(sum, c.fragments[i][at]);
        }
    }
    free_coded(&c);
}

static void hostile_shapes_are_refused(void **state)
{
    static const struct {
        size_t size;
        uint32_t k, n;
    } bad[] = {
        {0, 2, 4},
        {1, 2, 4},
        {LEAF - 1, 2, 4},
        {4 * LEAF + 1, 2, 4},
        {257 * LEAF, 2, 4},
        {SIZE_MAX, 2, 4},
        {SIZE_MAX - LEAF + 1, 2, 4},
        {4 * LEAF, 0, 4},
        {4 * LEAF, 5, 4},
        {4 * LEAF, 2, 2},
        {4 * LEAF, 0, 0},
        {4 * LEAF, 16, 33},
        {4 * LEAF, UINT32_MAX, UINT32_MAX},
    };
    struct code_shape shape;
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(code_shape_init(&shape, bad[i].size, bad[i].k, bad[i].n, &err),
                         HF_INVALID);
}

/* Nothing of a shape that was not made by code_shape_init gets to the library. */
static void forged_shapes_and_pieces_are_refused(void **state)
{
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    struct code_shape forged;
    struct hf_err err;
    struct coded c;

    (void)state;
    code_block(&c, 8 * LEAF, 2, 4);
    for (uint32_t i = 0; i < 4; i++)
        pieces[i] = (struct code_piece){c.fragments[i], i};
    forged = c.shape;
    forged.fragment_size += LEAF;
    assert_int_equal(coder_decode(coder, &forged, pieces, c.decoded, &err), HF_INVALID);
    forged = c.shape;
    forged.k = 0;
    assert_int_equal(coder_decode(coder, &forged, pieces, c.decoded, &err), HF_INVALID);
    assert_int_equal(coder_encode(coder, &forged, c.block, c.work, c.fragments, &err),
                     HF_INVALID);
    pieces[1].index = 0;
    assert_int_equal(coder_decode(coder, &c.shape, pieces, c.decoded, &err), HF_INVALID);
    pieces[1].index = 4;
    assert_int_equal(coder_decode(coder, &c.shape, pieces, c.decoded, &err), HF_INVALID);
    pieces[1].index = 1;
    assert_int_equal(coder_regenerate(coder, &c.shape, pieces, 4, c.fragment, &err),
                     HF_INVALID);
    assert_int_equal(coder_regenerate(coder, &c.shape, pieces, 1, c.fragment, &err),
                     HF_INVALID);
    free_coded(&c);
}

static void *code_many(void *arg)
{
    struct coder *shared = arg;
    uint8_t *block = malloc(8 * LEAF), *work = malloc(8 * 8 * LEAF),
            *out = malloc(8 * LEAF);
    uintptr_t wrong = 0;

    if (block == NULL || work == NULL || out == NULL) abort();
    for (uint32_t i = 0; i < 40; i++) {
        const uint8_t *fragments[CODE_FRAGMENTS_MAX];
        struct code_piece pieces[4];
        struct code_shape shape;
        struct hf_err err;
        uint64_t seed = i + 1;
        uint32_t k = 2 + i % 3;

        test_random_bytes(&seed, block, 8 * LEAF);
        if (code_shape_init(&shape, 8 * LEAF, k, 2 * k, &err) != HF_OK ||
            coder_encode(shared, &shape, block, work, fragments, &err) != HF_OK) {
            wrong++;
            continue;
        }
        for (uint32_t j = 0; j < k; j++)
            pieces[j] = (struct code_piece){fragments[k + j], k + j};
        if (coder_decode(shared, &shape, pieces, out, &err) != HF_OK ||
            memcmp(out, block, 8 * LEAF) != 0)
            wrong++;
    }
    free(block);
    free(work);
    free(out);
    return (void *)wrong; /* NOLINT(performance-no-int-to-ptr): a thread's result */
}

static void threads_share_a_coder(void **state)
{
    struct coder *shared = coder_new();
    pthread_t threads[4];

    (void)state;
    assert_non_null(shared);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, code_many, shared), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong = shared;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    coder_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_of_losses_decodes),
        cmocka_unit_test(every_size_decodes_with_padding),
        cmocka_unit_test(data_fragments_are_slices_of_the_block),
        cmocka_unit_test(parity_is_the_cauchy_sum),
        cmocka_unit_test(hostile_shapes_are_refused),
        cmocka_unit_test(forged_shapes_and_pieces_are_refused),
        cmocka_unit_test(threads_share_a_coder),
    };
    return cmocka_run_group_tests_name("erasure/code", tests, make_coder, free_coder);
}
