/* packer.h - chunks into frames, frames into blocks, blocks into the store.
 *
 * Two lanes.  Data: packed by workers while the reader goes on (data_lane.h).  Trees, with
 * the catalog: packed here and now, in order, because chunks in the open tree block refer
 * to one another without a block id (reference.h).
 *
 * Where a chunk is, is known completely only when its block is stored: until then a struct
 * packed stands for it.  One thread owns a packer; the workers are its own. */
#ifndef HOLDFAST_SNAPSHOT_PACKER_H
#define HOLDFAST_SNAPSHOT_PACKER_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/frame.h"
#include "snapshot/index.h"
#include "snapshot/keys.h"
#include "snapshot/packed.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct packer; /* opaque */

struct packer_config {
    struct block_store *store;
    struct index *index;           /* NULL: nothing is looked up or noted */
    const struct vault_keys *keys; /* all borrowed; they outlive the packer */
    int level;                     /* zstd's; 0: off */
};

/* What has been stored in this run. */
struct packer_totals {
    uint64_t chunks_new, chunks_known;
    uint64_t bytes_new;    /* plaintext of new chunks */
    uint64_t blocks;       /* acknowledged */
    uint64_t bytes_stored; /* their size */
};

HF_MUST_CHECK enum hf_code packer_new(const struct packer_config *config,
                                      struct packer **packer, struct hf_err *err);
/* Waits for the workers; what is not yet in a full block is dropped.  NULL is allowed. */
void packer_free(struct packer *packer);

/* ---- data ---- */

/* Where bytes of a file are read to: *room bytes, more than CHUNK_SIZE_MAX.  The first
 * `have` of them were read before and not yet cut.  Waits while the workers have enough to
 * do.  NULL: a failure of the store, or of memory, shown once and for all. */
uint8_t *packer_room(struct packer *packer, size_t have, size_t *room, struct hf_err *err);

/* Room for another thread to read the next bytes into, while this one cuts; followed by
 * packer_join, once they are there, or packer_drop_ahead (data_lane.h).  NULL: a failure.
 */
uint8_t *packer_ahead(struct packer *packer, size_t *room, struct hf_err *err);
uint8_t *packer_join(struct packer *packer, size_t have);
void packer_drop_ahead(struct packer *packer);

/* The next n bytes of the room (1..CHUNK_SIZE_MAX) are a chunk; one that is known already
 * is not stored again.  `seen`: it is likely to have been read before (a file that has
 * changed); then that is found out quicker.  *out is released by packed_done. */
HF_MUST_CHECK enum hf_code packer_cut(struct packer *packer, size_t n, bool seen,
                                      struct packed *out, struct hf_err *err);

/* Whether the next bytes of the room, of which there are at least old->size, are the chunk
 * that the parent snapshot has at this place, by their quick hash and the index; then they
 * are cut as that chunk, *out is complete, and no worker sees them. */
bool packer_cut_again(struct packer *packer, const struct chunk_ref *old,
                      struct packed *out);

/* Room and cut in one, for bytes that are somewhere else. */
HF_MUST_CHECK enum hf_code packer_add(struct packer *packer, const uint8_t *bytes, size_t n,
                                      struct packed *out, struct hf_err *err);

/* Stores all data given so far, in blocks that may be small: all of it is then ready. Takes
 * the room back: what was read into it and not cut is gone. */
HF_MUST_CHECK enum hf_code packer_finish_data(struct packer *packer, struct hf_err *err);

/* ---- trees ---- */

/* Writes the bytes of a tree or catalog chunk to w: called again with another `w` when the
 * block in which it was to go had to be closed. */
typedef void packer_encode_fn(void *arg, struct packer *packer, struct hf_writer *w);

/* Takes a chunk of the tree lane.  `encode` writes references with packer_put_*; every
 * chunk that it refers to must be packed_ready.  HF_TOO_LARGE: more than CHUNK_SIZE_MAX
 * bytes. */
HF_MUST_CHECK enum hf_code packer_add_tree(struct packer *packer, enum frame_role role,
                                           packer_encode_fn *encode, void *arg,
                                           struct packed *out, struct hf_err *err);

/* True when references to it can be written: its block is stored, or it is in the tree
 * lane's open block. */
bool packed_ready(struct packer *packer, struct packed *packed);

/* For packer_encode_fn: writes a reference to a ready chunk, or a stream's root. */
void packer_put_chunk(struct packer *packer, struct hf_writer *w, struct packed *packed);
void packer_put_root(struct packer *packer, struct hf_writer *w, uint64_t size,
                     uint32_t depth, struct packed *packed);

/* Stores the trees: every packed chunk then has a complete `ref`. */
HF_MUST_CHECK enum hf_code packer_finish_tree(struct packer *packer, struct hf_err *err);

/* Copies the complete reference out; the chunk's block must be stored. */
HF_MUST_CHECK enum hf_code packed_ref(struct packer *packer, struct packed *packed,
                                      struct chunk_ref *ref, struct hf_err *err);

struct packer_totals packer_totals(struct packer *packer);

#endif
