/* block_writer.h - full blocks to the store, by workers, while the next ones are filled.
 *
 * A block belongs to whoever begins it until it is submitted.  Once the store has
 * acknowledged it, its frames are stored and their chunks soon noted in the index
 * (noter.h).  Any thread. */
#ifndef HOLDFAST_SNAPSHOT_BLOCK_WRITER_H
#define HOLDFAST_SNAPSHOT_BLOCK_WRITER_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/index.h"
#include "snapshot/packed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_writer; /* opaque */

struct packed_block {
    struct block_writer *writer;
    struct packed_frame *frames, **frames_end; /* holds a reference to each */
    uint8_t *bytes;                            /* BLOCK_SIZE_MAX */
    size_t used, size;
    unsigned unwritten; /* places given away and not yet written (open_blocks.h) */
    bool closed;        /* no more places */
};

/* What has been stored in this run. */
struct block_writer_totals {
    uint64_t blocks; /* acknowledged */
    uint64_t bytes;  /* their size */
};

/* All borrowed; `index` may be NULL.  NULL: out of memory. */
struct block_writer *block_writer_new(struct block_store *store, struct index *index,
                                      struct packed_table *table);
/* Waits for the workers.  NULL is allowed. */
void block_writer_free(struct block_writer *writer);

/* An empty block.  NULL: out of memory. */
struct packed_block *block_writer_begin(struct block_writer *writer);
/* Gives a sealed frame of frame->size bytes its place behind what is in the block, which
 * takes over a reference to it. */
void block_place(struct packed_block *block, struct packed_frame *frame);
/* Drops a frame that is in no block unstored, and the caller's reference to it. */
void block_writer_drop_frame(struct block_writer *writer, struct packed_frame *frame);
/* Drops a block with its frames unstored. */
void block_writer_drop(struct block_writer *writer, struct packed_block *block);

/* The smallest size class that holds `used` bytes. */
size_t block_size_class(size_t used);

/* Pads the block with random bytes to `size`, a size class, and hands it to a worker; waits
 * while they have enough to do. */
void block_writer_submit(struct block_writer *writer, struct packed_block *block,
                         size_t size);
/* Returns when nothing is under way and all is noted in the index. */
enum hf_code block_writer_wait(struct block_writer *writer);

/* The first failure of a run is its only one: it stays, and every later call returns it. */
enum hf_code block_writer_fail(struct block_writer *writer, const struct hf_err *why);
enum hf_code block_writer_no_memory(struct block_writer *writer);
enum hf_code block_writer_failed(struct block_writer *writer);
struct hf_err block_writer_failure(struct block_writer *writer);

struct block_writer_totals block_writer_totals(struct block_writer *writer);

#endif
