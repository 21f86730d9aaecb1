#include "erasure/manifest.h"

#include "base/tree_hash.h"
#include "base/types.h"

#include <string.h>

#define MANIFEST_VERSION 1u
#define HASH_SHA256      1u

/* Keys of the map; docs/formats.md, Manifest. */
enum {
    KEY_VAULT = 2,
    KEY_EPOCH = 3,
    KEY_OWNER = 4,
    /* 5: the owner's certificate of its rights; not in use */
    KEY_BLOCK = 6,
    KEY_BLOCK_SIZE = 7,
    KEY_CODE = 8,
    KEY_MATRIX = 9,
    KEY_HASH = 10,
    KEY_LEAF_SIZE = 11,
    KEY_GENERATION = 12,
    KEY_K = 13,
    KEY_N = 14,
    KEY_ROOTS = 15,
    KEY_HOST = 16,
    KEY_SEQ = 17,
    KEY_SOURCE = 18,
    KEY_TIME = 19,
    KEY_END = 20
};
#define KEYS_REQUIRED (((UINT64_C(1) << KEY_END) - 1) & ~(UINT64_C(1) << 5))
#define KEYS_WRITTEN  (KEY_END - 3u) /* without 0, 1 and 5 */
#define KEYS_MAX      32u            /* with room for unknown negative ones */

#define ROOT_ENCODED_SIZE (HF_ID_SIZE + 2)

static enum manifest_code code_of(const struct code_shape *shape)
{
    return shape->k == 1 ? MANIFEST_REPLICATION : MANIFEST_REED_SOLOMON_256;
}

static enum manifest_matrix matrix_of(const struct code_shape *shape)
{
    return shape->k == 1 ? MANIFEST_MATRIX_NONE : MANIFEST_MATRIX_CAUCHY;
}

/* Roots of the data fragments, from the block's leaves and padding leaves behind them. */
static void data_roots(struct manifest *manifest, const struct hf_id *leaves)
{
    static const uint8_t zeros[HF_LEAF_SIZE];
    const struct code_shape *shape = &manifest->shape;
    size_t leaf_count = shape->block_size / HF_LEAF_SIZE;
    size_t fragment_leaves = shape->fragment_size / HF_LEAF_SIZE;
    struct hf_id slice[HF_LEAVES_MAX], padding;

    if (leaf_count < shape->k * fragment_leaves)
        hf_leaf_hash(zeros, sizeof zeros, &padding);
    for (uint32_t i = 0; i < shape->k; i++) {
        for (size_t j = 0; j < fragment_leaves; j++) {
            size_t leaf = i * fragment_leaves + j;

            slice[j] = leaf < leaf_count ? leaves[leaf] : padding;
        }
        hf_tree_root(slice, fragment_leaves, &manifest->roots[i]);
    }
}

void manifest_build(struct manifest *manifest, const struct code_shape *shape,
                    const struct hf_id *leaves, const uint8_t *const *fragments)
{
    struct hf_tree_input parity[sizeof manifest->roots / sizeof manifest->roots[0]];
    size_t count = 0;

    manifest->shape = *shape;
    hf_tree_root(leaves, shape->block_size / HF_LEAF_SIZE, &manifest->block);
    data_roots(manifest, leaves);
    for (uint32_t i = shape->k; i < shape->n; i++) {
        if (shape->k == 1) {
            manifest->roots[i] = manifest->roots[0];
            continue;
        }
        parity[count++] = (struct hf_tree_input){.bytes = fragments[i],
                                                 .size = shape->fragment_size,
                                                 .root = &manifest->roots[i]};
    }
    hf_tree_hash_many(parity, count);
}

static void put_body(struct hf_writer *w, const struct manifest *manifest)
{
    const struct code_shape *shape = &manifest->shape;

    hf_put_header(w, KEYS_WRITTEN, HF_TYPE_MANIFEST, MANIFEST_VERSION);
    hf_put_key(w, KEY_VAULT);
    hf_put_id(w, &manifest->vault);
    hf_put_key(w, KEY_EPOCH);
    hf_put_uint(w, manifest->epoch);
    hf_put_key(w, KEY_OWNER);
    hf_put_bytes(w, manifest->owner.b, sizeof manifest->owner.b);
    hf_put_key(w, KEY_BLOCK);
    hf_put_id(w, &manifest->block);
    hf_put_key(w, KEY_BLOCK_SIZE);
    hf_put_uint(w, shape->block_size);
    hf_put_key(w, KEY_CODE);
    hf_put_uint(w, code_of(shape));
    hf_put_key(w, KEY_MATRIX);
    hf_put_uint(w, matrix_of(shape));
    hf_put_key(w, KEY_HASH);
    hf_put_uint(w, HASH_SHA256);
    hf_put_key(w, KEY_LEAF_SIZE);
    hf_put_uint(w, HF_LEAF_SIZE);
    hf_put_key(w, KEY_GENERATION);
    hf_put_uint(w, manifest->generation);
    hf_put_key(w, KEY_K);
    hf_put_uint(w, shape->k);
    hf_put_key(w, KEY_N);
    hf_put_uint(w, shape->n);
    hf_put_key(w, KEY_ROOTS);
    hf_put_array(w, shape->n);
    for (uint32_t i = 0; i < shape->n; i++)
        hf_put_id(w, &manifest->roots[i]);
    hf_put_key(w, KEY_HOST);
    hf_put_id(w, &manifest->host);
    hf_put_key(w, KEY_SEQ);
    hf_put_uint(w, manifest->seq);
    hf_put_key(w, KEY_SOURCE);
    hf_put_id(w, &manifest->source);
    hf_put_key(w, KEY_TIME);
    hf_put_int(w, manifest->time_ns);
}

enum hf_code manifest_encode(struct hf_writer *w, struct manifest *manifest,
                             const struct hf_signer *signer, struct hf_err *err)
{
    uint8_t body[MANIFEST_SIZE_MAX];
    struct hf_writer b = hf_writer_init(body, sizeof body - HF_SIGNED_OVERHEAD);

    manifest->owner = *hf_signer_public(signer);
    hf_public_key_id(&manifest->owner, &manifest->vault);
    put_body(&b, manifest);
    if (b.failed) return hf_fail(err, HF_TOO_LARGE, "manifest: %zu bytes", b.wanted);
    return hf_put_signed(w, signer, MANIFEST_LABEL, body, hf_writer_size(&b), err);
}

/* Reads only what is needed to check the signature: who claims to have made it. */
static bool signature_valid(const uint8_t *body, size_t n, const struct hf_signature *sig)
{
    struct hf_reader r = hf_reader_init(body, n);
    struct hf_map m = hf_get_header(&r, KEYS_MAX, HF_TYPE_MANIFEST, MANIFEST_VERSION);
    struct hf_public_key owner;
    struct hf_id vault, owner_id;
    int64_t key;

    if (!hf_map_next(&r, &m, &key) || key != KEY_VAULT) return false;
    hf_get_id(&r, &vault);
    if (!hf_map_next(&r, &m, &key) || key != KEY_EPOCH) return false;
    (void)hf_get_u32(&r);
    if (!hf_map_next(&r, &m, &key) || key != KEY_OWNER) return false;
    hf_get_fixed(&r, owner.b, sizeof owner.b);
    if (!hf_reader_ok(&r)) return false;
    hf_public_key_id(&owner, &owner_id);
    return hf_id_equal(&owner_id, &vault) &&
           hf_verify(&owner, MANIFEST_LABEL, body, n, sig);
}

/* Numbers that only together make a shape. */
struct coding {
    uint64_t block_size, code, matrix;
    uint32_t k, n, root_count;
};

static uint32_t get_roots(struct hf_reader *r, struct manifest *manifest)
{
    uint32_t count = hf_get_array(r, CODE_FRAGMENTS_MAX, ROOT_ENCODED_SIZE);

    for (uint32_t i = 0; i < count; i++)
        hf_get_id(r, &manifest->roots[i]);
    return count;
}

static void get_exactly(struct hf_reader *r, uint64_t value)
{
    if (hf_get_uint(r, value) != value) hf_reader_fail(r);
}

/* Reads the value of `key` into the manifest, or into *c. */
static void get_field(struct hf_reader *r, int64_t key, struct manifest *manifest,
                      struct coding *c)
{
    switch (key) {
    case KEY_VAULT: hf_get_id(r, &manifest->vault); break;
    case KEY_EPOCH: manifest->epoch = hf_get_u32(r); break;
    case KEY_OWNER: hf_get_fixed(r, manifest->owner.b, sizeof manifest->owner.b); break;
    case KEY_BLOCK: hf_get_id(r, &manifest->block); break;
    case KEY_BLOCK_SIZE: c->block_size = hf_get_uint(r, CODE_BLOCK_SIZE_MAX); break;
    case KEY_CODE: c->code = hf_get_uint(r, MANIFEST_REED_SOLOMON_256); break;
    case KEY_MATRIX: c->matrix = hf_get_uint(r, MANIFEST_MATRIX_CAUCHY); break;
    case KEY_HASH: get_exactly(r, HASH_SHA256); break;
    case KEY_LEAF_SIZE: get_exactly(r, HF_LEAF_SIZE); break;
    case KEY_GENERATION: manifest->generation = hf_get_u32(r); break;
    case KEY_K: c->k = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX); break;
    case KEY_N: c->n = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX); break;
    case KEY_ROOTS: c->root_count = get_roots(r, manifest); break;
    case KEY_HOST: hf_get_id(r, &manifest->host); break;
    case KEY_SEQ: manifest->seq = hf_get_u64(r); break;
    case KEY_SOURCE: hf_get_id(r, &manifest->source); break;
    case KEY_TIME: manifest->time_ns = hf_get_int(r); break;
    default: hf_map_other(r, key);
    }
}

static bool get_body(const uint8_t *body, size_t n, struct manifest *manifest)
{
    struct hf_reader r = hf_reader_init(body, n);
    struct hf_map m = hf_get_header(&r, KEYS_MAX, HF_TYPE_MANIFEST, MANIFEST_VERSION);
    struct code_shape *shape = &manifest->shape;
    struct coding c = {0};
    struct hf_err ignored;
    int64_t key;

    memset(manifest, 0, sizeof *manifest);
    while (hf_map_next(&r, &m, &key))
        get_field(&r, key, manifest, &c);
    hf_map_require(&r, &m, KEYS_REQUIRED);
    if (!hf_reader_done(&r) || manifest->generation == 0 || c.root_count != c.n)
        return false;
    if (code_shape_init(shape, (size_t)c.block_size, c.k, c.n, &ignored) != HF_OK)
        return false;
    return shape->k == c.k && code_of(shape) == c.code && matrix_of(shape) == c.matrix;
}

enum hf_code manifest_parse(const void *bytes, size_t n, struct manifest *manifest,
                            struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_signature sig;
    const uint8_t *body;
    size_t body_size;

    if (n > MANIFEST_SIZE_MAX) return hf_fail(err, HF_CORRUPT, "manifest: %zu bytes", n);
    body = hf_get_signed(&r, MANIFEST_SIZE_MAX, &body_size, &sig);
    if (body == NULL || !hf_reader_done(&r))
        return hf_fail(err, HF_CORRUPT, "manifest: %zu bytes do not parse", n);
    if (!signature_valid(body, body_size, &sig))
        return hf_fail(err, HF_CORRUPT, "manifest: not signed by its vault's owner");
    if (!get_body(body, body_size, manifest))
        return hf_fail(err, HF_CORRUPT, "manifest: %zu signed bytes do not parse",
                       body_size);
    return HF_OK;
}

bool manifest_same_coding(const struct manifest *a, const struct manifest *b)
{
    if (!hf_id_equal(&a->vault, &b->vault) || !hf_id_equal(&a->block, &b->block) ||
        a->generation != b->generation || a->shape.block_size != b->shape.block_size ||
        a->shape.k != b->shape.k || a->shape.n != b->shape.n)
        return false;
    return memcmp(a->roots, b->roots, a->shape.n * sizeof a->roots[0]) == 0;
}

bool fragment_verify(const struct manifest *manifest, uint32_t index, const void *bytes,
                     size_t n)
{
    struct hf_id root;

    if (index >= manifest->shape.n || n != manifest->shape.fragment_size) return false;
    hf_tree_hash(bytes, n, &root);
    return hf_id_equal(&root, &manifest->roots[index]);
}
