/* code.h - a block as n fragments of which any k rebuild it.
 *
 * Systematic Reed-Solomon over GF(2^8) (polynomial 0x11d) with ISA-L's Cauchy matrix:
 * byte b of parity fragment k+i is the sum over j < k of data fragment j's byte b times
 * 1/((k+i) xor j).  Every square part of a Cauchy matrix inverts, so every pattern of k
 * survivors decodes (Bloemer et al., ICSI TR-95-048; the Vandermonde matrix of the same
 * library does not hold that promise).  k = 1 is replication: every fragment is the block.
 *
 * A fragment is a whole number of leaves (HF_LEAF_SIZE), ceil(leaves / k) of them; data
 * fragment j is the j-th slice of the block, the last ones filled up with zeros.
 *
 * The library writes a header of its own before every payload and trusts the one that
 * it is given.  It never sees bytes from outside there: headers are made here, by
 * itself, and stay here.  Its work goes through it a strip of each fragment at a time,
 * so that its copies stay in the cache and cost no page faults.
 *
 * What is decoded was verified before (manifest.h): wrong bytes in are wrong bytes out. */
#ifndef HOLDFAST_ERASURE_CODE_H
#define HOLDFAST_ERASURE_CODE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define CODE_BLOCK_SIZE_MAX 4194304u /* bytes: 4 MiB */
#define CODE_FRAGMENTS_MAX  32u      /* n; the library's own limit */

/* How a block is cut.  Made by code_shape_init; then read only. */
struct code_shape {
    size_t block_size;    /* bytes; a multiple of HF_LEAF_SIZE */
    size_t fragment_size; /* bytes; a multiple of HF_LEAF_SIZE */
    uint32_t k;           /* fragments that suffice */
    uint32_t n;           /* fragments in all */
};

/* The shape of a block of block_size bytes cut k of n; a k above the count of leaves is
 * lowered to it.  HF_INVALID: the size is not a multiple of HF_LEAF_SIZE between that and
 * CODE_BLOCK_SIZE_MAX, or not 1 <= k <= n <= CODE_FRAGMENTS_MAX, or n = k > 1 (no parity
 * at all).  Any thread. */
HF_MUST_CHECK enum hf_code code_shape_init(struct code_shape *shape, size_t block_size,
                                           uint32_t k, uint32_t n, struct hf_err *err);

/* Bytes that coder_encode needs to work in: the padded data fragments and the parity. */
size_t code_work_size(const struct code_shape *shape);

struct coder; /* opaque: the library's instances, one for each (k, n), made when needed */

/* NULL: out of memory. */
struct coder *coder_new(void);
/* No call may be in progress.  NULL is allowed. */
void coder_free(struct coder *coder);

/* The calls below may be made by any number of threads at once on one coder.  Each
 * returns HF_INVALID for arguments that contradict each other, HF_NO_MEMORY, and
 * HF_UNAVAILABLE when the library's backend is not installed. */

/* Cuts `block` (shape->block_size bytes) and computes the parity.  fragments[i] for
 * i < n then points to fragment i, shape->fragment_size bytes, in `block` or in `work`
 * (code_work_size bytes, caller's, reusable): valid as long as both are.  On failure
 * fragments and work are unspecified. */
HF_MUST_CHECK enum hf_code coder_encode(struct coder *coder, const struct code_shape *shape,
                                        const uint8_t *block, uint8_t *work,
                                        const uint8_t *fragments[static CODE_FRAGMENTS_MAX],
                                        struct hf_err *err);

/* A fragment that was verified: shape->fragment_size bytes, borrowed. */
struct code_piece {
    const uint8_t *bytes;
    uint32_t index; /* < n */
};

/* Rebuilds the block (shape->block_size bytes, caller's) from shape->k pieces of
 * distinct index, in any order.  On failure block is unspecified. */
HF_MUST_CHECK enum hf_code coder_decode(struct coder *coder, const struct code_shape *shape,
                                        const struct code_piece *pieces, uint8_t *block,
                                        struct hf_err *err);

/* Rebuilds fragment `index` (shape->fragment_size bytes, caller's) from shape->k pieces
 * of distinct index: the very bytes that coder_encode made.  On failure fragment is
 * unspecified. */
HF_MUST_CHECK enum hf_code coder_regenerate(struct coder *coder,
                                            const struct code_shape *shape,
                                            const struct code_piece *pieces, uint32_t index,
                                            uint8_t *fragment, struct hf_err *err);

#endif
