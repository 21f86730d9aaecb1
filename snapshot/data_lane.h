/* data_lane.h - the content of files, from the buffer that it is read into to its block.
 *
 * The reader fills batches with the bytes of files and says where chunks end; workers pack
 * them (batch.h) into open blocks (open_blocks.h).  All functions: one thread, the
 * reader's. */
#ifndef HOLDFAST_SNAPSHOT_DATA_LANE_H
#define HOLDFAST_SNAPSHOT_DATA_LANE_H

#include "base/err.h"
#include "snapshot/batch.h"
#include "snapshot/block_writer.h"
#include "snapshot/index.h"
#include "snapshot/keys.h"
#include "snapshot/packed.h"

#include <stddef.h>
#include <stdint.h>

struct data_lane; /* opaque */

/* What the target points to outlives the lane, which has open blocks of its own.  NULL: out
 * of memory or threads. */
struct data_lane *data_lane_new(const struct batch_target *target);
/* Waits for the workers; what is not in a submitted block is dropped.  NULL is allowed. */
void data_lane_free(struct data_lane *lane);

/* Where bytes of a file are read to: room for *room bytes, more than CHUNK_SIZE_MAX.  The
 * first `have` of them were read before and not yet cut.  Waits while the workers have
 * enough to do.  NULL: the run has failed (block_writer_failed). */
uint8_t *data_lane_room(struct data_lane *lane, size_t have, size_t *room);

/* Reading ahead: room in the next batch, for another thread to read into while this one
 * cuts what is there.  NULL: the run has failed.  Followed by data_lane_join: the n bytes
 * that were read come after the `have` (fewer than CHUNK_SIZE_MAX) that are not cut yet;
 * it returns where these are now.  Or by data_lane_drop_ahead, which may also be called
 * when there is nothing. */
uint8_t *data_lane_ahead(struct data_lane *lane, size_t *room);
uint8_t *data_lane_join(struct data_lane *lane, size_t have);
void data_lane_drop_ahead(struct data_lane *lane);

/* The next n bytes of the room are a chunk (1..CHUNK_SIZE_MAX); `seen`: it may well be one
 * that was read before.  *out is released by packed_done.  A failure shows in the next
 * data_lane_room. */
HF_MUST_CHECK enum hf_code data_lane_cut(struct data_lane *lane, size_t n, bool seen,
                                         struct packed *out);

/* The next bytes of the room, if they are still the chunk that they were: packer.h. */
bool data_lane_cut_again(struct data_lane *lane, const struct chunk_ref *old,
                         struct packed *out);

/* Has all chunks packed and all blocks stored, the last ones in smaller sizes. */
enum hf_code data_lane_finish(struct data_lane *lane);

struct batch_totals data_lane_totals(struct data_lane *lane);

#endif
