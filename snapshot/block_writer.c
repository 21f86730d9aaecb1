#include "snapshot/block_writer.h"

#include "base/pool.h"
#include "base/random.h"
#include "snapshot/noter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS   4u
#define QUEUE_MAX 2u

struct block_writer {
    struct block_store *store;
    struct packed_table *table;
    struct hf_pool *pool;
    struct noter *noter;
    atomic_int failed; /* an enum hf_code */

    pthread_mutex_t mutex;                   /* guards all below */
    uint8_t *spare[WORKERS + QUEUE_MAX + 2]; /* buffers of blocks, for reuse */
    size_t spare_count;
    struct block_writer_totals totals;
    struct hf_err failure;
};

/* ---- failure ---- */

enum hf_code block_writer_failed(struct block_writer *w)
{
    return (enum hf_code)atomic_load(&w->failed);
}

enum hf_code block_writer_fail(struct block_writer *w, const struct hf_err *why)
{
    (void)pthread_mutex_lock(&w->mutex);
    if (block_writer_failed(w) == HF_OK) {
        w->failure = *why;
        atomic_store(&w->failed, (int)why->code);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return block_writer_failed(w);
}

enum hf_code block_writer_no_memory(struct block_writer *w)
{
    struct hf_err err;

    (void)hf_fail(&err, HF_NO_MEMORY, "backup: out of memory");
    return block_writer_fail(w, &err);
}

struct hf_err block_writer_failure(struct block_writer *w)
{
    struct hf_err failure;

    (void)pthread_mutex_lock(&w->mutex);
    failure = w->failure;
    (void)pthread_mutex_unlock(&w->mutex);
    return failure;
}

/* ---- blocks ---- */

static uint8_t *take_spare(struct block_writer *w)
{
    uint8_t *bytes = NULL;

    (void)pthread_mutex_lock(&w->mutex);
    if (w->spare_count > 0) bytes = w->spare[--w->spare_count];
    (void)pthread_mutex_unlock(&w->mutex);
    return bytes != NULL ? bytes : malloc(BLOCK_SIZE_MAX);
}

static void give_spare(struct block_writer *w, uint8_t *bytes)
{
    (void)pthread_mutex_lock(&w->mutex);
    if (w->spare_count < sizeof w->spare / sizeof w->spare[0]) {
        w->spare[w->spare_count++] = bytes;
        bytes = NULL;
    }
    (void)pthread_mutex_unlock(&w->mutex);
    free(bytes);
}

struct packed_block *block_writer_begin(struct block_writer *w)
{
    struct packed_block *block = calloc(1, sizeof *block);

    if (block == NULL) return NULL;
    block->bytes = take_spare(w);
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
    frame->offset = (uint32_t)block->used;
    frame->next = NULL;
    *block->frames_end = frame;
    block->frames_end = &frame->next;
    block->used += frame->size;
}

void block_writer_drop_frame(struct block_writer *w, struct packed_frame *frame)
{
    packed_frame_forget(w->table, frame);
    packed_frame_unref(frame);
}

void block_writer_drop(struct block_writer *w, struct packed_block *block)
{
    struct packed_frame *frame = block->frames;

    while (frame != NULL) {
        struct packed_frame *next = frame->next;

        block_writer_drop_frame(w, frame);
        frame = next;
    }
    give_spare(w, block->bytes);
    free(block);
}

static void store_block(void *arg)
{
    struct packed_block *block = arg;
    struct block_writer *w = block->writer;
    struct hf_id id;
    struct hf_err err;
    enum hf_code rc = block_writer_failed(w); /* of another block: no use to go on */

    if (rc == HF_OK) {
        rc = block_store_put(w->store, block->bytes, block->size, &id, &err);
        if (rc != HF_OK) (void)block_writer_fail(w, &err);
    }
    if (rc != HF_OK) {
        block_writer_drop(w, block);
        return;
    }
    (void)pthread_mutex_lock(&w->mutex);
    w->totals.blocks++;
    w->totals.bytes += block->size;
    (void)pthread_mutex_unlock(&w->mutex);
    for (struct packed_frame *f = block->frames; f != NULL; f = f->next)
        packed_frame_set_stored(f, &id);
    noter_add(w->noter, block->frames);
    block->frames = NULL;
    block_writer_drop(w, block);
}

size_t block_size_class(size_t used)
{
    return (used + BLOCK_SIZE_MIN - 1) / BLOCK_SIZE_MIN * BLOCK_SIZE_MIN;
}

void block_writer_submit(struct block_writer *w, struct packed_block *block, size_t size)
{
    hf_random_fill(block->bytes + block->used, size - block->used);
    block->size = size;
    hf_pool_submit(w->pool, store_block, block);
}

enum hf_code block_writer_wait(struct block_writer *w)
{
    struct hf_err err;

    hf_pool_wait(w->pool);
    if (noter_wait(w->noter, &err) != HF_OK) (void)block_writer_fail(w, &err);
    return block_writer_failed(w);
}

struct block_writer_totals block_writer_totals(struct block_writer *w)
{
    struct block_writer_totals totals;

    (void)pthread_mutex_lock(&w->mutex);
    totals = w->totals;
    (void)pthread_mutex_unlock(&w->mutex);
    return totals;
}

struct block_writer *block_writer_new(struct block_store *store, struct index *index,
                                      struct packed_table *table)
{
    struct block_writer *w = calloc(1, sizeof *w);

    if (w == NULL) return NULL;
    w->store = store;
    w->table = table;
    atomic_init(&w->failed, HF_OK);
    (void)pthread_mutex_init(&w->mutex, NULL);
    w->noter = noter_new(index, table);
    w->pool = hf_pool_new(WORKERS, QUEUE_MAX);
    if (w->pool != NULL && w->noter != NULL) return w;
    block_writer_free(w);
    return NULL;
}

void block_writer_free(struct block_writer *w)
{
    if (w == NULL) return;
    hf_pool_free(w->pool);
    noter_free(w->noter);
    while (w->spare_count > 0)
        free(w->spare[--w->spare_count]);
    (void)pthread_mutex_destroy(&w->mutex);
    free(w);
}
