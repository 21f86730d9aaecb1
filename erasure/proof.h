/* proof.h - RFC 6962 audit paths: that a leaf, or a run of leaves, belongs to a tree.
 *
 * The proof of a run is what its audit path has to tell: level by level from the leaves
 * up, the node left of the run if that is its sibling, then the one right of it.  For a
 * run of one leaf that is the audit path of RFC 6962, 2.1.1.
 *
 * Cannot fail on memory; any thread. */
#ifndef HOLDFAST_ERASURE_PROOF_H
#define HOLDFAST_ERASURE_PROOF_H

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>

#define PROOF_HASHES_MAX 18u /* two on each of the levels of HF_LEAVES_MAX leaves */

/* Leaves [first, first + count) of a tree of `total`. */
struct proof_run {
    size_t first, count, total;
};

/* True when 1 <= count, the run is inside the tree, and total <= HF_LEAVES_MAX. */
bool proof_run_valid(const struct proof_run *run);

/* Writes the proof of a valid run to hashes[]; returns how many.  `leaves` are the hashes
 * of all run->total leaves. */
size_t proof_make(const struct hf_id *leaves, const struct proof_run *run,
                  struct hf_id hashes[static PROOF_HASHES_MAX]);

/* True when the run->count leaf hashes at `leaves` and the proof give `root`.  All
 * arguments may come from outside, except `root` and run->total, which the manifest
 * says. */
bool proof_verify(const struct hf_id *leaves, const struct proof_run *run,
                  const struct hf_id *hashes, size_t hash_count, const struct hf_id *root);

#endif
