/* manifest.h - the owner-signed list of a block's fragment hashes.
 *
 * With it a holder verifies its fragment before it acknowledges, a reader every fragment
 * by itself, and anybody can repair without keys and check what was made.
 * Layout: docs/formats.md, Manifest. */
#ifndef HOLDFAST_ERASURE_MANIFEST_H
#define HOLDFAST_ERASURE_MANIFEST_H

#include "base/sign.h"
#include "erasure/code.h"

#include <stdbool.h>

#define MANIFEST_LABEL    "hf1/manifest"
#define MANIFEST_SIZE_MAX 2048u /* bytes, encoded and signed, of n = CODE_FRAGMENTS_MAX */

/* Written to disk: never renumbered. */
enum manifest_code { MANIFEST_REPLICATION = 1, MANIFEST_REED_SOLOMON_256 = 2 };
enum manifest_matrix { MANIFEST_MATRIX_NONE = 0, MANIFEST_MATRIX_CAUCHY = 1 };

struct manifest {
    struct hf_id vault; /* SHA-256 of the owner's first key */
    uint32_t epoch;     /* of the key that signed */
    struct hf_public_key owner;
    struct hf_id block;                     /* block id */
    struct code_shape shape;                /* block size, k, n */
    uint32_t generation;                    /* of the block's coding, from 1 */
    struct hf_id roots[CODE_FRAGMENTS_MAX]; /* [0, n): tree hash of each fragment */
    struct hf_id host;                      /* that wrote the block */
    uint64_t seq;                           /* of the head that is being built */
    struct hf_id source; /* node that the block came from: never a holder */
    int64_t time_ns;     /* since 1970, UTC */
};

/* Sets block, shape and roots; the other fields are the caller's to fill.  `leaves` are
 * the hashes of the block's leaves (hf_leaf_hashes), `fragments` what coder_encode gave:
 * only the parity among them is hashed.  Any thread. */
void manifest_build(struct manifest *manifest, const struct code_shape *shape,
                    const struct hf_id *leaves, const uint8_t *const *fragments);

/* Signs and encodes to w; sets vault and owner to the signer's.  HF_TOO_LARGE: w is too
 * small (MANIFEST_SIZE_MAX never is).  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code manifest_encode(struct hf_writer *w, struct manifest *manifest,
                                           const struct hf_signer *signer,
                                           struct hf_err *err);

/* Verifies and parses n bytes.  HF_CORRUPT: malformed, of a code that is not ours, or not
 * signed by the key whose hash is the vault; *manifest is then unspecified. */
HF_MUST_CHECK enum hf_code manifest_parse(const void *bytes, size_t n,
                                          struct manifest *manifest, struct hf_err *err);

/* True when fragments of the two can be decoded together: same block, shape and roots. */
bool manifest_same_coding(const struct manifest *a, const struct manifest *b);

/* True when the n bytes are fragment `index` of the manifest.  All but the manifest may
 * come from outside. */
bool fragment_verify(const struct manifest *manifest, uint32_t index, const void *bytes,
                     size_t n);

#endif
