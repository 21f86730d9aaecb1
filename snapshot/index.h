/* index.h - which chunks of this host are stored already, and where.
 *
 * An LMDB environment in the cache directory; only ever a cache: it may be deleted at any
 * time.  LMDB has no page checksums, so each value carries its own; a value that fails
 * it is not there.  One process (the vault's writer lock) opens it. */
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
 * belongs to another vault or host, is thrown away and begun anew.  *fresh: it has not been
 * said to be complete, so it lacks what earlier runs stored (index_rebuild.h). */
HF_MUST_CHECK enum hf_code index_open(const char *dir, const struct hf_id *vault,
                                      const struct hf_id *host, struct index **index,
                                      bool *fresh, struct hf_err *err);
/* NULL is allowed.  No call may be in progress. */
void index_close(struct index *index);

/* Says, durably, that it holds all that there is.  HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code index_complete(struct index *index, struct hf_err *err);

/* True, and *ref, when the chunk is stored.  Any thread. */
bool index_find(struct index *index, const struct hf_id *chunk, struct chunk_ref *ref);

/* The same for many at once: hits[i] is about ids[i], and left alone if found already.  Any
 * thread. */
struct index_hit {
    bool found;
    struct chunk_ref ref;
};
void index_find_many(struct index *index, const struct hf_id *ids, size_t count,
                     struct index_hit *hits);

/* Chunks that were read more than once are also found by their quick hash (quick_hash.h).
 */
struct index_quick {
    struct hf_id quick, chunk;
};
/* Where rows[i].quick is known, sets rows[i].chunk and hits[i].  Any thread. */
void index_find_quick(struct index *index, struct index_quick *rows, size_t count,
                      struct index_hit *hits);
/* Any thread.  HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code index_add_quick(struct index *index,
                                           const struct index_quick *rows, size_t count,
                                           struct hf_err *err);

/* Notes chunks whose blocks the store has acknowledged, durably (many at once
 * are cheaper); sorts refs.  Any thread.  HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code index_add(struct index *index, struct chunk_ref *refs,
                                     size_t count, struct hf_err *err);

/* True for a frame of which the last snapshot refers to less than a fifth: what is still
 * wanted of it is to be stored anew, and is not found by index_find.  Any thread. */
bool index_frame_sparse(const struct index *index, const struct frame_ref *frame);
/* `dead` more bytes of the frame are no longer referred to by the newest snapshot, or, if
 * negative, are so again.  Any thread. */
void index_frame_shift(struct index *index, const struct frame_ref *frame, int64_t dead);
/* After a run that has stored anew what was wanted of sparse frames: saves the counts. */
HF_MUST_CHECK enum hf_code index_frames_done(struct index *index, struct hf_err *err);

/* Asks the store, in batches, for every block that the index names, and takes out those
 * that are gone, with their chunks: nothing will refer to them again.  *lost counts the
 * blocks.  HF_UNAVAILABLE: nothing is known; the index is unchanged.  Before the first
 * index_find and index_add. */
HF_MUST_CHECK enum hf_code index_confirm(struct index *index, struct block_store *store,
                                         size_t *lost, struct hf_err *err);

/* True when the last index_confirm found this block gone. */
bool index_block_lost(const struct index *index, const struct hf_id *block);

#endif
