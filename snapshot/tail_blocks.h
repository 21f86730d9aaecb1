/* tail_blocks.h - the data blocks still open at the end of a run, packed anew into as few
 * bytes as the size classes allow (tail.h); a frame is divided where that spares a lot. */
#ifndef HOLDFAST_SNAPSHOT_TAIL_BLOCKS_H
#define HOLDFAST_SNAPSHOT_TAIL_BLOCKS_H

#include "base/err.h"
#include "snapshot/block_writer.h"
#include "snapshot/divide.h"

#include <stddef.h>

#define TAIL_DIVIDED_MAX 8u /* frames divided in one go */

/* Frames that were divided, for tail_divided_note and tail_divided_drop. */
struct tail_divided {
    struct packed_frame *frames[TAIL_DIVIDED_MAX]; /* one reference each */
    size_t count;
};

/* Moves the frames of open[0..count) into blocks and submits these; takes over all. */
HF_MUST_CHECK enum hf_code tail_blocks_submit(struct block_writer *writer,
                                              const struct divider *divider,
                                              struct packed_block *const *open,
                                              size_t count, struct tail_divided *divided);

/* Once all is stored: notes the chunks that were cut in two, so that they are found again.
 */
HF_MUST_CHECK enum hf_code tail_divided_note(struct tail_divided *divided,
                                             struct index *index, struct hf_err *err);
void tail_divided_drop(struct tail_divided *divided, struct block_writer *writer);

#endif
