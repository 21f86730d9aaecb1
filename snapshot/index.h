/* index.h - which chunks of this host are stored already, and where.
 *
 * An LMDB environment in the cache directory; only ever a cache: it may be deleted at any
 * time.  LMDB has no page checksums, so each value carries its own; a value that fails
 * it is not there.  One writer process (the vault's writer lock); one thread. */
#ifndef HOLDFAST_SNAPSHOT_INDEX_H
#define HOLDFAST_SNAPSHOT_INDEX_H

#include "base/err.h"
#include "base/id.h"
#include "blockstore/block_store.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index; /* opaque */

/* Opens dir/index-<vault>, making what is missing.  An index that cannot be read, or that
 * belongs to another vault or host, is thrown away and begun anew: *fresh tells. */
HF_MUST_CHECK enum hf_code index_open(const char *dir, const struct hf_id *vault,
                                      const struct hf_id *host, struct index **index,
                                      bool *fresh, struct hf_err *err);
/* Drops what was added and not committed.  NULL is allowed. */
void index_close(struct index *index);

/* True, and *ref, when the chunk is stored.  Sees what was added but not committed. */
bool index_find(struct index *index, const struct hf_id *chunk, struct chunk_ref *ref);

/* Notes chunks of a block that the store has acknowledged.  HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code index_add(struct index *index, const struct chunk_ref *refs,
                                     size_t count, struct hf_err *err);
HF_MUST_CHECK enum hf_code index_commit(struct index *index, struct hf_err *err);

/* Asks the store, in batches, for every block that the index names, and takes out those
 * that are gone, with their chunks: nothing will refer to them again.  *lost counts the
 * blocks.  HF_UNAVAILABLE: nothing is known; the index is unchanged. */
HF_MUST_CHECK enum hf_code index_confirm(struct index *index, struct block_store *store,
                                         size_t *lost, struct hf_err *err);

/* True when the last index_confirm found this block gone. */
bool index_block_lost(const struct index *index, const struct hf_id *block);

#endif
