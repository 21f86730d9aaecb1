/* packed.h - chunks that have no final place yet.
 *
 * A chunk passes from the thread that cuts it to a worker that hashes it, looks it up and
 * packs it into a frame, and with the frame's block to another that stores it.  Whoever
 * gave it away holds a struct packed: a handle that becomes a complete reference once the
 * block is stored.  Chunks and frames are counted; the atomics say when what a worker wrote
 * may be read by the handle's owner. */
#ifndef HOLDFAST_SNAPSHOT_PACKED_H
#define HOLDFAST_SNAPSHOT_PACKED_H

#include "snapshot/frame.h"
#include "snapshot/reference.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct packed_block; /* block_writer.h */

struct pending_chunk {
    atomic_uint references;
    uint32_t size;
    struct hf_id id; /* once hashed */

    /* All below is written before `settled`. */
    atomic_bool settled;
    struct packed_frame
        *frame;      /* holds a reference; NULL: it was stored already, at `known` */
    uint32_t offset; /* in the opened frame */
    struct frame_ref known;

    struct pending_chunk *next_in_bucket, *next_in_frame; /* of the packer's lock */
};

/* What it holds is written by the worker that seals it, and then by the one that stores
 * its block. */
struct packed_frame {
    atomic_uint references;
    struct packed_frame *next; /* in its block */
    struct pending_chunk *chunks, **chunks_end;
    size_t chunk_count;
    enum frame_role role;
    bool sealed;           /* tree lane: offset, size and key are known */
    uint64_t tree_block;   /* tree lane: the number of its block; 0: none yet */
    uint32_t offset, size; /* in its block */
    uint8_t key[HF_AEAD_KEY_SIZE];

    atomic_bool stored; /* then all above stays as it is, and: */
    struct hf_id block_id;
};

/* A chunk that was given to the packer. */
struct packed {
    struct pending_chunk *pending; /* NULL: `ref` is complete */
    struct chunk_ref ref;          /* its size always; its id too in the tree lane */
};

/* The chunks of this run that cannot be found in the index yet, by id.  All functions but
 * the first two want its lock held. */
struct packed_table {
    pthread_mutex_t lock;
    struct pending_chunk **buckets;
    size_t bucket_count;
};
/* False: out of memory. */
bool packed_table_init(struct packed_table *table);
/* All that was put in is taken out.  A zeroed one is allowed. */
void packed_table_done(struct packed_table *table);
struct pending_chunk *packed_table_find(struct packed_table *table, enum frame_role role,
                                        const struct hf_id *id);
/* The chunk's id is set, and it is settled in a frame.  The table holds a reference. */
void packed_table_put(struct packed_table *table, struct pending_chunk *chunk);

/* With one reference.  NULL: out of memory. */
struct pending_chunk *pending_chunk_new(size_t size);
void pending_chunk_unref(struct pending_chunk *chunk); /* NULL is allowed */
/* It is the chunk at `ref`. */
void pending_chunk_settle_known(struct pending_chunk *chunk, const struct chunk_ref *ref);
/* It is the same as another, that has a frame. */
void pending_chunk_settle_same(struct pending_chunk *chunk,
                               const struct pending_chunk *other);
/* It is the next chunk of a frame, which holds a reference to it. */
void pending_chunk_settle_new(struct pending_chunk *chunk, struct packed_frame *frame,
                              size_t offset);

/* With one reference.  NULL: out of memory. */
struct packed_frame *packed_frame_new(enum frame_role role);
void packed_frame_unref(struct packed_frame *frame); /* NULL is allowed */
/* Its chunks are found no longer: they are in the index, or never will be.  Takes the
 * table's lock. */
void packed_frame_forget(struct packed_table *table, struct packed_frame *frame);
/* Its block has been stored. */
void packed_frame_set_stored(struct packed_frame *frame, const struct hf_id *block);

/* Takes over a reference to the chunk. */
struct packed packed_of(struct pending_chunk *chunk);
struct packed packed_known(const struct chunk_ref *ref);
struct packed packed_copy(const struct packed *packed);
void packed_done(struct packed *packed);

/* Completes the reference once the chunk's block is stored; false: it is not. */
bool packed_complete(struct packed *packed);

#endif
