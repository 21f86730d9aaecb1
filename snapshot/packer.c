/* The two lanes: which chunk goes into which frame, which frame into which block.  Where
 * things wait meanwhile: packed.h; how blocks are stored: block_writer.h. */
#include "snapshot/packer.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "snapshot/block_writer.h"
#include "snapshot/tail.h"

#include <stdlib.h>
#include <string.h>

#define HELD_MAX       4u /* data frames that wait for a block they fit into */
#define FRAME_OVERHEAD 64u

struct lane {
    struct packed_block *block; /* the open one, or NULL */
    struct packed_frame *frame; /* the open one, or NULL: its plaintext is below */
    uint8_t *plain;             /* FRAME_PLAIN_MAX */
    size_t plain_used;
};

struct packer {
    struct packer_config config;
    struct framer *framer;
    struct packed_table table;
    struct block_writer *writer;
    struct lane data, tree;
    struct packed_frame *held[HELD_MAX];
    size_t held_count;
    uint8_t *encoded; /* CHUNK_SIZE_MAX: a tree chunk being written */
    bool seal_wanted; /* a reference to a chunk in the open tree frame was asked for */
    struct packer_totals totals;
};

static enum hf_code failed(const struct packer *p)
{
    return block_writer_failed(p->writer);
}

/* What a call returns: the run's one failure, if there is any. */
static enum hf_code result(const struct packer *p, struct hf_err *err)
{
    if (failed(p) != HF_OK) *err = *block_writer_failure(p->writer);
    return failed(p);
}

/* Seals n bytes of plaintext as `frame`, which a failure drops: into the open block where
 * there is surely room, else into bytes of its own. */
static enum hf_code seal(struct packer *p, struct lane *lane, struct packed_frame *frame,
                         const uint8_t *plain, size_t n)
{
    struct hf_id ids[FRAME_CHUNKS_MAX];
    uint32_t sizes[FRAME_CHUNKS_MAX];
    struct frame_input in = {.role = frame->role,
                             .level = p->config.level,
                             .plain = plain,
                             .plain_size = n,
                             .chunk_ids = ids,
                             .chunk_sizes = sizes,
                             .chunk_count = frame->chunk_count};
    struct hf_err err;
    uint8_t *out;
    size_t size;
    size_t i = 0;

    for (struct pending_chunk *c = frame->chunks; c != NULL; c = c->next_in_frame, i++) {
        ids[i] = c->id;
        sizes[i] = c->size;
    }
    if (lane->block == NULL) lane->block = block_writer_begin(p->writer);
    if (lane->block == NULL) goto no_memory;
    if (lane->block->used + n + FRAME_OVERHEAD <= BLOCK_SIZE_MAX) {
        out = lane->block->bytes + lane->block->used;
    } else {
        frame->bytes = malloc(n + FRAME_OVERHEAD);
        if (frame->bytes == NULL) goto no_memory;
        out = frame->bytes;
    }
    if (frame_seal(p->framer, p->config.keys->frame_kdf, &in, out, &size, frame->key,
                   &err) != HF_OK) {
        packed_frame_drop(&p->table, frame);
        return block_writer_fail(p->writer, &err);
    }
    frame->size = (uint32_t)size;
    frame->sealed = true;
    if (frame->bytes == NULL) block_place(lane->block, frame);
    return HF_OK;
no_memory:
    packed_frame_drop(&p->table, frame);
    return block_writer_no_memory(p->writer);
}

static void copy_in(struct packed_block *block, struct packed_frame *frame)
{
    memcpy(block->bytes + block->used, frame->bytes, frame->size);
    free(frame->bytes);
    frame->bytes = NULL;
    block_place(block, frame);
}

/* Moves held frames into the open data block as far as they fit. */
static void place_held(struct packer *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->held_count; i++) {
        struct packed_frame *frame = p->held[i];

        if (p->data.block->used + frame->size <= BLOCK_SIZE_MAX)
            copy_in(p->data.block, frame);
        else
            p->held[kept++] = frame;
    }
    p->held_count = kept;
}

static enum hf_code next_data_block(struct packer *p)
{
    struct packed_block *full = p->data.block;
    enum hf_code rc;

    p->data.block = NULL;
    rc = block_writer_submit(p->writer, full, BLOCK_SIZE_MAX);
    if (rc != HF_OK) return rc;
    p->data.block = block_writer_begin(p->writer);
    if (p->data.block == NULL) return block_writer_no_memory(p->writer);
    place_held(p);
    return HF_OK;
}

/* Seals a data frame and gives it a place, or holds it back. */
static enum hf_code put_data_frame(struct packer *p, struct packed_frame *frame,
                                   const uint8_t *plain, size_t n)
{
    enum hf_code rc = seal(p, &p->data, frame, plain, n);

    if (rc != HF_OK || frame->block != NULL) return rc;
    p->held[p->held_count++] = frame;
    place_held(p); /* compressed, it may fit after all */
    return p->held_count == HELD_MAX ? next_data_block(p) : HF_OK;
}

/* Adds a new chunk to a frame. */
static struct pending_chunk *add_chunk(struct packer *p, struct packed_frame *frame,
                                       const struct hf_id *id, size_t offset, size_t n)
{
    struct pending_chunk *chunk = packed_frame_add(&p->table, frame, id, offset, n);

    if (chunk == NULL) return NULL;
    p->totals.chunks_new++;
    p->totals.bytes_new += n;
    return chunk;
}

static enum hf_code seal_open(struct packer *p, struct lane *lane)
{
    struct packed_frame *frame = lane->frame;
    size_t n = lane->plain_used;

    if (frame == NULL) return HF_OK;
    lane->frame = NULL;
    lane->plain_used = 0;
    if (lane == &p->data) return put_data_frame(p, frame, lane->plain, n);
    return seal(p, lane, frame, lane->plain,
                n); /* the room was checked when it was added */
}

/* Appends a chunk to the lane's open frame. */
static enum hf_code append(struct packer *p, struct lane *lane, enum frame_role role,
                           const struct hf_id *id, const uint8_t *bytes, size_t n,
                           struct packed *out)
{
    struct pending_chunk *chunk;

    if (lane->frame == NULL) lane->frame = packed_frame_new(role);
    if (lane->frame == NULL) return block_writer_no_memory(p->writer);
    chunk = add_chunk(p, lane->frame, id, lane->plain_used, n);
    if (chunk == NULL) return block_writer_no_memory(p->writer);
    memcpy(lane->plain + lane->plain_used, bytes, n);
    lane->plain_used += n;
    *out = packed_of(chunk);
    return HF_OK;
}

static bool frame_full(const struct lane *lane, enum frame_role role, size_t n)
{
    return lane->frame != NULL &&
           (lane->plain_used + n > FRAME_SHARED_SIZE || lane->frame->role != role ||
            lane->frame->chunk_count == FRAME_CHUNKS_MAX);
}

static bool known(struct packer *p, const struct hf_id *id, struct packed *out)
{
    struct pending_chunk *chunk = packed_table_find(&p->table, id);

    if (chunk != NULL)
        *out = packed_of(chunk);
    else if (p->config.index == NULL || !index_find(p->config.index, id, &out->ref))
        return false;
    p->totals.chunks_known++;
    return true;
}

/* ---- the two ways in ---- */

enum hf_code packer_add(struct packer *p, const uint8_t *bytes, size_t n,
                        struct packed *out, struct hf_err *err)
{
    struct packed_frame *frame;
    struct pending_chunk *chunk;
    struct hf_id id;

    memset(out, 0, sizeof *out);
    hf_sha256(bytes, n, &id);
    if (failed(p) == HF_OK && known(p, &id, out)) return HF_OK;
    if (failed(p) == HF_OK &&
        n >= FRAME_SHARED_SIZE / 2) { /* a frame of its own, uncopied */
        frame = packed_frame_new(FRAME_DATA);
        chunk = frame != NULL ? add_chunk(p, frame, &id, 0, n) : NULL;
        if (chunk == NULL) {
            packed_frame_drop(&p->table, frame);
            (void)block_writer_no_memory(p->writer);
        } else {
            *out = packed_of(chunk);
            (void)put_data_frame(p, frame, bytes, n);
        }
    } else if (failed(p) == HF_OK) {
        if (frame_full(&p->data, FRAME_DATA, n)) (void)seal_open(p, &p->data);
        if (failed(p) == HF_OK) (void)append(p, &p->data, FRAME_DATA, &id, bytes, n, out);
    }
    if (failed(p) == HF_OK) return HF_OK;
    packed_done(out);
    return result(p, err);
}

static enum hf_code close_tree_block(struct packer *p)
{
    struct packed_block *block;
    enum hf_code rc = seal_open(p, &p->tree);

    block = p->tree.block;
    if (rc != HF_OK || block == NULL) return rc;
    p->tree.block = NULL;
    rc = block_writer_submit(p->writer, block, block_size_class(block->used));
    return rc == HF_OK ? block_writer_wait(p->writer) : rc;
}

static bool tree_fits(const struct packer *p, size_t n)
{
    size_t used = p->tree.block != NULL ? p->tree.block->used : 0;

    return used + p->tree.plain_used + n + 2 * FRAME_OVERHEAD <= BLOCK_SIZE_MAX;
}

/* Encodes until what was written holds for the block that it will go to. */
static enum hf_code encode_tree(struct packer *p, packer_encode_fn *encode, void *arg,
                                size_t *n)
{
    struct hf_err err;

    for (;;) {
        struct hf_writer w = hf_writer_init(p->encoded, CHUNK_SIZE_MAX);

        p->seal_wanted = false;
        encode(arg, p, &w);
        *n = hf_writer_size(&w);
        if (failed(p) != HF_OK) return failed(p);
        if (w.failed) {
            (void)hf_fail(&err, HF_TOO_LARGE, "tree: a chunk of %zu bytes", w.wanted);
            return block_writer_fail(p->writer, &err);
        }
        if (p->seal_wanted) {
            if (seal_open(p, &p->tree) != HF_OK) return failed(p);
        } else if (!tree_fits(p, *n)) {
            if (close_tree_block(p) != HF_OK) return failed(p);
        } else {
            return HF_OK;
        }
    }
}

enum hf_code packer_add_tree(struct packer *p, enum frame_role role,
                             packer_encode_fn *encode, void *arg, struct packed *out,
                             struct hf_err *err)
{
    struct hf_id id;
    size_t n = 0;

    memset(out, 0, sizeof *out);
    if (failed(p) == HF_OK && encode_tree(p, encode, arg, &n) == HF_OK) {
        hf_sha256(p->encoded, n, &id);
        if (known(p, &id, out)) return HF_OK;
        if (frame_full(&p->tree, role, n)) (void)seal_open(p, &p->tree);
        if (failed(p) == HF_OK) (void)append(p, &p->tree, role, &id, p->encoded, n, out);
    }
    return result(p, err);
}

/* ---- references ---- */

static bool in_open_tree_block(const struct packer *p, const struct packed_frame *frame)
{
    return frame == p->tree.frame ||
           (frame->block != NULL && frame->block == p->tree.block);
}

bool packed_ready(struct packer *p, struct packed *packed)
{
    if (packed_complete(packed)) return true;
    if (in_open_tree_block(p, packed->frame)) return true;
    (void)block_writer_drain(p->writer);
    return packed_complete(packed);
}

void packer_put_chunk(struct packer *p, struct hf_writer *w, struct packed *packed)
{
    struct chunk_ref ref;

    if (packed_complete(packed)) {
        chunk_ref_put(w, &packed->ref, false);
        return;
    }
    if (!packed->frame->sealed) p->seal_wanted = true;
    ref = packed->ref;
    ref.frame.offset = packed->frame->offset;
    ref.frame.size = packed->frame->size;
    memcpy(ref.frame.key, packed->frame->key, sizeof ref.frame.key);
    chunk_ref_put(w, &ref, true);
}

void packer_put_root(struct packer *p, struct hf_writer *w, uint64_t size, uint32_t depth,
                     struct packed *packed)
{
    hf_put_array(w, 3);
    hf_put_uint(w, size);
    hf_put_uint(w, depth);
    if (size == 0)
        hf_put_null(w);
    else
        packer_put_chunk(p, w, packed);
}

enum hf_code packed_ref(struct packer *p, struct packed *packed, struct chunk_ref *ref,
                        struct hf_err *err)
{
    if (!packed_complete(packed)) {
        if (failed(p) != HF_OK) return result(p, err);
        return hf_fail(err, HF_INVALID, "reference: its block is not stored");
    }
    *ref = packed->ref;
    return HF_OK;
}

/* ---- the end of a run ---- */

static int larger_first(const void *a, const void *b)
{
    const struct packed_frame *const *x = a;
    const struct packed_frame *const *y = b;

    return (*x)->size < (*y)->size ? 1 : (*x)->size > (*y)->size ? -1 : 0;
}

/* What submit_tail works with: the frames of the last block, largest first. */
struct tail_frames {
    struct packed_frame **frames;
    uint32_t *sizes;
    unsigned char *where; /* and as much again for trials */
    size_t count;
};

static void tail_frames_done(struct tail_frames *t)
{
    free(t->frames);
    free(t->sizes);
    free(t->where);
}

static bool tail_frames_init(struct tail_frames *t, const struct packed_block *block)
{
    memset(t, 0, sizeof *t);
    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        t->count++;
    t->frames = hf_alloc_array(t->count, sizeof(struct packed_frame *));
    t->sizes = hf_alloc_array(t->count, sizeof *t->sizes);
    t->where = hf_alloc_array(t->count, 2);
    if (t->frames == NULL || t->sizes == NULL || t->where == NULL) return false;
    t->count = 0;
    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        t->frames[t->count++] = f;
    qsort(t->frames, t->count, sizeof(struct packed_frame *), larger_first);
    for (size_t i = 0; i < t->count; i++)
        t->sizes[i] = t->frames[i]->size;
    return true;
}

/* Moves the frames of `block` into blocks of their own, and drops it. */
static enum hf_code divide(struct packer *p, struct packed_block *block,
                           const struct tail *tail, const struct tail_frames *t)
{
    struct packed_block *parts[TAIL_BLOCKS_MAX] = {NULL};

    for (size_t i = 0; i < tail->count; i++) {
        parts[i] = block_writer_begin(p->writer);
        if (parts[i] != NULL) continue;
        while (i-- > 0)
            block_writer_drop(p->writer, parts[i]);
        /* No memory to divide it: one block does as well. */
        return block_writer_submit(p->writer, block, block_size_class(block->used));
    }
    for (size_t i = 0; i < t->count; i++) {
        struct packed_block *part = parts[t->where[i]];

        memcpy(part->bytes + part->used, block->bytes + t->frames[i]->offset,
               t->frames[i]->size);
        block_place(part, t->frames[i]);
    }
    block->frames = NULL;
    block_writer_drop(p->writer, block);
    for (size_t i = 0; i < tail->count; i++)
        (void)block_writer_submit(p->writer, parts[i], tail->sizes[i]);
    return failed(p);
}

static enum hf_code submit_tail(struct packer *p, struct packed_block *block)
{
    struct tail_frames t;
    enum hf_code rc;

    if (tail_frames_init(&t, block)) {
        struct tail tail = tail_choose(t.sizes, t.count, t.where, t.where + t.count);

        rc = tail.count == 1 ? block_writer_submit(p->writer, block, tail.sizes[0])
                             : divide(p, block, &tail, &t);
    } else {
        block_writer_drop(p->writer, block);
        rc = block_writer_no_memory(p->writer);
    }
    tail_frames_done(&t);
    return rc;
}

enum hf_code packer_finish_data(struct packer *p, struct hf_err *err)
{
    struct packed_block *block;

    (void)seal_open(p, &p->data);
    while (failed(p) == HF_OK && p->held_count > 0) /* more than one block is left */
        (void)next_data_block(p);
    block = p->data.block;
    p->data.block = NULL;
    if (block != NULL && (block->used == 0 || failed(p) != HF_OK))
        block_writer_drop(p->writer, block);
    else if (block != NULL)
        (void)submit_tail(p, block);
    (void)block_writer_wait(p->writer);
    return result(p, err);
}

enum hf_code packer_finish_tree(struct packer *p, struct hf_err *err)
{
    if (failed(p) == HF_OK) (void)close_tree_block(p);
    (void)block_writer_wait(p->writer);
    return result(p, err);
}

/* ---- making and releasing ---- */

enum hf_code packer_new(const struct packer_config *config, struct packer **packer,
                        struct hf_err *err)
{
    struct packer *p = calloc(1, sizeof *p);

    *packer = NULL;
    if (p == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    p->config = *config;
    p->framer = framer_new();
    p->data.plain = malloc(FRAME_PLAIN_MAX);
    p->tree.plain = malloc(FRAME_PLAIN_MAX);
    p->encoded = malloc(CHUNK_SIZE_MAX);
    p->writer = block_writer_new(config->store, config->index, &p->table);
    if (p->framer == NULL || p->data.plain == NULL || p->tree.plain == NULL ||
        p->encoded == NULL || p->writer == NULL) {
        packer_free(p);
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    *packer = p;
    return HF_OK;
}

static void lane_drop(struct packer *p, struct lane *lane)
{
    if (lane->frame != NULL) packed_frame_drop(&p->table, lane->frame);
    if (lane->block != NULL) block_writer_drop(p->writer, lane->block);
    free(lane->plain);
}

void packer_free(struct packer *p)
{
    if (p == NULL) return;
    if (p->writer != NULL) (void)block_writer_wait(p->writer);
    lane_drop(p, &p->data);
    lane_drop(p, &p->tree);
    for (size_t i = 0; i < p->held_count; i++)
        packed_frame_drop(&p->table, p->held[i]);
    block_writer_free(p->writer);
    framer_free(p->framer);
    free(p->encoded);
    free(p);
}

struct packer_totals packer_totals(const struct packer *packer)
{
    struct packer_totals totals = packer->totals;

    totals.blocks = block_writer_totals(packer->writer)->blocks;
    totals.bytes_stored = block_writer_totals(packer->writer)->bytes;
    return totals;
}
