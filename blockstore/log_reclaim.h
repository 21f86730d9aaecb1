/* log_reclaim.h - giving back the space of what nothing names any more.
 *
 * A dead entry is overwritten by a filler of the same size and its payload punched out;
 * a segment with nothing live in it is dropped.  Both only after the checkpoint that no
 * longer names them, the second only when no dead entry is left as it was: a removal
 * may go only after what it removed can no longer come back in a rebuild. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_RECLAIM_H
#define HOLDFAST_BLOCKSTORE_LOG_RECLAIM_H

#include "blockstore/log_map.h"

/* Works off what the last saved checkpoint left dead.  One thread, the writer's.  On
 * failure the rest stays to be done by a later call. */
HF_MUST_CHECK enum hf_code log_reclaim(struct hf_files *files,
                                       const struct log_identity *identity, int segments_fd,
                                       struct log_map *map, struct hf_err *err);

#endif
