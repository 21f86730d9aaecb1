/* erasure/manifest.h: what it says of a block, and what it refuses. */
#include "test.h"

#include "base/tree_hash.h"
#include "erasure/manifest.h"
#include "erasure_vector.h"

#include <string.h>

#define LEAF HF_LEAF_SIZE

static uint8_t block[256 * LEAF], work[512 * LEAF];
static const uint8_t *fragments[CODE_FRAGMENTS_MAX];
static struct coder *coder;
static struct hf_signer *signer;

static int set_up(void **state)
{
    uint8_t seed[HF_SEED_SIZE] = {7};
    uint64_t random = 5;

    (void)state;
    test_random_bytes(&random, block, sizeof block);
    coder = coder_new();
    signer = hf_signer_new(seed);
    return coder == NULL || signer == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    coder_free(coder);
    hf_signer_free(signer);
    return 0;
}

static struct hf_id id_of(uint8_t byte)
{
    struct hf_id id;

    memset(id.b, byte, sizeof id.b);
    return id;
}

static struct manifest build(size_t leaf_count, uint32_t k, uint32_t n)
{
    struct manifest manifest = {.epoch = 0,
                                .generation = 1,
                                .host = id_of(0x11),
                                .seq = 42,
                                .source = id_of(0x22),
                                .time_ns = 1795168800000000000};
    struct hf_id leaves[HF_LEAVES_MAX];
    struct code_shape shape;
    struct hf_err err;

    assert_int_equal(code_shape_init(&shape, leaf_count * LEAF, k, n, &err), HF_OK);
    assert_true(code_work_size(&shape) <= sizeof work);
    assert_int_equal(coder_encode(coder, &shape, block, work, fragments, &err), HF_OK);
    assert_int_equal(hf_leaf_hashes(block, leaf_count * LEAF, leaves), leaf_count);
    manifest_build(&manifest, &shape, leaves, fragments);
    return manifest;
}

static size_t encode(struct manifest *manifest, uint8_t bytes[static MANIFEST_SIZE_MAX])
{
    struct hf_writer w = hf_writer_init(bytes, MANIFEST_SIZE_MAX);
    struct hf_err err;

    assert_int_equal(manifest_encode(&w, manifest, signer, &err), HF_OK);
    return hf_writer_size(&w);
}

static void roots_are_those_of_the_fragments(void **state)
{
    static const struct {
        size_t leaves;
        uint32_t k, n;
    } shapes[] = {{4, 1, 1}, {4, 1, 3}, {4, 7, 14}, {8, 7, 14}, {256, 2, 4}, {256, 7, 14}};

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct manifest manifest = build(shapes[s].leaves, shapes[s].k, shapes[s].n);
        size_t size = manifest.shape.fragment_size;

        for (uint32_t i = 0; i < manifest.shape.n; i++)
            assert_true(fragment_verify(&manifest, i, fragments[i], size));
        assert_false(fragment_verify(&manifest, manifest.shape.n, fragments[0], size));
        assert_false(fragment_verify(&manifest, UINT32_MAX, fragments[0], size));
        assert_false(fragment_verify(&manifest, 0, fragments[0], size - 1));
        assert_false(fragment_verify(&manifest, 0, fragments[0], 0));
        if (manifest.shape.k > 1)
            assert_false(fragment_verify(&manifest, 0, fragments[1], size));
    }
}

static void an_altered_byte_is_noticed(void **state)
{
    struct manifest manifest = build(8, 2, 4);
    uint8_t *altered = malloc(manifest.shape.fragment_size);

    (void)state;
    assert_non_null(altered);
    memcpy(altered, fragments[3], manifest.shape.fragment_size);
    for (size_t i = 0; i < manifest.shape.fragment_size; i += 4093) {
        altered[i] ^= 0x80;
        assert_false(fragment_verify(&manifest, 3, altered, manifest.shape.fragment_size));
        altered[i] ^= 0x80;
    }
    assert_true(fragment_verify(&manifest, 3, altered, manifest.shape.fragment_size));
    free(altered);
}

static void what_is_written_is_read(void **state)
{
    struct manifest manifest = build(256, 7, 14), parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX];
    size_t n = encode(&manifest, bytes);
    struct hf_err err;

    (void)state;
    assert_int_equal(manifest_parse(bytes, n, &parsed, &err), HF_OK);
    assert_true(manifest_same_coding(&manifest, &parsed));
    assert_true(hf_id_equal(&manifest.vault, &parsed.vault));
    assert_memory_equal(manifest.owner.b, parsed.owner.b, sizeof parsed.owner.b);
    assert_int_equal(parsed.shape.fragment_size, manifest.shape.fragment_size);
    assert_int_equal(parsed.generation, 1);
    assert_int_equal(parsed.seq, 42);
    assert_int_equal(parsed.time_ns, manifest.time_ns);
    assert_int_equal(parsed.host.b[5], 0x11);
    assert_int_equal(parsed.source.b[5], 0x22);
    parsed.roots[13].b[0] ^= 1;
    assert_false(manifest_same_coding(&manifest, &parsed));
    parsed.roots[13].b[0] ^= 1;
    parsed.generation = 2;
    assert_false(manifest_same_coding(&manifest, &parsed));
}

static void the_longest_manifest_fits(void **state)
{
    struct manifest manifest = build(256, 16, 32), parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX];
    struct hf_err err;

    (void)state;
    manifest.generation = UINT32_MAX;
    manifest.epoch = UINT32_MAX;
    manifest.seq = UINT64_MAX;
    manifest.time_ns = INT64_MIN;
    assert_int_equal(manifest_parse(bytes, encode(&manifest, bytes), &parsed, &err), HF_OK);
    assert_int_equal(parsed.seq, UINT64_MAX);
    assert_int_equal(parsed.time_ns, INT64_MIN);
}

static void golden_vector(void **state)
{
    struct manifest manifest = build(4, 2, 4);
    uint8_t bytes[MANIFEST_SIZE_MAX];
    size_t n = encode(&manifest, bytes);

    (void)state;
    vector_check(TEST_SOURCE_DIR "/tests/vectors/manifest.hex", bytes, n);
}

static void every_truncation_and_every_flipped_byte_fails(void **state)
{
    struct manifest manifest = build(4, 2, 4), parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX];
    size_t n = encode(&manifest, bytes);
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        uint8_t *cut = malloc(i + 1); /* so that reading past the end is seen */

        assert_non_null(cut);
        memcpy(cut, bytes, i);
        assert_int_equal(manifest_parse(cut, i, &parsed, &err), HF_CORRUPT);
        free(cut);
        bytes[i] ^= 1;
        assert_int_equal(manifest_parse(bytes, n, &parsed, &err), HF_CORRUPT);
        bytes[i] ^= 1;
    }
    assert_int_equal(manifest_parse(bytes, n + 1, &parsed, &err), HF_CORRUPT);
    assert_int_equal(manifest_parse(bytes, SIZE_MAX, &parsed, &err), HF_CORRUPT);
}

/* A valid signature by another key over a manifest that claims this vault. */
static void a_foreign_signature_is_refused(void **state)
{
    struct manifest manifest = build(4, 2, 4), parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX], forged[MANIFEST_SIZE_MAX], seed[HF_SEED_SIZE] = {8};
    struct hf_reader r = hf_reader_init(bytes, encode(&manifest, bytes));
    struct hf_writer w = hf_writer_init(forged, sizeof forged);
    struct hf_signer *other = hf_signer_new(seed);
    struct hf_signature sig;
    struct hf_err err;
    const uint8_t *body;
    size_t n;

    (void)state;
    assert_non_null(other);
    body = hf_get_signed(&r, sizeof bytes, &n, &sig);
    assert_non_null(body);
    assert_int_equal(hf_put_signed(&w, other, MANIFEST_LABEL, body, n, &err), HF_OK);
    assert_int_equal(manifest_parse(forged, hf_writer_size(&w), &parsed, &err), HF_CORRUPT);

    /* Signed by the right key, but as something else. */
    w = hf_writer_init(forged, sizeof forged);
    assert_int_equal(hf_put_signed(&w, signer, "hf1/head", body, n, &err), HF_OK);
    assert_int_equal(manifest_parse(forged, hf_writer_size(&w), &parsed, &err), HF_CORRUPT);

    /* The other's own manifest is valid, but of another vault. */
    w = hf_writer_init(forged, sizeof forged);
    assert_int_equal(manifest_encode(&w, &manifest, other, &err), HF_OK);
    assert_int_equal(manifest_parse(forged, hf_writer_size(&w), &parsed, &err), HF_OK);
    manifest = build(4, 2, 4);
    (void)encode(&manifest, bytes);
    assert_false(hf_id_equal(&parsed.vault, &manifest.vault));
    assert_false(manifest_same_coding(&parsed, &manifest));
    hf_signer_free(other);
}

/* The vault's name is put over another owner's key and signed by that owner. */
static void a_vault_that_is_not_the_keys_hash_is_refused(void **state)
{
    struct manifest manifest = build(4, 2, 4), parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX], body[MANIFEST_SIZE_MAX], forged[MANIFEST_SIZE_MAX];
    struct hf_reader r = hf_reader_init(bytes, encode(&manifest, bytes));
    struct hf_writer w = hf_writer_init(forged, sizeof forged);
    struct hf_signature sig;
    struct hf_err err;
    const uint8_t *p;
    uint8_t *vault;
    size_t n;

    (void)state;
    p = hf_get_signed(&r, sizeof bytes, &n, &sig);
    assert_non_null(p);
    memcpy(body, p, n);
    vault = memmem(body, n, manifest.vault.b, sizeof manifest.vault.b);
    assert_non_null(vault);
    vault[0] ^= 1;
    assert_int_equal(hf_put_signed(&w, signer, MANIFEST_LABEL, body, n, &err), HF_OK);
    assert_int_equal(manifest_parse(forged, hf_writer_size(&w), &parsed, &err), HF_CORRUPT);
}

static void signed_nonsense_is_refused(void **state)
{
    struct manifest good = build(4, 2, 4), bad, parsed;
    uint8_t bytes[MANIFEST_SIZE_MAX];
    struct hf_err err;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bad = good;
        switch (i) {
        case 0: bad.shape.k = 0; break;
        case 1: bad.shape.k = 5; break;
        case 2: bad.shape.n = 0; break;
        case 3: bad.shape.block_size = 0; break;
        case 4: bad.shape.block_size = 4 * LEAF + 1; break;
        case 5: bad.shape.block_size = 260 * LEAF; break;
        case 6: bad.shape.block_size = LEAF; break; /* fewer leaves than k */
        default: bad.generation = 0; break;
        }
        assert_int_equal(manifest_parse(bytes, encode(&bad, bytes), &parsed, &err),
                         HF_CORRUPT);
    }
    assert_int_equal(manifest_parse(bytes, encode(&good, bytes), &parsed, &err), HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_the_fragments),
        cmocka_unit_test(an_altered_byte_is_noticed),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_longest_manifest_fits),
        cmocka_unit_test(golden_vector),
        cmocka_unit_test(every_truncation_and_every_flipped_byte_fails),
        cmocka_unit_test(a_foreign_signature_is_refused),
        cmocka_unit_test(a_vault_that_is_not_the_keys_hash_is_refused),
        cmocka_unit_test(signed_nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("erasure/manifest", tests, set_up, tear_down);
}
