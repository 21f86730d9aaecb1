/* packed.h - frames and chunks that have no final place yet.
 *
 * A struct packed_frame lives while a struct packed points to it, or it stands in a block
 * that is not stored (its first reference).  Its chunks are found by their id until then,
 * so that the same bytes are not packed twice.  One thread owns all of it. */
#ifndef HOLDFAST_SNAPSHOT_PACKED_H
#define HOLDFAST_SNAPSHOT_PACKED_H

#include "snapshot/frame.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED_BUCKETS 8192u

struct packed_block; /* block_writer.h */

/* A chunk whose block is not stored yet. */
struct pending_chunk {
    struct hf_id id;
    uint32_t offset, size; /* in the opened frame */
    struct packed_frame *frame;
    struct pending_chunk *next_in_bucket, *next_in_frame;
};

struct packed_frame {
    size_t references;
    struct packed_block *block; /* NULL until it has a place; and again once stored */
    struct packed_frame *next;  /* in its block */
    struct pending_chunk *chunks, **chunks_end;
    size_t chunk_count;
    enum frame_role role;
    bool sealed, stored;
    uint32_t offset, size;
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_id block_id; /* once stored */
    uint8_t *bytes;        /* the sealed frame while it has no place; owned */
};

/* A chunk that was given to the packer. */
struct packed {
    struct packed_frame *frame; /* NULL: `ref` is complete */
    struct chunk_ref ref;
};

/* The chunks that wait, by id. */
struct packed_table {
    struct pending_chunk *buckets[PACKED_BUCKETS];
};

struct pending_chunk *packed_table_find(struct packed_table *table, const struct hf_id *id);

/* A frame with one reference.  NULL: out of memory. */
struct packed_frame *packed_frame_new(enum frame_role role);
/* Adds a chunk of n bytes at `offset`.  NULL: out of memory. */
struct pending_chunk *packed_frame_add(struct packed_table *table,
                                       struct packed_frame *frame, const struct hf_id *id,
                                       size_t offset, size_t n);
/* Its chunks wait no longer: they are stored, or never will be.  Drops a reference.
 * NULL is allowed. */
void packed_frame_drop(struct packed_table *table, struct packed_frame *frame);

/* Stands for a chunk that waits / that is known from elsewhere (the parent snapshot). */
struct packed packed_of(struct pending_chunk *chunk);
struct packed packed_known(const struct chunk_ref *ref);
void packed_done(struct packed *packed);

/* Completes the reference once the frame is stored; false: it is not. */
bool packed_complete(struct packed *packed);

#endif
