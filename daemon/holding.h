/* holding.h - a node's own store of fragments and records, off the loop thread.
 *
 * Workers use the disk (shelf.h), many at once, so that puts share a sync; completions come
 * back on the loop thread, in any order.
 *
 * Bounded: no more than HOLDING_JOBS_MAX jobs may be under way (the callers' duty: dht/ has
 * no more); what is loaded and not yet delivered is at most SHELF_BYTES_MAX; what is being
 * stored is the caller's (dht/: DHT_JOB_BYTES_MAX).  Loop thread only. */
#ifndef HOLDFAST_DAEMON_HOLDING_H
#define HOLDFAST_DAEMON_HOLDING_H

#include "blockstore/segment_log.h"
#include "daemon/loop.h"
#include "dht/action.h"

#define HOLDING_THREADS  16u
#define HOLDING_JOBS_MAX DHT_JOBS_MAX

struct holding; /* opaque */

struct holding_result {
    uint64_t tag;
    bool stored; /* the end of a store; else of a load */
    /* Store: HF_OK durable; HF_EXISTS a higher record, or another of the same numbers, is
     * there; HF_NO_SPACE, HF_IO, HF_CORRUPT (what was given, or the index), HF_NO_MEMORY.
     * Load: HF_OK; HF_NOT_FOUND; HF_CORRUPT it is here and damaged; HF_INCOMPLETE a list
     * from which something damaged may be missing, or not found in a store that may have
     * held it; HF_IO, HF_NO_MEMORY. */
    enum hf_code code;
    const struct dht_item *item; /* loaded; borrowed.  NULL: nothing */
};

/* May start further jobs. */
typedef void holding_done_fn(void *arg, const struct holding_result *result);

/* loop and log are borrowed.  NULL: no memory, no threads. */
struct holding *holding_new(struct loop *loop, struct segment_log *log,
                            holding_done_fn *done, void *arg);
/* Lets jobs that have begun run to their end; nobody is told of it.  NULL is allowed. */
void holding_free(struct holding *holding);

/* Stores a fragment with its manifest, or a record.  References to the item's buffers are
 * taken. */
void holding_store(struct holding *holding, uint64_t tag, const struct dht_item *item);

/* Loads what the item names: a fragment (of generation 0: the newest that is not damaged),
 * a record, all records of a vault, or the presence of a list of blocks. */
void holding_load(struct holding *holding, uint64_t tag, const struct dht_item *item);

#endif
