/* inventory.h - the lists that a holder answers with: the records of a vault, and what is
 * here of a list of blocks (dht/lists.h).  What is damaged is not in them.
 *
 * All calls block; any thread. */
#ifndef HOLDFAST_DAEMON_INVENTORY_H
#define HOLDFAST_DAEMON_INVENTORY_H

#include "base/buffer.h"
#include "blockstore/segment_log.h"
#include "daemon/damage.h"

/* Make a new list, the caller's, in *list.  HF_INCOMPLETE: the list is there, but something
 * may be missing in it.  Else *list is NULL: HF_NO_MEMORY, HF_CORRUPT (ids do not parse, or
 * the index is damaged). */
HF_MUST_CHECK enum hf_code inventory_records(struct segment_log *log, struct damage *damage,
                                             const struct hf_id *vault,
                                             struct hf_buffer **list, struct hf_err *err);
HF_MUST_CHECK enum hf_code inventory_presence(struct segment_log *log,
                                              struct damage *damage,
                                              const struct hf_id *vault,
                                              const struct hf_buffer *ids,
                                              struct hf_buffer **list, struct hf_err *err);

#endif
