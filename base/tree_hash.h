/* tree_hash.h - the RFC 6962 tree hash, which names chunks and blocks: its leaves can be
 * hashed at the same time, in the lanes of one core.
 *
 * Cannot fail.  Any thread. */
#ifndef HOLDFAST_BASE_TREE_HASH_H
#define HOLDFAST_BASE_TREE_HASH_H

#include "base/hash_leaves.h"
#include "base/id.h"

#include <stddef.h>
#include <stdint.h>

#define HF_LEAVES_MAX 512u /* leaves of the largest thing hashed as a tree: 8 MiB */

/* RFC 6962, 2.1: H(0x00 || leaf) and H(0x01 || left || right). */
void hf_leaf_hash(const void *bytes, size_t n, struct hf_id *out);
void hf_node_hash(const struct hf_id *left, const struct hf_id *right, struct hf_id *out);

/* The hashes of n bytes cut into leaves of HF_LEAF_SIZE (the last may be shorter) to
 * hashes[0..]; returns their count, at most HF_LEAVES_MAX.  n = 0 gives one empty leaf. */
size_t hf_leaf_hashes(const void *bytes, size_t n,
                      struct hf_id hashes[static HF_LEAVES_MAX]);

/* The root of the RFC 6962 tree over `count` (1..HF_LEAVES_MAX) leaf hashes. */
void hf_tree_root(const struct hf_id *leaves, size_t count, struct hf_id *root);

/* The root of the tree over n bytes (at most HF_LEAVES_MAX leaves). */
void hf_tree_hash(const void *bytes, size_t n, struct hf_id *root);

struct hf_tree_input {
    const void *bytes;
    size_t size;
    struct hf_id *root; /* out */
};

/* The same for `count` of them, which is faster than one after the other. */
void hf_tree_hash_many(const struct hf_tree_input *inputs, size_t count);

#endif
