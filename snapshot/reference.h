/* reference.h - where a chunk is, and the key that opens it (docs/design.md section 5).
 *
 * A reference names its block by id, or not at all: then the chunk sits in the same
 * block as the chunk in which the reference stands.  So a tree can be written bottom-up
 * into one block whose id is known only when it is full. */
#ifndef HOLDFAST_SNAPSHOT_REFERENCE_H
#define HOLDFAST_SNAPSHOT_REFERENCE_H

#include "base/aead.h"
#include "base/cbor.h"
#include "base/id.h"

#include <stdbool.h>
#include <stdint.h>

#define REFERENCE_ENCODED_MAX 160u

struct frame_ref {
    struct hf_id block;
    uint32_t offset, size; /* of the sealed frame in the block */
    uint8_t key[HF_AEAD_KEY_SIZE];
};

struct chunk_ref {
    struct frame_ref frame;
    uint32_t offset, size; /* of the chunk in the opened frame */
    struct hf_id id;       /* the chunk's tree hash */
};

/* Writes a reference; with `same_block` the block's id is left out. */
void chunk_ref_put(struct hf_writer *w, const struct chunk_ref *ref, bool same_block);

/* Reads one; `block` is that of the chunk being read, for references that leave it out
 * (NULL where none may: a head). */
void chunk_ref_get(struct hf_reader *r, struct chunk_ref *ref, const struct hf_id *block);

/* The root of a stream.  An empty stream has size 0 and no reference. */
struct stream_root {
    uint64_t size;
    uint32_t depth; /* 0: `chunk` is the content; else nodes stand above it */
    struct chunk_ref chunk;
};

void stream_root_put(struct hf_writer *w, const struct stream_root *root, bool same_block);
void stream_root_get(struct hf_reader *r, struct stream_root *root,
                     const struct hf_id *block);

/* The same content, wherever it is stored. */
bool stream_root_same(const struct stream_root *a, const struct stream_root *b);

#endif
