/* batch.h - some MiB of files cut into chunks, and the work that a worker does on it: hash,
 * look up, sort into frames, compress, seal, place.  So there is one hand-over for some
 * MiB, and a byte is copied only by the compressor and the cipher. */
#ifndef HOLDFAST_SNAPSHOT_BATCH_H
#define HOLDFAST_SNAPSHOT_BATCH_H

#include "base/err.h"
#include "snapshot/index.h"
#include "snapshot/keys.h"
#include "snapshot/open_blocks.h"
#include "snapshot/packed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_SIZE   ((size_t)5 << 20)
#define BATCH_FRONT  CHUNK_SIZE_MAX /* for what is left over of the batch before */
#define BATCH_CHUNKS 8192u          /* of the smallest files */

struct batch_chunk {
    struct pending_chunk *pending; /* holds a reference */
    uint32_t at;                   /* in the batch */
    uint32_t next;                 /* the next of its frame, counted from 1; 0: none */
    bool seen;                     /* it may have been read before */
    bool incompressible;           /* or so it looks */
};

struct batch {
    uint8_t *bytes; /* BATCH_SIZE */
    size_t used;    /* up to here it is cut into chunks, from BATCH_FRONT or before */
    struct batch_chunk chunks[BATCH_CHUNKS];
    size_t chunk_count;
};

/* Empty.  NULL: out of memory. */
struct batch *batch_new(void);
void batch_free(struct batch *batch); /* NULL is allowed */
/* Empties it. */
void batch_clear(struct batch *batch);
/* The next n bytes are a chunk; a handle to it, or NULL: out of memory. */
struct pending_chunk *batch_cut(struct batch *batch, size_t n, bool seen);

/* What a worker works with; one per thread. */
struct bench; /* opaque */

/* Where it all goes; borrowed. */
struct batch_target {
    struct block_writer *writer;
    struct packed_table *table;
    struct index *index; /* NULL: nothing is looked up */
    const struct vault_keys *keys;
    int level; /* zstd's; 0: off */
    struct open_blocks *open;
};

struct bench *bench_new(const struct batch_target *target); /* NULL: out of memory */
void bench_free(struct bench *bench);                       /* NULL is allowed */

struct batch_totals {
    uint64_t chunks_new, chunks_known;
    uint64_t bytes_new; /* plaintext of new chunks */
};

/* Packs all chunks of the batch; adds to *totals.  The bench keeps quick hashes to be noted
 * (bench_note). */
HF_MUST_CHECK enum hf_code batch_pack(struct batch *batch, struct bench *bench,
                                      struct batch_totals *totals, struct hf_err *err);

/* Notes the quick hashes of chunks that were read again. */
HF_MUST_CHECK enum hf_code bench_note(struct bench *bench, struct hf_err *err);

#endif
