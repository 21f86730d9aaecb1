#include "erasure/proof.h"

#include "base/tree_hash.h"

#include <assert.h>
#include <string.h>

/* The tree of RFC 6962 is the one that pairs nodes level by level from the left and lets
 * an odd last one rise unchanged; so a walk over levels needs no recursion. */

bool proof_run_valid(const struct proof_run *run)
{
    return run->total <= HF_LEAVES_MAX && run->first < run->total && run->count >= 1 &&
           run->count <= run->total - run->first;
}

/* The level above the `count` nodes at `nodes`, in place; returns its count. */
static size_t rise(struct hf_id *nodes, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        hf_node_hash(&nodes[i], &nodes[i + 1], &nodes[i / 2]);
    if (count % 2 != 0) nodes[count / 2] = nodes[count - 1];
    return (count + 1) / 2;
}

size_t proof_make(const struct hf_id *leaves, const struct proof_run *run,
                  struct hf_id hashes[static PROOF_HASHES_MAX])
{
    struct hf_id nodes[HF_LEAVES_MAX];
    size_t low = run->first, high = run->first + run->count, hash_count = 0;

    assert(proof_run_valid(run));
    memcpy(nodes, leaves, run->total * sizeof *leaves);
    for (size_t width = run->total; width > 1;) {
        if (low % 2 != 0) hashes[hash_count++] = nodes[low - 1];
        if (high % 2 != 0 && high < width) hashes[hash_count++] = nodes[high];
        low /= 2;
        high = (high + 1) / 2;
        width = rise(nodes, width);
    }
    return hash_count;
}

bool proof_verify(const struct hf_id *leaves, const struct proof_run *run,
                  const struct hf_id *hashes, size_t hash_count, const struct hf_id *root)
{
    struct hf_id nodes[HF_LEAVES_MAX + 2]; /* the run, and a sibling on either side */
    size_t low, count, used = 0;

    if (!proof_run_valid(run)) return false;
    low = run->first;
    count = run->count;
    memcpy(nodes, leaves, count * sizeof *leaves);
    for (size_t width = run->total; width > 1; width = (width + 1) / 2) {
        if (low % 2 != 0) {
            if (used == hash_count) return false;
            memmove(nodes + 1, nodes, count * sizeof *nodes);
            nodes[0] = hashes[used++];
            low--;
            count++;
        }
        if ((low + count) % 2 != 0 && low + count < width) {
            if (used == hash_count) return false;
            nodes[count++] = hashes[used++];
        }
        count = rise(nodes, count);
        low /= 2;
    }
    return used == hash_count && hf_id_equal(&nodes[0], root);
}
