#include "snapshot/packed.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384u /* what waits is bounded by the blocks under way */

/* ---- the table ---- */

bool packed_table_init(struct packed_table *table)
{
    table->buckets = hf_alloc_array(BUCKETS, sizeof(struct pending_chunk *));
    table->bucket_count = BUCKETS;
    (void)pthread_mutex_init(&table->lock, NULL);
    return table->buckets != NULL;
}

void packed_table_done(struct packed_table *table)
{
    if (table->bucket_count == 0) return;
    (void)pthread_mutex_destroy(&table->lock);
    free(table->buckets);
    memset(table, 0, sizeof *table);
}

static struct pending_chunk **bucket_of(struct packed_table *table, const struct hf_id *id)
{
    uint64_t h;

    memcpy(&h, id->b, sizeof h);
    return &table->buckets[h % table->bucket_count];
}

struct pending_chunk *packed_table_find(struct packed_table *table, enum frame_role role,
                                        const struct hf_id *id)
{
    struct pending_chunk *c = *bucket_of(table, id);

    while (c != NULL && (!hf_id_equal(&c->id, id) || c->frame->role != role))
        c = c->next_in_bucket;
    return c;
}

void packed_table_put(struct packed_table *table, struct pending_chunk *chunk)
{
    struct pending_chunk **bucket = bucket_of(table, &chunk->id);

    (void)atomic_fetch_add(&chunk->references, 1);
    chunk->next_in_bucket = *bucket;
    *bucket = chunk;
}

static void take(struct packed_table *table, struct pending_chunk *chunk)
{
    struct pending_chunk **at = bucket_of(table, &chunk->id);

    while (*at != NULL && *at != chunk)
        at = &(*at)->next_in_bucket;
    if (*at == NULL) return;
    *at = chunk->next_in_bucket;
    pending_chunk_unref(chunk);
}

/* ---- chunks ---- */

struct pending_chunk *pending_chunk_new(size_t size)
{
    struct pending_chunk *chunk = calloc(1, sizeof *chunk);

    if (chunk == NULL) return NULL;
    atomic_init(&chunk->references, 1);
    atomic_init(&chunk->settled, false);
    chunk->size = (uint32_t)size;
    return chunk;
}

void pending_chunk_unref(struct pending_chunk *chunk)
{
    if (chunk == NULL || atomic_fetch_sub(&chunk->references, 1) != 1) return;
    packed_frame_unref(chunk->frame);
    free(chunk);
}

void pending_chunk_settle_known(struct pending_chunk *chunk, const struct chunk_ref *ref)
{
    chunk->known = ref->frame;
    chunk->offset = ref->offset;
    atomic_store_explicit(&chunk->settled, true, memory_order_release);
}

static void settle_in(struct pending_chunk *chunk, struct packed_frame *frame,
                      size_t offset)
{
    (void)atomic_fetch_add(&frame->references, 1);
    chunk->frame = frame;
    chunk->offset = (uint32_t)offset;
    atomic_store_explicit(&chunk->settled, true, memory_order_release);
}

void pending_chunk_settle_same(struct pending_chunk *chunk,
                               const struct pending_chunk *other)
{
    settle_in(chunk, other->frame, other->offset);
}

void pending_chunk_settle_new(struct pending_chunk *chunk, struct packed_frame *frame,
                              size_t offset)
{
    *frame->chunks_end = chunk;
    frame->chunks_end = &chunk->next_in_frame;
    frame->chunk_count++;
    settle_in(chunk, frame, offset);
}

/* ---- frames ---- */

struct packed_frame *packed_frame_new(enum frame_role role)
{
    struct packed_frame *frame = calloc(1, sizeof *frame);

    if (frame == NULL) return NULL;
    atomic_init(&frame->references, 1);
    atomic_init(&frame->stored, false);
    frame->role = role;
    frame->chunks_end = &frame->chunks;
    return frame;
}

void packed_frame_unref(struct packed_frame *frame)
{
    if (frame == NULL || atomic_fetch_sub(&frame->references, 1) != 1) return;
    free(frame);
}

void packed_frame_forget(struct packed_table *table, struct packed_frame *frame)
{
    struct pending_chunk *chunk;

    (void)pthread_mutex_lock(&table->lock);
    chunk = frame->chunks;
    frame->chunks = NULL;
    while (chunk != NULL) {
        struct pending_chunk *next = chunk->next_in_frame;

        take(table, chunk);
        chunk = next;
    }
    (void)pthread_mutex_unlock(&table->lock);
}

void packed_frame_set_stored(struct packed_frame *frame, const struct hf_id *block)
{
    frame->block_id = *block;
    atomic_store_explicit(&frame->stored, true, memory_order_release);
}

/* ---- handles ---- */

struct packed packed_of(struct pending_chunk *chunk)
{
    struct packed packed = {.pending = chunk};

    packed.ref.size = chunk->size;
    return packed;
}

struct packed packed_known(const struct chunk_ref *ref)
{
    return (struct packed){.ref = *ref};
}

struct packed packed_copy(const struct packed *packed)
{
    if (packed->pending != NULL) (void)atomic_fetch_add(&packed->pending->references, 1);
    return *packed;
}

void packed_done(struct packed *packed)
{
    pending_chunk_unref(packed->pending);
    packed->pending = NULL;
}

bool packed_complete(struct packed *packed)
{
    const struct pending_chunk *chunk = packed->pending;
    const struct packed_frame *frame;

    if (chunk == NULL) return true;
    if (!atomic_load_explicit(&chunk->settled, memory_order_acquire)) return false;
    frame = chunk->frame;
    if (frame != NULL && !atomic_load_explicit(&frame->stored, memory_order_acquire))
        return false;
    packed->ref.offset = chunk->offset;
    packed->ref.id = chunk->id;
    if (frame == NULL) {
        packed->ref.frame = chunk->known;
    } else {
        packed->ref.frame.block = frame->block_id;
        packed->ref.frame.offset = frame->offset;
        packed->ref.frame.size = frame->size;
        memcpy(packed->ref.frame.key, frame->key, sizeof frame->key);
    }
    packed_done(packed);
    return true;
}
