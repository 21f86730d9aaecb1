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

/* A chunk made of these others, NULL: out of memory. */
static struct pending_chunk *chunk_of(const struct chunk_ref *refs, size_t count)
{
    struct pending_chunk *chunk;
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += refs[i].size;
    chunk = pending_chunk_new(size);
    if (chunk == NULL) return NULL;
    if (count == 1) {
        chunk->id = refs[0].id;
        pending_chunk_settle_known(chunk, &refs[0]);
    } else if (!pending_chunk_settle_parts(chunk, refs, count)) {
        pending_chunk_unref(chunk);
        return NULL;
    }
    return chunk;
}

/* As if it stood in a frame that was divided within it. */
bool pending_chunk_settle_parts(struct pending_chunk *chunk, const struct chunk_ref *refs,
                                size_t count)
{
    struct packed_frame *frame = packed_frame_new(FRAME_DATA);
    struct frame_division *division = calloc(1, sizeof *division);

    if (frame == NULL || division == NULL) {
        packed_frame_unref(frame);
        free(division);
        return false;
    }
    frame->division = division;
    division->at = refs[0].size;
    division->halves[0] = chunk_of(refs, 1);
    division->halves[1] = chunk_of(refs + 1, count - 1);
    if (division->halves[0] == NULL || division->halves[1] == NULL) {
        packed_frame_unref(frame);
        return false;
    }
    settle_in(chunk, frame, 0);
    packed_frame_unref(frame); /* the chunk holds it */
    return true;
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

static void division_free(struct frame_division *division)
{
    for (size_t i = 0; division != NULL && i < 2; i++) {
        packed_frame_unref(division->parts[i]);
        pending_chunk_unref(division->halves[i]);
    }
    free(division);
}

void packed_frame_unref(struct packed_frame *frame)
{
    if (frame == NULL || atomic_fetch_sub(&frame->references, 1) != 1) return;
    division_free(frame->division);
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

/* The frame that holds the chunk now, and where; NULL: none, it was divided. */
static const struct packed_frame *locate(const struct pending_chunk *chunk,
                                         const struct frame_division **across,
                                         uint32_t *offset)
{
    const struct packed_frame *frame = chunk->frame;

    *offset = chunk->offset;
    while (frame->division != NULL) {
        *across = frame->division;
        if (*offset + chunk->size <= frame->division->at) {
            frame = frame->division->parts[0];
        } else if (*offset >= frame->division->at) {
            *offset -= frame->division->at;
            frame = frame->division->parts[1];
        } else {
            return NULL;
        }
    }
    return frame;
}

static bool settled(const struct pending_chunk *chunk)
{
    return atomic_load_explicit(&chunk->settled, memory_order_acquire);
}

bool packed_halves(const struct packed *packed, struct packed out[static 2])
{
    const struct frame_division *across = NULL;
    const struct pending_chunk *chunk = packed->pending;
    uint32_t offset;

    if (chunk == NULL || !settled(chunk) || chunk->frame == NULL ||
        locate(chunk, &across, &offset) != NULL)
        return false;
    for (size_t i = 0; i < 2; i++) {
        (void)atomic_fetch_add(&across->halves[i]->references, 1);
        out[i] = packed_of(across->halves[i]);
    }
    return true;
}

bool packed_complete(struct packed *packed)
{
    const struct frame_division *across = NULL;
    const struct pending_chunk *chunk = packed->pending;
    const struct packed_frame *frame = NULL;

    if (chunk == NULL) return true;
    if (!settled(chunk)) return false;
    packed->ref.offset = chunk->offset;
    if (chunk->frame != NULL) {
        frame = locate(chunk, &across, &packed->ref.offset);
        if (frame == NULL || !atomic_load_explicit(&frame->stored, memory_order_acquire))
            return false;
    }
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
