/* Lifetimes: a struct packed_frame lives while a struct packed points to it or its block
 * is not stored; all of it is touched by the owner's thread alone.  A worker sees one
 * struct packed_block with its frames, from submit until it stands in `finished`, and
 * reads only what no longer changes.  It notes the block's chunks in the index as soon as
 * the store has acknowledged it: a run that is killed stores little again. */
#include "snapshot/packer.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS         4u
#define QUEUE_MAX       2u
#define HELD_MAX        4u /* data frames that wait for a block they fit into */
#define BUCKETS         8192u
#define FRAME_OVERHEAD  64u
#define SIZE_CLASSES    7u /* 64 KiB .. 4 MiB */
#define TAIL_BLOCKS_MAX 3u

/* A chunk whose block is not stored yet. */
struct pending_chunk {
    struct hf_id id;
    uint32_t offset, size;
    struct packed_frame *frame;
    struct pending_chunk *next_in_bucket, *next_in_frame;
};

struct packed_frame {
    size_t references;
    struct packed_block *block; /* NULL until it has a place; and again once stored */
    struct packed_frame *next;  /* in its block, or held */
    struct pending_chunk *chunks, **chunks_end;
    size_t chunk_count;
    enum frame_role role;
    bool sealed, stored;
    uint32_t offset, size;
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_id block_id; /* once stored */
    uint8_t *bytes;        /* the sealed frame while it has no place; owned */
};

struct packed_block {
    struct packer *packer;
    struct packed_block *next; /* in `finished` */
    struct packed_frame *frames, **frames_end;
    uint8_t *bytes; /* BLOCK_SIZE_MAX */
    size_t used, size;
    struct hf_id id;
    enum hf_code rc;
    struct hf_err err;
};

struct lane {
    struct packed_block *block; /* the open one, or NULL */
    struct packed_frame *frame; /* the open one, or NULL: its plaintext is below */
    uint8_t *plain;             /* FRAME_PLAIN_MAX */
    size_t plain_used;
};

struct packer {
    struct packer_config config;
    struct framer *framer;
    struct hf_pool *pool;
    struct lane data, tree;
    struct packed_frame *held[HELD_MAX];
    size_t held_count;
    struct pending_chunk *buckets[BUCKETS];
    uint8_t *encoded; /* CHUNK_SIZE_MAX: a tree chunk being written */
    bool seal_wanted; /* a reference to a chunk in the open tree frame was asked for */
    uint8_t *spare[WORKERS + QUEUE_MAX + 2];
    size_t spare_count;
    struct packer_totals totals;
    struct hf_err failure;
    enum hf_code failed;

    pthread_mutex_t mutex; /* guards the two below */
    pthread_cond_t done;
    struct packed_block *finished;
    size_t in_flight; /* owner only: submitted and not yet taken from `finished` */
};

/* ---- chunks that wait ---- */

static struct pending_chunk **bucket_of(struct packer *p, const struct hf_id *id)
{
    return &p->buckets[((size_t)id->b[0] << 8 | id->b[1]) % BUCKETS];
}

static struct pending_chunk *find_pending(struct packer *p, const struct hf_id *id)
{
    struct pending_chunk *c = *bucket_of(p, id);

    while (c != NULL && !hf_id_equal(&c->id, id))
        c = c->next_in_bucket;
    return c;
}

static void forget_pending(struct packer *p, struct pending_chunk *chunk)
{
    struct pending_chunk **at = bucket_of(p, &chunk->id);

    while (*at != chunk)
        at = &(*at)->next_in_bucket;
    *at = chunk->next_in_bucket;
    free(chunk);
}

static void frame_unref(struct packed_frame *frame)
{
    if (frame == NULL || --frame->references > 0) return;
    free(frame->bytes);
    free(frame);
}

static struct packed_frame *frame_new(enum frame_role role)
{
    struct packed_frame *frame = calloc(1, sizeof *frame);

    if (frame == NULL) return NULL;
    frame->references = 1;
    frame->role = role;
    frame->chunks_end = &frame->chunks;
    return frame;
}

static struct packed packed_of(struct pending_chunk *chunk)
{
    struct packed packed = {.frame = chunk->frame};

    packed.ref.offset = chunk->offset;
    packed.ref.size = chunk->size;
    packed.ref.id = chunk->id;
    chunk->frame->references++;
    return packed;
}

struct packed packed_known(const struct chunk_ref *ref)
{
    return (struct packed){.ref = *ref};
}

void packed_done(struct packed *packed)
{
    frame_unref(packed->frame);
    packed->frame = NULL;
}

/* ---- blocks ---- */

static enum hf_code fail(struct packer *p, const struct hf_err *why)
{
    if (p->failed == HF_OK) {
        p->failure = *why;
        p->failed = why->code;
    }
    return p->failed;
}

static enum hf_code out_of_memory(struct packer *p)
{
    struct hf_err err;

    (void)hf_fail(&err, HF_NO_MEMORY, "backup: out of memory");
    return fail(p, &err);
}

static struct packed_block *block_new(struct packer *p)
{
    struct packed_block *block = calloc(1, sizeof *block);

    if (block == NULL) return NULL;
    block->bytes = p->spare_count > 0 ? p->spare[--p->spare_count] : malloc(BLOCK_SIZE_MAX);
    if (block->bytes == NULL) {
        free(block);
        return NULL;
    }
    block->packer = p;
    block->frames_end = &block->frames;
    return block;
}

/* Its chunks are no longer pending: they are stored, or never will be. */
static void frame_drop(struct packer *p, struct packed_frame *frame)
{
    struct pending_chunk *chunk = frame->chunks;

    while (chunk != NULL) {
        struct pending_chunk *next = chunk->next_in_frame;

        forget_pending(p, chunk);
        chunk = next;
    }
    frame->chunks = NULL;
    frame->block = NULL;
    frame_unref(frame);
}

/* Drops a block with its frames: it is stored, or never will be. */
static void block_drop(struct packer *p, struct packed_block *block)
{
    struct packed_frame *frame = block->frames;

    while (frame != NULL) {
        struct packed_frame *next = frame->next;

        frame_drop(p, frame);
        frame = next;
    }
    if (p->spare_count < sizeof p->spare / sizeof p->spare[0])
        p->spare[p->spare_count++] = block->bytes;
    else
        free(block->bytes);
    free(block);
}

/* A worker is through with the block: its frames know where they are. */
static void settle(struct packer *p, struct packed_block *block)
{
    p->in_flight--;
    if (block->rc == HF_OK) {
        p->totals.blocks++;
        p->totals.bytes_stored += block->size;
    } else {
        (void)fail(p, &block->err);
    }
    for (struct packed_frame *f = block->frames; f != NULL && block->rc == HF_OK;
         f = f->next) {
        f->block_id = block->id;
        f->stored = true;
    }
    block_drop(p, block);
}

/* Takes what the workers have finished; with `wait`, at least one block. */
static enum hf_code drain(struct packer *p, bool wait)
{
    struct packed_block *block;

    if (p->in_flight == 0) return p->failed;
    (void)pthread_mutex_lock(&p->mutex);
    while (wait && p->finished == NULL)
        (void)pthread_cond_wait(&p->done, &p->mutex);
    block = p->finished;
    p->finished = NULL;
    (void)pthread_mutex_unlock(&p->mutex);
    while (block != NULL) {
        struct packed_block *next = block->next;

        settle(p, block);
        block = next;
    }
    return p->failed;
}

/* On a worker.  What it reads of the frames no longer changes once they are submitted. */
static enum hf_code note_chunks(struct packed_block *block)
{
    struct chunk_ref *refs;
    size_t count = 0;
    size_t n = 0;
    enum hf_code rc;

    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        count += f->chunk_count;
    refs = hf_alloc_array(count, sizeof *refs);
    if (refs == NULL) return hf_fail(&block->err, HF_NO_MEMORY, "index: out of memory");
    for (struct packed_frame *f = block->frames; f != NULL; f = f->next) {
        for (struct pending_chunk *c = f->chunks; c != NULL; c = c->next_in_frame) {
            struct chunk_ref *ref = &refs[n++];

            ref->frame.block = block->id;
            ref->frame.offset = f->offset;
            ref->frame.size = f->size;
            memcpy(ref->frame.key, f->key, sizeof ref->frame.key);
            ref->offset = c->offset;
            ref->size = c->size;
            ref->id = c->id;
        }
    }
    rc = index_add(block->packer->config.index, refs, n, &block->err);
    free(refs);
    return rc;
}

static void store_block(void *arg)
{
    struct packed_block *block = arg;
    struct packer *p = block->packer;

    block->rc = block_store_put(p->config.store, block->bytes, block->size, &block->id,
                                &block->err);
    if (block->rc == HF_OK && p->config.index != NULL) block->rc = note_chunks(block);
    (void)pthread_mutex_lock(&p->mutex);
    block->next = p->finished;
    p->finished = block;
    (void)pthread_cond_signal(&p->done);
    (void)pthread_mutex_unlock(&p->mutex);
}

static size_t size_class(size_t used)
{
    size_t size = BLOCK_SIZE_MIN;

    while (size < used)
        size *= 2;
    return size;
}

/* Pads the block with random bytes to `size` and hands it to a worker. */
static enum hf_code submit(struct packer *p, struct packed_block *block, size_t size)
{
    hf_random_fill(block->bytes + block->used, size - block->used);
    block->size = size;
    p->in_flight++;
    hf_pool_submit(p->pool, store_block, block);
    return drain(p, false);
}

/* ---- frames ---- */

static void place(struct packed_block *block, struct packed_frame *frame)
{
    frame->block = block;
    frame->offset = (uint32_t)block->used;
    frame->next = NULL;
    *block->frames_end = frame;
    block->frames_end = &frame->next;
    block->used += frame->size;
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
    if (lane->block == NULL) lane->block = block_new(p);
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
        frame_drop(p, frame);
        return fail(p, &err);
    }
    frame->size = (uint32_t)size;
    frame->sealed = true;
    if (frame->bytes == NULL) place(lane->block, frame);
    return HF_OK;
no_memory:
    frame_drop(p, frame);
    return out_of_memory(p);
}

static void copy_in(struct packed_block *block, struct packed_frame *frame)
{
    memcpy(block->bytes + block->used, frame->bytes, frame->size);
    free(frame->bytes);
    frame->bytes = NULL;
    place(block, frame);
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
    rc = submit(p, full, BLOCK_SIZE_MAX);
    if (rc != HF_OK) return rc;
    p->data.block = block_new(p);
    if (p->data.block == NULL) return out_of_memory(p);
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

static struct pending_chunk *add_chunk(struct packer *p, struct packed_frame *frame,
                                       const struct hf_id *id, size_t offset, size_t n)
{
    struct pending_chunk *chunk = calloc(1, sizeof *chunk);
    struct pending_chunk **bucket = bucket_of(p, id);

    if (chunk == NULL) return NULL;
    chunk->id = *id;
    chunk->offset = (uint32_t)offset;
    chunk->size = (uint32_t)n;
    chunk->frame = frame;
    chunk->next_in_bucket = *bucket;
    *bucket = chunk;
    *frame->chunks_end = chunk;
    frame->chunks_end = &chunk->next_in_frame;
    frame->chunk_count++;
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

    if (lane->frame == NULL) lane->frame = frame_new(role);
    if (lane->frame == NULL) return out_of_memory(p);
    chunk = add_chunk(p, lane->frame, id, lane->plain_used, n);
    if (chunk == NULL) return out_of_memory(p);
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
    struct pending_chunk *chunk = find_pending(p, id);

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
    if (p->failed == HF_OK && known(p, &id, out)) return HF_OK;
    if (p->failed == HF_OK &&
        n >= FRAME_SHARED_SIZE / 2) { /* a frame of its own, uncopied */
        frame = frame_new(FRAME_DATA);
        chunk = frame != NULL ? add_chunk(p, frame, &id, 0, n) : NULL;
        if (chunk == NULL) {
            frame_unref(frame);
            (void)out_of_memory(p);
        } else {
            *out = packed_of(chunk);
            (void)put_data_frame(p, frame, bytes, n);
        }
    } else if (p->failed == HF_OK) {
        if (frame_full(&p->data, FRAME_DATA, n)) (void)seal_open(p, &p->data);
        if (p->failed == HF_OK) (void)append(p, &p->data, FRAME_DATA, &id, bytes, n, out);
    }
    if (p->failed == HF_OK) return HF_OK;
    packed_done(out);
    *err = p->failure;
    return p->failed;
}

static enum hf_code wait_all(struct packer *p)
{
    while (p->in_flight > 0)
        (void)drain(p, true);
    return p->failed;
}

static enum hf_code close_tree_block(struct packer *p)
{
    struct packed_block *block;
    enum hf_code rc = seal_open(p, &p->tree);

    block = p->tree.block;
    if (rc != HF_OK || block == NULL) return rc;
    p->tree.block = NULL;
    rc = submit(p, block, size_class(block->used));
    return rc == HF_OK ? wait_all(p) : rc;
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
        if (p->failed != HF_OK) return p->failed;
        if (w.failed) {
            (void)hf_fail(&err, HF_TOO_LARGE, "tree: a chunk of %zu bytes", w.wanted);
            return fail(p, &err);
        }
        if (p->seal_wanted) {
            if (seal_open(p, &p->tree) != HF_OK) return p->failed;
        } else if (!tree_fits(p, *n)) {
            if (close_tree_block(p) != HF_OK) return p->failed;
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
    if (p->failed == HF_OK && encode_tree(p, encode, arg, &n) == HF_OK) {
        hf_sha256(p->encoded, n, &id);
        if (known(p, &id, out)) return HF_OK;
        if (frame_full(&p->tree, role, n)) (void)seal_open(p, &p->tree);
        if (p->failed == HF_OK) (void)append(p, &p->tree, role, &id, p->encoded, n, out);
    }
    if (p->failed != HF_OK) *err = p->failure;
    return p->failed;
}

/* ---- references ---- */

/* Completes the reference when the frame is stored. */
static bool complete(struct packed *packed)
{
    struct packed_frame *frame = packed->frame;

    if (frame == NULL) return true;
    if (!frame->stored) return false;
    packed->ref.frame.block = frame->block_id;
    packed->ref.frame.offset = frame->offset;
    packed->ref.frame.size = frame->size;
    memcpy(packed->ref.frame.key, frame->key, sizeof frame->key);
    packed_done(packed);
    return true;
}

static bool in_open_tree_block(const struct packer *p, const struct packed_frame *frame)
{
    return frame == p->tree.frame ||
           (frame->block != NULL && frame->block == p->tree.block);
}

bool packed_ready(struct packer *p, struct packed *packed)
{
    if (complete(packed)) return true;
    if (in_open_tree_block(p, packed->frame)) return true;
    (void)drain(p, false);
    return complete(packed);
}

void packer_put_chunk(struct packer *p, struct hf_writer *w, struct packed *packed)
{
    struct chunk_ref ref;

    if (complete(packed)) {
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
    if (!complete(packed)) {
        if (p->failed != HF_OK) *err = p->failure;
        return p->failed != HF_OK
                   ? p->failed
                   : hf_fail(err, HF_INVALID, "reference: its block is not stored");
    }
    *ref = packed->ref;
    return HF_OK;
}

/* ---- the end of a run ---- */

struct tail {
    size_t sizes[TAIL_BLOCKS_MAX];
    size_t count, total;
};

/* Which block each frame goes to, first fit in falling order of size; false: does not fit.
 */
static bool fit(const struct tail *tail, struct packed_frame **frames, size_t count,
                unsigned char *where)
{
    size_t used[TAIL_BLOCKS_MAX] = {0};

    for (size_t i = 0; i < count; i++) {
        size_t b = 0;

        while (b < tail->count && used[b] + frames[i]->size > tail->sizes[b])
            b++;
        if (b == tail->count) return false;
        used[b] += frames[i]->size;
        where[i] = (unsigned char)b;
    }
    return true;
}

static int larger_first(const void *a, const void *b)
{
    const struct packed_frame *const *x = a;
    const struct packed_frame *const *y = b;

    return (*x)->size < (*y)->size ? 1 : (*x)->size > (*y)->size ? -1 : 0;
}

/* The cheapest of all choices of up to three size classes into which the frames fit. */
static struct tail choose_tail(struct packed_frame **frames, size_t count,
                               unsigned char *where, unsigned char *trial)
{
    struct tail best = {.sizes = {BLOCK_SIZE_MAX}, .count = 1, .total = BLOCK_SIZE_MAX};

    memset(where, 0, count);
    for (size_t code = 0; code < SIZE_CLASSES * (SIZE_CLASSES + 1) * (SIZE_CLASSES + 1);
         code++) {
        size_t c[TAIL_BLOCKS_MAX] = {code % SIZE_CLASSES,
                                     code / SIZE_CLASSES % (SIZE_CLASSES + 1), 0};
        struct tail t = {0};

        c[2] = code / SIZE_CLASSES / (SIZE_CLASSES + 1);
        if (c[1] > c[0] + 1 || c[2] > c[1]) continue; /* falling; 0 stands for none */
        t.sizes[t.count++] = (size_t)BLOCK_SIZE_MIN << c[0];
        if (c[1] > 0) t.sizes[t.count++] = (size_t)BLOCK_SIZE_MIN << (c[1] - 1);
        if (c[2] > 0) t.sizes[t.count++] = (size_t)BLOCK_SIZE_MIN << (c[2] - 1);
        for (size_t i = 0; i < t.count; i++)
            t.total += t.sizes[i];
        if (t.total > best.total || (t.total == best.total && t.count >= best.count))
            continue;
        if (!fit(&t, frames, count, trial)) continue;
        best = t;
        memcpy(where, trial, count);
    }
    return best;
}

/* Divides the frames of the last data block among blocks of smaller size classes. */
static enum hf_code submit_tail(struct packer *p, struct packed_block *block)
{
    struct packed_block *parts[TAIL_BLOCKS_MAX] = {NULL};
    struct packed_frame **frames;
    unsigned char *where;
    struct tail tail;
    size_t count = 0;

    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        count++;
    frames = hf_alloc_array(count, sizeof(struct packed_frame *));
    where = hf_alloc_array(count, 2);
    if (frames == NULL || where == NULL) {
        free(frames);
        free(where);
        block_drop(p, block);
        return out_of_memory(p);
    }
    count = 0;
    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        frames[count++] = f;
    qsort(frames, count, sizeof(struct packed_frame *), larger_first);
    tail = choose_tail(frames, count, where, where + count);
    for (size_t i = 0; i < tail.count && tail.count > 1; i++) {
        parts[i] = block_new(p);
        if (parts[i] != NULL) continue;
        while (i-- > 0)
            block_drop(p, parts[i]);
        tail.count = 1; /* no memory to divide it: one block does as well */
        tail.sizes[0] = size_class(block->used);
    }
    if (tail.count == 1) {
        (void)submit(p, block, tail.sizes[0]);
    } else {
        for (size_t i = 0; i < count; i++) {
            struct packed_block *part = parts[where[i]];

            memcpy(part->bytes + part->used, block->bytes + frames[i]->offset,
                   frames[i]->size);
            place(part, frames[i]);
        }
        block->frames = NULL;
        block_drop(p, block);
        for (size_t i = 0; i < tail.count; i++)
            (void)submit(p, parts[i], tail.sizes[i]);
    }
    free(frames);
    free(where);
    return p->failed;
}

enum hf_code packer_finish_data(struct packer *p, struct hf_err *err)
{
    struct packed_block *block;

    (void)seal_open(p, &p->data);
    while (p->failed == HF_OK && p->held_count > 0) /* more than one block is left */
        (void)next_data_block(p);
    block = p->data.block;
    p->data.block = NULL;
    if (block != NULL && (block->used == 0 || p->failed != HF_OK))
        block_drop(p, block);
    else if (block != NULL)
        (void)submit_tail(p, block);
    (void)wait_all(p);
    if (p->failed != HF_OK) *err = p->failure;
    return p->failed;
}

enum hf_code packer_finish_tree(struct packer *p, struct hf_err *err)
{
    if (p->failed == HF_OK) (void)close_tree_block(p);
    (void)wait_all(p);
    if (p->failed != HF_OK) *err = p->failure;
    return p->failed;
}

/* ---- making and releasing ---- */

enum hf_code packer_new(const struct packer_config *config, struct packer **packer,
                        struct hf_err *err)
{
    struct packer *p = calloc(1, sizeof *p);

    *packer = NULL;
    if (p == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    p->config = *config;
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_cond_init(&p->done, NULL);
    p->framer = framer_new();
    p->data.plain = malloc(FRAME_PLAIN_MAX);
    p->tree.plain = malloc(FRAME_PLAIN_MAX);
    p->encoded = malloc(CHUNK_SIZE_MAX);
    p->pool = hf_pool_new(WORKERS, QUEUE_MAX);
    if (p->framer == NULL || p->data.plain == NULL || p->tree.plain == NULL ||
        p->encoded == NULL || p->pool == NULL) {
        packer_free(p);
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    *packer = p;
    return HF_OK;
}

static void lane_drop(struct packer *p, struct lane *lane)
{
    if (lane->frame != NULL) frame_drop(p, lane->frame);
    if (lane->block != NULL) block_drop(p, lane->block);
    free(lane->plain);
}

void packer_free(struct packer *p)
{
    if (p == NULL) return;
    while (p->in_flight > 0)
        (void)drain(p, true);
    hf_pool_free(p->pool);
    lane_drop(p, &p->data);
    lane_drop(p, &p->tree);
    for (size_t i = 0; i < p->held_count; i++)
        frame_drop(p, p->held[i]);
    while (p->spare_count > 0)
        free(p->spare[--p->spare_count]);
    framer_free(p->framer);
    (void)pthread_cond_destroy(&p->done);
    (void)pthread_mutex_destroy(&p->mutex);
    free(p->encoded);
    free(p);
}

const struct packer_totals *packer_totals(const struct packer *packer)
{
    return &packer->totals;
}
