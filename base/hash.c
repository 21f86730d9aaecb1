/* The low-level SHA-256 calls of OpenSSL are used on purpose: they need no context from
 * the heap, cannot fail, and fetching an algorithm costs more than hashing 64 bytes. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "base/hash.h"

#include "base/hash_leaves.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct hf_sha256),
              "struct hf_sha256 is too small");

static SHA256_CTX *context(struct hf_sha256 *h)
{
    return (SHA256_CTX *)(void *)h->state;
}

void hf_sha256_init(struct hf_sha256 *h)
{
    (void)SHA256_Init(context(h));
}

void hf_sha256_add(struct hf_sha256 *h, const void *bytes, size_t n)
{
    (void)SHA256_Update(context(h), bytes, n);
}

void hf_sha256_final(struct hf_sha256 *h, struct hf_id *out)
{
    (void)SHA256_Final(out->b, context(h));
}

void hf_sha256(const void *bytes, size_t n, struct hf_id *out)
{
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, out);
}

void hf_hmac_sha256(const uint8_t key[static 32], const void *bytes, size_t n,
                    struct hf_id *out)
{
    uint8_t pad[SHA256_CBLOCK];
    struct hf_sha256 h;

    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < 32; i++)
        pad[i] ^= key[i];
    hf_sha256_init(&h);
    hf_sha256_add(&h, pad, sizeof pad);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, out);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hf_sha256_init(&h);
    hf_sha256_add(&h, pad, sizeof pad);
    hf_sha256_add(&h, out->b, sizeof out->b);
    hf_sha256_final(&h, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(&h, sizeof h);
}

void hf_hkdf_sha256(const uint8_t secret[static 32], const char *label, uint8_t *out,
                    size_t n)
{
    static const uint8_t no_salt[32];
    uint8_t block[32 + 96 + 1]; /* T(i-1) || info || i */
    size_t label_size = strlen(label);
    size_t t_size = 0;
    struct hf_id prk;
    struct hf_id t;

    assert(label_size <= 96 && n <= 255 * sizeof t.b);
    hf_hmac_sha256(no_salt, secret, 32, &prk);
    for (uint8_t i = 1; n > 0; i++) {
        size_t take = n < sizeof t.b ? n : sizeof t.b;

        memcpy(block + t_size, label, label_size);
        block[t_size + label_size] = i;
        hf_hmac_sha256(prk.b, block, t_size + label_size + 1, &t);
        memcpy(block, t.b, sizeof t.b);
        t_size = sizeof t.b;
        memcpy(out, t.b, take);
        out += take;
        n -= take;
    }
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(&prk, sizeof prk);
    OPENSSL_cleanse(&t, sizeof t);
}

void hf_leaf_hash(const void *bytes, size_t n, struct hf_id *out)
{
    struct hash_leaf leaf = {.bytes = bytes, .size = n, .hash = out};

    hash_leaves(&leaf, 1);
}

void hf_node_hash(const struct hf_id *left, const struct hf_id *right, struct hf_id *out)
{
    uint8_t node[1 + 2 * HF_ID_SIZE];

    node[0] = 0x01;
    memcpy(node + 1, left->b, HF_ID_SIZE);
    memcpy(node + 1 + HF_ID_SIZE, right->b, HF_ID_SIZE);
    hf_sha256(node, sizeof node, out);
}

/* The leaves of n bytes, to be hashed to hashes[0..]. */
static size_t cut_leaves(const uint8_t *p, size_t n, struct hf_id *hashes,
                         struct hash_leaf *leaves)
{
    size_t count = 0;

    do {
        size_t size = n < HF_LEAF_SIZE ? n : HF_LEAF_SIZE;

        leaves[count] =
            (struct hash_leaf){.bytes = p, .size = size, .hash = &hashes[count]};
        count++;
        p += size;
        n -= size;
    } while (n > 0);
    return count;
}

size_t hf_leaf_hashes(const void *bytes, size_t n,
                      struct hf_id hashes[static HF_LEAVES_MAX])
{
    struct hash_leaf leaves[HF_LEAVES_MAX];
    size_t count;

    assert(n <= (size_t)HF_LEAVES_MAX * HF_LEAF_SIZE);
    count = cut_leaves(bytes, n, hashes, leaves);
    hash_leaves(leaves, count);
    return count;
}

/* RFC 6962 splits at the largest power of two below the count, so complete subtrees stand
 * from left to right in falling size: the stack holds one root for each bit of the number
 * of leaves so far, and at the end they are joined from the right. */
void hf_tree_root(const struct hf_id *leaves, size_t count, struct hf_id *root)
{
    struct hf_id stack[16];
    size_t depth = 0;

    assert(count > 0 && count <= HF_LEAVES_MAX);
    for (size_t i = 0; i < count; i++) {
        stack[depth++] = leaves[i];
        for (size_t done = i + 1; done % 2 == 0; done /= 2) {
            depth--;
            hf_node_hash(&stack[depth - 1], &stack[depth], &stack[depth - 1]);
        }
    }
    for (; depth > 1; depth--)
        hf_node_hash(&stack[depth - 2], &stack[depth - 1], &stack[depth - 2]);
    *root = stack[0];
}

void hf_tree_hash(const void *bytes, size_t n, struct hf_id *root)
{
    struct hf_id hashes[HF_LEAVES_MAX];

    hf_tree_root(hashes, hf_leaf_hashes(bytes, n, hashes), root);
}

static size_t leaf_count(size_t n)
{
    return n == 0 ? 1 : (n + HF_LEAF_SIZE - 1) / HF_LEAF_SIZE;
}

void hf_tree_hash_many(const struct hf_tree_input *inputs, size_t count)
{
    struct hf_id hashes[HF_LEAVES_MAX];
    struct hash_leaf leaves[HF_LEAVES_MAX];

    for (size_t first = 0, last; first < count; first = last) {
        size_t n = 0;
        size_t at = 0;

        for (last = first; last < count; last++) { /* as many as fit, and at least one */
            size_t more = leaf_count(inputs[last].size);

            assert(more <= HF_LEAVES_MAX);
            if (n + more > HF_LEAVES_MAX) break;
            n += cut_leaves(inputs[last].bytes, inputs[last].size, hashes + n, leaves + n);
        }
        hash_leaves(leaves, n);
        for (size_t i = first; i < last; i++) {
            hf_tree_root(hashes + at, leaf_count(inputs[i].size), inputs[i].root);
            at += leaf_count(inputs[i].size);
        }
    }
}

bool hf_equal_ct(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
