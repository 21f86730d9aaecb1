/* restore_walk.h - going through a snapshot's trees: directories are made here, everything
 * else becomes tasks of a queue. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_WALK_H
#define HOLDFAST_SNAPSHOT_RESTORE_WALK_H

#include "snapshot/lookup.h"
#include "snapshot/restore_queue.h"

/* Goes through what `lookup` found and queues it.  HF_OK also when some of it failed.
 * HF_CORRUPT: there is more than the snapshot's totals say.  HF_CANCELLED, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code restore_walk(struct restore_queue *queue,
                                        const struct lookup *lookup, struct hf_err *err);

#endif
