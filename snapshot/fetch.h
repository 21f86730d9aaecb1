/* fetch.h - reading chunks: reference -> sealed frame -> verified plaintext.
 *
 * Keeps the frames opened last, because the chunks of small files share them.  Any
 * thread may fetch; two threads that want one frame open it once each at worst. */
#ifndef HOLDFAST_SNAPSHOT_FETCH_H
#define HOLDFAST_SNAPSHOT_FETCH_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/frame.h"
#include "snapshot/reference.h"

#include <stddef.h>
#include <stdint.h>

#define FETCH_FRAMES_MAX 64u /* opened frames kept: at most this many MiB */

struct fetcher; /* opaque */

/* `store` is borrowed and outlives the fetcher, which outlives what was fetched.  Keeps
 * `frames` (1..FETCH_FRAMES_MAX) opened frames.  NULL: out of memory. */
struct fetcher *fetcher_new(struct block_store *store, size_t frames);
void fetcher_free(struct fetcher *fetcher);

/* A chunk in an opened frame, which it keeps alive until fetched_done. */
struct fetched {
    const uint8_t *bytes;
    size_t size;
    struct fetched_frame *frame; /* opaque */
};

/* Reads and verifies chunk `ref`; the bytes hash to ref->id when this returns HF_OK.
 * Errors of block_store_get, and HF_CORRUPT (named by block and chunk).  On failure
 * *fetched needs no release. */
HF_MUST_CHECK enum hf_code fetch_chunk(struct fetcher *fetcher, enum frame_role role,
                                       const struct chunk_ref *ref, struct fetched *fetched,
                                       struct hf_err *err);
/* The same by one who will ask for all of these, in any order: whenever a frame is opened,
 * those that are in it are verified together, which is quicker than one by one. */
struct fetch_company {
    const struct chunk_ref *const *refs;
    size_t count;
};
HF_MUST_CHECK enum hf_code fetch_chunk_among(struct fetcher *fetcher, enum frame_role role,
                                             const struct chunk_ref *ref,
                                             const struct fetch_company *company,
                                             struct fetched *fetched, struct hf_err *err);
/* Releases it; a zeroed struct is allowed. */
void fetched_done(struct fetched *fetched);

#endif
