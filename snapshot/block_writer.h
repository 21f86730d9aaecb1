/* block_writer.h - full blocks to the store, by workers, while the next ones are filled.
 *
 * A worker notes a block's chunks in the index as soon as the store has acknowledged it: a
 * run that is killed stores little again.  It sees a block from submit until it is drained,
 * and reads of its frames only what no longer changes.  All calls: one thread, the owner.
 */
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
    struct packed_block *next; /* among those that workers have finished */
    struct packed_frame *frames, **frames_end;
    uint8_t *bytes; /* BLOCK_SIZE_MAX */
    size_t used, size;
    struct hf_id id;
    enum hf_code rc;
    struct hf_err err;
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
/* Gives a frame that is sealed its place behind what is in the block. */
void block_place(struct packed_block *block, struct packed_frame *frame);
/* Drops a block with its frames unstored. */
void block_writer_drop(struct block_writer *writer, struct packed_block *block);

/* The smallest size class that holds `used` bytes. */
size_t block_size_class(size_t used);

/* Pads the block with random bytes to `size`, a size class, and hands it to a worker. */
enum hf_code block_writer_submit(struct block_writer *writer, struct packed_block *block,
                                 size_t size);
/* Takes what the workers have finished: its frames know where they are. */
enum hf_code block_writer_drain(struct block_writer *writer);
/* The same, until nothing is under way. */
enum hf_code block_writer_wait(struct block_writer *writer);

/* The first failure of a run is its only one: it stays, and every later call returns it. */
enum hf_code block_writer_fail(struct block_writer *writer, const struct hf_err *why);
enum hf_code block_writer_no_memory(struct block_writer *writer);
enum hf_code block_writer_failed(const struct block_writer *writer);
const struct hf_err *block_writer_failure(const struct block_writer *writer);

const struct block_writer_totals *block_writer_totals(const struct block_writer *writer);

#endif
