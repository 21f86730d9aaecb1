/* The tree lane, and what the two have in common.  How blocks are stored: block_writer.h.
 */
#include "snapshot/packer.h"

#include "base/tree_hash.h"
#include "snapshot/block_writer.h"
#include "snapshot/data_lane.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_OVERHEAD 64u

struct tree_lane {
    struct packed_block *block; /* the open one, or NULL */
    uint64_t number;            /* of the open block, from 1 */
    struct packed_frame *frame; /* the open one, or NULL: its plaintext is below */
    uint8_t *plain;             /* FRAME_PLAIN_MAX */
    size_t plain_used;
    uint64_t chunks_new, chunks_known, bytes_new;
};

struct packer {
    struct packer_config config;
    struct packed_table table;
    struct block_writer *writer;
    struct data_lane *data;
    struct tree_lane tree;
    struct framer *framer;
    uint8_t *encoded; /* CHUNK_SIZE_MAX: a tree chunk being written */
    bool seal_wanted; /* a reference to a chunk in the open tree frame was asked for */
};

static enum hf_code failed(const struct packer *p)
{
    return block_writer_failed(p->writer);
}

/* What a call returns: the run's one failure, if there is any. */
static enum hf_code result(const struct packer *p, struct hf_err *err)
{
    if (failed(p) != HF_OK) *err = block_writer_failure(p->writer);
    return failed(p);
}

/* ---- data ---- */

uint8_t *packer_room(struct packer *p, size_t have, size_t *room, struct hf_err *err)
{
    uint8_t *bytes = data_lane_room(p->data, have, room);

    if (bytes == NULL) (void)result(p, err);
    return bytes;
}

uint8_t *packer_ahead(struct packer *p, size_t *room, struct hf_err *err)
{
    uint8_t *bytes = data_lane_ahead(p->data, room);

    if (bytes == NULL) (void)result(p, err);
    return bytes;
}

uint8_t *packer_join(struct packer *p, size_t have)
{
    return data_lane_join(p->data, have);
}

void packer_drop_ahead(struct packer *p)
{
    data_lane_drop_ahead(p->data);
}

enum hf_code packer_cut(struct packer *p, size_t n, bool seen, struct packed *out,
                        struct hf_err *err)
{
    return data_lane_cut(p->data, n, seen, out) == HF_OK ? HF_OK : result(p, err);
}

bool packer_cut_again(struct packer *p, const struct chunk_ref *old, struct packed *out)
{
    return data_lane_cut_again(p->data, old, out);
}

enum hf_code packer_add(struct packer *p, const uint8_t *bytes, size_t n,
                        struct packed *out, struct hf_err *err)
{
    size_t room;
    uint8_t *to = packer_room(p, 0, &room, err);

    memset(out, 0, sizeof *out);
    if (to == NULL) return err->code;
    memcpy(to, bytes, n);
    return packer_cut(p, n, false, out, err);
}

enum hf_code packer_finish_data(struct packer *p, struct hf_err *err)
{
    (void)data_lane_finish(p->data);
    return result(p, err);
}

/* ---- trees ---- */

/* Seals the open frame into the open block, where there is room: it was checked when its
 * chunks were added. */
static enum hf_code seal_frame(struct packer *p)
{
    struct tree_lane *lane = &p->tree;
    struct packed_frame *frame = lane->frame;
    struct hf_id ids[FRAME_CHUNKS_MAX];
    struct frame_input in = {.level = p->config.level,
                             .plain = lane->plain,
                             .plain_size = lane->plain_used,
                             .chunk_ids = ids};
    struct hf_err err;
    size_t size;

    if (frame == NULL) return HF_OK;
    lane->frame = NULL;
    lane->plain_used = 0;
    in.role = frame->role;
    for (struct pending_chunk *c = frame->chunks; c != NULL; c = c->next_in_frame)
        ids[in.chunk_count++] = c->id;
    if (frame_seal(p->framer, p->config.keys->frame_kdf, &in,
                   lane->block->bytes + lane->block->used, &size, frame->key,
                   &err) != HF_OK) {
        block_writer_drop_frame(p->writer, frame);
        return block_writer_fail(p->writer, &err);
    }
    frame->size = (uint32_t)size;
    frame->sealed = true;
    block_place(lane->block, frame);
    return HF_OK;
}

static enum hf_code begin_frame(struct packer *p, enum frame_role role)
{
    struct tree_lane *lane = &p->tree;

    if (lane->block == NULL) {
        lane->block = block_writer_begin(p->writer);
        lane->number++;
    }
    if (lane->block != NULL) lane->frame = packed_frame_new(role);
    if (lane->block == NULL || lane->frame == NULL)
        return block_writer_no_memory(p->writer);
    lane->frame->tree_block = lane->number;
    return HF_OK;
}

/* Appends the n encoded bytes to the open frame. */
static enum hf_code append(struct packer *p, enum frame_role role, const struct hf_id *id,
                           size_t n, struct packed *out)
{
    struct tree_lane *lane = &p->tree;
    struct pending_chunk *chunk;

    if (lane->frame == NULL && begin_frame(p, role) != HF_OK) return failed(p);
    chunk = pending_chunk_new(n);
    if (chunk == NULL) return block_writer_no_memory(p->writer);
    chunk->id = *id;
    (void)pthread_mutex_lock(&p->table.lock);
    pending_chunk_settle_new(chunk, lane->frame, lane->plain_used);
    packed_table_put(&p->table, chunk);
    (void)pthread_mutex_unlock(&p->table.lock);
    memcpy(lane->plain + lane->plain_used, p->encoded, n);
    lane->plain_used += n;
    lane->chunks_new++;
    lane->bytes_new += n;
    *out = packed_of(chunk);
    out->ref.id = *id;
    return HF_OK;
}

static bool frame_full(const struct tree_lane *lane, enum frame_role role, size_t n)
{
    return lane->frame != NULL &&
           (lane->plain_used + n > FRAME_TREE_SIZE || lane->frame->role != role ||
            lane->frame->chunk_count == FRAME_CHUNKS_MAX);
}

/* A chunk that stands in a block already, or waits for one. */
static bool known(struct packer *p, enum frame_role role, const struct hf_id *id,
                  struct packed *out)
{
    struct pending_chunk *chunk;

    (void)pthread_mutex_lock(&p->table.lock);
    chunk = packed_table_find(&p->table, role, id);
    if (chunk != NULL) {
        (void)atomic_fetch_add(&chunk->references, 1);
        *out = packed_of(chunk);
        out->ref.id = *id;
    }
    (void)pthread_mutex_unlock(&p->table.lock);
    if (chunk == NULL &&
        (p->config.index == NULL || !index_find(p->config.index, id, &out->ref)))
        return false;
    p->tree.chunks_known++;
    return true;
}

static enum hf_code close_block(struct packer *p)
{
    struct packed_block *block;
    enum hf_code rc = seal_frame(p);

    block = p->tree.block;
    if (rc != HF_OK || block == NULL) return rc;
    p->tree.block = NULL;
    block_writer_submit(p->writer, block, block_size_class(block->used));
    return block_writer_wait(p->writer);
}

static bool fits(const struct packer *p, size_t n)
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
            if (seal_frame(p) != HF_OK) return failed(p);
        } else if (!fits(p, *n)) {
            if (close_block(p) != HF_OK) return failed(p);
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
        hf_tree_hash(p->encoded, n, &id);
        if (known(p, role, &id, out)) return HF_OK;
        if (frame_full(&p->tree, role, n)) (void)seal_frame(p);
        if (failed(p) == HF_OK) (void)append(p, role, &id, n, out);
    }
    return result(p, err);
}

enum hf_code packer_finish_tree(struct packer *p, struct hf_err *err)
{
    if (failed(p) == HF_OK) (void)close_block(p);
    (void)block_writer_wait(p->writer);
    return result(p, err);
}

/* ---- references ---- */

/* The frame of a chunk that is in the open tree block, or NULL. */
static const struct packed_frame *in_open_block(const struct packer *p,
                                                const struct packed *packed)
{
    const struct pending_chunk *chunk = packed->pending;

    if (!atomic_load_explicit(&chunk->settled, memory_order_acquire)) return NULL;
    if (chunk->frame == NULL || chunk->frame->tree_block == 0) return NULL;
    if (p->tree.block == NULL || chunk->frame->tree_block != p->tree.number) return NULL;
    return chunk->frame;
}

bool packed_ready(struct packer *p, struct packed *packed)
{
    return packed_complete(packed) || in_open_block(p, packed) != NULL;
}

void packer_put_chunk(struct packer *p, struct hf_writer *w, struct packed *packed)
{
    const struct packed_frame *frame;
    struct chunk_ref ref;

    if (packed_complete(packed)) {
        chunk_ref_put(w, &packed->ref, false);
        return;
    }
    frame = in_open_block(p, packed);
    if (!frame->sealed) p->seal_wanted = true;
    ref.frame.offset = frame->offset;
    ref.frame.size = frame->size;
    memcpy(ref.frame.key, frame->key, sizeof ref.frame.key);
    ref.offset = packed->pending->offset;
    ref.size = packed->pending->size;
    ref.id = packed->pending->id;
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
    (void)p;
    if (!packed_complete(packed))
        return hf_fail(err, HF_INVALID, "backup: a chunk has no place yet");
    *ref = packed->ref;
    return HF_OK;
}

/* ---- making and releasing ---- */

enum hf_code packer_new(const struct packer_config *config, struct packer **packer,
                        struct hf_err *err)
{
    struct packer *p = calloc(1, sizeof *p);
    struct batch_target data = {
        .index = config->index, .keys = config->keys, .level = config->level};

    *packer = NULL;
    if (p == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    p->config = *config;
    p->framer = framer_new();
    p->tree.plain = malloc(FRAME_PLAIN_MAX);
    p->encoded = malloc(CHUNK_SIZE_MAX);
    if (packed_table_init(&p->table))
        p->writer = block_writer_new(config->store, config->index, &p->table);
    data.writer = p->writer;
    data.table = &p->table;
    if (p->writer != NULL) p->data = data_lane_new(&data);
    if (p->framer == NULL || p->tree.plain == NULL || p->encoded == NULL ||
        p->data == NULL) {
        packer_free(p);
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    *packer = p;
    return HF_OK;
}

void packer_free(struct packer *p)
{
    if (p == NULL) return;
    data_lane_free(p->data);
    if (p->tree.frame != NULL) block_writer_drop_frame(p->writer, p->tree.frame);
    if (p->tree.block != NULL) block_writer_drop(p->writer, p->tree.block);
    block_writer_free(p->writer);
    packed_table_done(&p->table);
    framer_free(p->framer);
    free(p->tree.plain);
    free(p->encoded);
    free(p);
}

struct packer_totals packer_totals(struct packer *p)
{
    struct batch_totals data = data_lane_totals(p->data);
    struct block_writer_totals blocks = block_writer_totals(p->writer);

    return (struct packer_totals){.chunks_new = data.chunks_new + p->tree.chunks_new,
                                  .chunks_known = data.chunks_known + p->tree.chunks_known,
                                  .bytes_new = data.bytes_new + p->tree.bytes_new,
                                  .blocks = blocks.blocks,
                                  .bytes_stored = blocks.bytes};
}
