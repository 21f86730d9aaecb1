#include "base/tree_hash.h"

#include "base/hash.h"

#include <assert.h>
#include <string.h>

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
