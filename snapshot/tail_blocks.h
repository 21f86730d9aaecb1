/* tail_blocks.h - the data blocks still open at the end of a run, packed anew into as few
 * bytes as the size classes allow (tail.h). */
#ifndef HOLDFAST_SNAPSHOT_TAIL_BLOCKS_H
#define HOLDFAST_SNAPSHOT_TAIL_BLOCKS_H

#include "base/err.h"
#include "snapshot/block_writer.h"

#include <stddef.h>

#define TAIL_OPEN_MAX 3u /* data blocks open at once */

/* Moves the frames of open[0..count) into blocks and submits these; takes over all. */
HF_MUST_CHECK enum hf_code tail_blocks_submit(struct block_writer *writer,
                                              struct packed_block *const *open,
                                              size_t count);

#endif
