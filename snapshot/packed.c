#include "snapshot/packed.h"

#include <stdlib.h>
#include <string.h>

static struct pending_chunk **bucket_of(struct packed_table *table, const struct hf_id *id)
{
    return &table->buckets[((size_t)id->b[0] << 8 | id->b[1]) % PACKED_BUCKETS];
}

struct pending_chunk *packed_table_find(struct packed_table *table, const struct hf_id *id)
{
    struct pending_chunk *c = *bucket_of(table, id);

    while (c != NULL && !hf_id_equal(&c->id, id))
        c = c->next_in_bucket;
    return c;
}

static void forget_pending(struct packed_table *table, struct pending_chunk *chunk)
{
    struct pending_chunk **at = bucket_of(table, &chunk->id);

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

struct packed_frame *packed_frame_new(enum frame_role role)
{
    struct packed_frame *frame = calloc(1, sizeof *frame);

    if (frame == NULL) return NULL;
    frame->references = 1;
    frame->role = role;
    frame->chunks_end = &frame->chunks;
    return frame;
}

struct packed packed_of(struct pending_chunk *chunk)
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

void packed_frame_drop(struct packed_table *table, struct packed_frame *frame)
{
    struct pending_chunk *chunk;

    if (frame == NULL) return;
    chunk = frame->chunks;
    while (chunk != NULL) {
        struct pending_chunk *next = chunk->next_in_frame;

        forget_pending(table, chunk);
        chunk = next;
    }
    frame->chunks = NULL;
    frame->block = NULL;
    frame_unref(frame);
}

struct pending_chunk *packed_frame_add(struct packed_table *table,
                                       struct packed_frame *frame, const struct hf_id *id,
                                       size_t offset, size_t n)
{
    struct pending_chunk *chunk = calloc(1, sizeof *chunk);
    struct pending_chunk **bucket = bucket_of(table, id);

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
    return chunk;
}

bool packed_complete(struct packed *packed)
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
