/* index_frames.h - how much of a frame the newest snapshot still refers to; the part of
 * the chunk index (index.h) that history-aware rewriting needs.
 *
 * Fu et al., "Accelerating Restore and Garbage Collection in Deduplication-based Backup
 * Systems via Exploiting Historical Information", USENIX ATC 2014: what is left of a frame
 * that is mostly dead is stored anew by the next backup rather than referred to, so that
 * restoring opens few frames and old blocks die.  Only frames that several small chunks
 * share can become sparse.  The counts are estimates: a wrong one costs some bytes. */
#ifndef HOLDFAST_SNAPSHOT_INDEX_FRAMES_H
#define HOLDFAST_SNAPSHOT_INDEX_FRAMES_H

#include "snapshot/index_map.h"
#include "snapshot/reference.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_FRAME_CHUNKS_MIN 4u      /* frames of fewer chunks are not looked at */
#define INDEX_SPARSE_MAX       262144u /* sparse frames rewritten in one run */
#define INDEX_SHIFTS_MAX       32768u /* frames whose counts change, before they are saved */

struct frame_key {
    uint8_t b[HF_ID_SIZE + 4]; /* block id, offset big-endian: the order of the tables */
};

struct frame_shift {
    struct frame_key key;
    int64_t bytes; /* more of it that is dead; 0 in `used` slots too */
    bool used;
};

struct index_frames {
    struct index_map *map; /* borrowed */
    MDB_dbi frames, sparse;
    struct frame_key *now_sparse; /* sorted: what was sparse when the index was opened */
    size_t sparse_count;
    pthread_mutex_t mutex;      /* guards all below */
    struct frame_shift *shifts; /* a hash table of twice INDEX_SHIFTS_MAX */
    size_t shift_count;
};

/* All return an error of LMDB, or 0; within the caller's transaction. */
int index_frames_open(struct index_frames *f, MDB_txn *txn);
void index_frames_close(struct index_frames *f);
/* Reads which frames are sparse. */
int index_frames_load(struct index_frames *f, MDB_txn *txn);
/* Chunks, frame by frame, have been stored. */
int index_frames_add(struct index_frames *f, MDB_txn *txn, const struct chunk_ref *refs,
                     size_t count);

bool index_frames_sparse(const struct index_frames *f, const struct frame_ref *frame);

/* Notes that `bytes` more of the frame are dead (or, negative, alive).  True: there are so
 * many such notes that they should be saved.  Any thread. */
bool index_frames_shift(struct index_frames *f, const struct frame_ref *frame,
                        int64_t bytes);
/* Saves the notes; with `retire`, what was sparse is forgotten, for a run has rewritten it.
 */
int index_frames_save(struct index_frames *f, MDB_txn *txn, bool retire);

#endif
