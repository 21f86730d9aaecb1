/* quick_hash.h - recognising a chunk that was read before, at four times the speed of its
 * id.
 *
 * GMAC (NIST SP 800-38D) under a key of the vault as a universal hash: two chunks of 1 MiB
 * that differ have the same with a probability of 2^-112, whoever chose them, as long as
 * the key and the hashes are secret; so what goes into the index is their SHA-256.  It
 * decides only whether a chunk of this host is one that this host stored; what names a
 * chunk, and what every reader checks, is its id. */
#ifndef HOLDFAST_SNAPSHOT_QUICK_HASH_H
#define HOLDFAST_SNAPSHOT_QUICK_HASH_H

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUICK_SIZE_MIN 65536u /* for less the id is as quick */

struct quick_hash; /* opaque; one per thread */

struct quick_hash *quick_hash_new(const uint8_t key[static 32]); /* NULL: out of memory */
void quick_hash_free(struct quick_hash *hash);                   /* NULL is allowed */
/* False: the library failed; *out is unspecified. */
bool quick_hash_of(struct quick_hash *hash, const uint8_t *bytes, size_t n,
                   struct hf_id *out);

#endif
