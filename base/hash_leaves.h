/* hash_leaves.h - the leaves of RFC 6962 trees, many at a time: a core with wide registers
 * hashes eight or sixteen messages in the time of two or three (Gueron and Krasnov,
 * "Simultaneous hashing of multiple messages", 2012).  The lanes are libipsec-mb's, where
 * there is one; else, and for few leaves, it is OpenSSL.
 *
 * Cannot fail.  Any thread; each has lanes of its own, 0.7 MiB, from its first use. */
#ifndef HOLDFAST_BASE_HASH_LEAVES_H
#define HOLDFAST_BASE_HASH_LEAVES_H

#include "base/id.h"

#include <stddef.h>

#define HF_LEAF_SIZE 16384u /* bytes */

struct hash_leaf {
    const void *bytes;
    size_t size;        /* at most HF_LEAF_SIZE goes to the lanes */
    struct hf_id *hash; /* out: H(0x00 || bytes) */
};

void hash_leaves(const struct hash_leaf *leaves, size_t count);

#endif
