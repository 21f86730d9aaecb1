/* shelf.h - fragments and records in a segment log: what a node holds for others.
 *
 * What is damaged on this disk is logged once, never given out as good, and replaced when
 * it is stored again.
 *
 * All calls block; any thread. */
#ifndef HOLDFAST_DAEMON_SHELF_H
#define HOLDFAST_DAEMON_SHELF_H

#include "blockstore/segment_log.h"
#include "dht/action.h"

#define SHELF_BYTES_MAX ((size_t)32 << 20) /* loaded and not yet released */

struct shelf; /* opaque */

/* `log` is borrowed, opened for writing.  NULL: no memory. */
struct shelf *shelf_new(struct segment_log *log);
void shelf_free(struct shelf *shelf); /* NULL is allowed */

/* Stores a fragment with its manifest, or a record.  A fragment that is here already,
 * undamaged and under the same manifest, is not written again; a record never replaces a
 * higher one, whoever else stores at the same time.  HF_OK: durable.  HF_EXISTS: a higher
 * record, or another one of the same numbers, stands there.  HF_CORRUPT: the manifest or
 * record does not verify, or the index is damaged.  HF_NO_SPACE, HF_IO, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code shelf_store(struct shelf *shelf, const struct dht_item *item,
                                       struct hf_err *err);

/* Loads what `wanted` names to *loaded: a fragment (of generation 0: the newest that is
 * not damaged), the record of one slot, all records of a vault, or which of a list of
 * blocks are here.  Its buffers are the caller's, who gives it back with shelf_release.
 * HF_NOT_FOUND.  HF_CORRUPT: it is here, and damaged.  HF_INCOMPLETE: a list from which
 * something may be missing; or not found in a store of which a part is damaged.  HF_IO,
 * HF_NO_MEMORY.  Waits while SHELF_BYTES_MAX are loaded. */
HF_MUST_CHECK enum hf_code shelf_load(struct shelf *shelf, const struct dht_item *wanted,
                                      struct dht_item *loaded, struct hf_err *err);

/* Drops the buffers of an item that was loaded (or is zero). */
void shelf_release(struct shelf *shelf, struct dht_item *loaded);

/* From now on shelf_load does not wait any more: nobody will release. */
void shelf_end(struct shelf *shelf);

#endif
