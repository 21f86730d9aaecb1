#include "snapshot/block_writer.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS   4u
#define QUEUE_MAX 2u

struct block_writer {
    struct block_store *store;
    struct index *index;
    struct packed_table *table;
    struct hf_pool *pool;
    uint8_t *spare[WORKERS + QUEUE_MAX + 2]; /* buffers of blocks, for reuse */
    size_t spare_count;
    struct block_writer_totals totals;
    struct hf_err failure;
    enum hf_code failed;
    size_t in_flight; /* submitted and not yet taken from `finished` */

    pthread_mutex_t mutex; /* guards the one below */
    pthread_cond_t done;
    struct packed_block *finished;
};

enum hf_code block_writer_fail(struct block_writer *w, const struct hf_err *why)
{
    if (w->failed == HF_OK) {
        w->failure = *why;
        w->failed = why->code;
    }
    return w->failed;
}

enum hf_code block_writer_no_memory(struct block_writer *w)
{
    struct hf_err err;

    (void)hf_fail(&err, HF_NO_MEMORY, "backup: out of memory");
    return block_writer_fail(w, &err);
}

struct packed_block *block_writer_begin(struct block_writer *w)
{
    struct packed_block *block = calloc(1, sizeof *block);

    if (block == NULL) return NULL;
    block->bytes = w->spare_count > 0 ? w->spare[--w->spare_count] : malloc(BLOCK_SIZE_MAX);
    if (block->bytes == NULL) {
        free(block);
        return NULL;
    }
    block->writer = w;
    block->frames_end = &block->frames;
    return block;
}

void block_place(struct packed_block *block, struct packed_frame *frame)
{
    frame->block = block;
    frame->offset = (uint32_t)block->used;
    frame->next = NULL;
    *block->frames_end = frame;
    block->frames_end = &frame->next;
    block->used += frame->size;
}

void block_writer_drop(struct block_writer *w, struct packed_block *block)
{
    struct packed_frame *frame = block->frames;

    while (frame != NULL) {
        struct packed_frame *next = frame->next;

        packed_frame_drop(w->table, frame);
        frame = next;
    }
    if (w->spare_count < sizeof w->spare / sizeof w->spare[0])
        w->spare[w->spare_count++] = block->bytes;
    else
        free(block->bytes);
    free(block);
}

/* A worker is through with the block: its frames know where they are. */
static void settle(struct block_writer *w, struct packed_block *block)
{
    w->in_flight--;
    if (block->rc == HF_OK) {
        w->totals.blocks++;
        w->totals.bytes += block->size;
    } else {
        (void)block_writer_fail(w, &block->err);
    }
    for (struct packed_frame *f = block->frames; f != NULL && block->rc == HF_OK;
         f = f->next) {
        f->block_id = block->id;
        f->stored = true;
    }
    block_writer_drop(w, block);
}

/* Takes what the workers have finished; with `wait`, at least one block. */
static enum hf_code drain(struct block_writer *w, bool wait)
{
    struct packed_block *block;

    if (w->in_flight == 0) return w->failed;
    (void)pthread_mutex_lock(&w->mutex);
    while (wait && w->finished == NULL)
        (void)pthread_cond_wait(&w->done, &w->mutex);
    block = w->finished;
    w->finished = NULL;
    (void)pthread_mutex_unlock(&w->mutex);
    while (block != NULL) {
        struct packed_block *next = block->next;

        settle(w, block);
        block = next;
    }
    return w->failed;
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
    rc = index_add(block->writer->index, refs, n, &block->err);
    free(refs);
    return rc;
}

static void store_block(void *arg)
{
    struct packed_block *block = arg;
    struct block_writer *w = block->writer;

    block->rc =
        block_store_put(w->store, block->bytes, block->size, &block->id, &block->err);
    if (block->rc == HF_OK && w->index != NULL) block->rc = note_chunks(block);
    (void)pthread_mutex_lock(&w->mutex);
    block->next = w->finished;
    w->finished = block;
    (void)pthread_cond_signal(&w->done);
    (void)pthread_mutex_unlock(&w->mutex);
}

size_t block_size_class(size_t used)
{
    size_t size = BLOCK_SIZE_MIN;

    while (size < used)
        size *= 2;
    return size;
}

enum hf_code block_writer_submit(struct block_writer *w, struct packed_block *block,
                                 size_t size)
{
    hf_random_fill(block->bytes + block->used, size - block->used);
    block->size = size;
    w->in_flight++;
    hf_pool_submit(w->pool, store_block, block);
    return drain(w, false);
}

enum hf_code block_writer_drain(struct block_writer *w)
{
    return drain(w, false);
}

enum hf_code block_writer_wait(struct block_writer *w)
{
    while (w->in_flight > 0)
        (void)drain(w, true);
    return w->failed;
}

enum hf_code block_writer_failed(const struct block_writer *writer)
{
    return writer->failed;
}

const struct hf_err *block_writer_failure(const struct block_writer *writer)
{
    return &writer->failure;
}

const struct block_writer_totals *block_writer_totals(const struct block_writer *writer)
{
    return &writer->totals;
}

struct block_writer *block_writer_new(struct block_store *store, struct index *index,
                                      struct packed_table *table)
{
    struct block_writer *w = calloc(1, sizeof *w);

    if (w == NULL) return NULL;
    w->store = store;
    w->index = index;
    w->table = table;
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_cond_init(&w->done, NULL);
    w->pool = hf_pool_new(WORKERS, QUEUE_MAX);
    if (w->pool != NULL) return w;
    block_writer_free(w);
    return NULL;
}

void block_writer_free(struct block_writer *w)
{
    if (w == NULL) return;
    while (w->in_flight > 0)
        (void)drain(w, true);
    hf_pool_free(w->pool);
    while (w->spare_count > 0)
        free(w->spare[--w->spare_count]);
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_mutex_destroy(&w->mutex);
    free(w);
}
