/* open_blocks.h - the data blocks that are being filled, several at once.
 *
 * A frame goes into the fullest that has room for it, so little is left over in any; its
 * bytes are written there by whoever asked for the place, while others ask.  Any thread. */
#ifndef HOLDFAST_SNAPSHOT_OPEN_BLOCKS_H
#define HOLDFAST_SNAPSHOT_OPEN_BLOCKS_H

#include "snapshot/block_writer.h"
#include "snapshot/packed.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define OPEN_BLOCKS_MAX 4u

struct open_blocks {
    struct block_writer *writer; /* borrowed */
    pthread_mutex_t mutex;       /* guards all below */
    struct packed_block *blocks[OPEN_BLOCKS_MAX];
    size_t count;
};

void open_blocks_init(struct open_blocks *open, struct block_writer *writer);
/* Drops what is open. */
void open_blocks_done(struct open_blocks *open);

/* Gives a frame of frame->size bytes a place, and the block a reference to the frame; *out
 * is where its bytes go.  open_blocks_written must follow.  NULL: out of memory. */
struct packed_block *open_blocks_reserve(struct open_blocks *open,
                                         struct packed_frame *frame, uint8_t **out);
void open_blocks_written(struct open_blocks *open, struct packed_block *block);

/* Submits all open blocks, which then may be small; nobody may be writing. */
void open_blocks_submit(struct open_blocks *open);

#endif
