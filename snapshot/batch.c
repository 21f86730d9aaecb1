#include "snapshot/batch.h"

#include "base/tree_hash.h"
#include "snapshot/frame.h"
#include "snapshot/incompressible.h"
#include "snapshot/quick_hash.h"

#include <stdlib.h>
#include <string.h>

#define SEEN_MAX   2048u                         /* quick hashes noted at once */
#define BATCH_SEEN (BATCH_SIZE / QUICK_SIZE_MIN) /* chunks of one batch that have them */

struct batch_frame {
    struct packed_frame *frame; /* holds a reference until it is placed */
    uint32_t first, last;       /* chunks */
    size_t size;
};

struct bench {
    struct batch_target target;
    struct framer *framer;
    struct quick_hash *quick;
    struct index_quick seen[SEEN_MAX]; /* to be noted */
    size_t seen_count;
    /* Of the batch at hand: */
    struct hf_id ids[BATCH_CHUNKS];
    struct index_hit hits[BATCH_CHUNKS];
    struct batch_frame frames[BATCH_CHUNKS];
    size_t frame_count;
    struct hf_tree_input inputs[BATCH_CHUNKS]; /* to be hashed */
    size_t input_count;
    struct pending_chunk *news[BATCH_SEEN]; /* of the last rows of `seen` */
    size_t new_count;
    /* Of the frame at hand: */
    struct hf_id frame_ids[FRAME_CHUNKS_MAX];
    uint8_t plain[FRAME_SHARED_SIZE]; /* when its chunks do not lie together */
    uint8_t body[FRAME_SEALED_MAX];
};

/* ---- batches ---- */

struct batch *batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);

    if (b == NULL) return NULL;
    b->used = BATCH_FRONT;
    b->bytes = malloc(BATCH_SIZE);
    if (b->bytes != NULL) return b;
    free(b);
    return NULL;
}

void batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->chunk_count; i++)
        pending_chunk_unref(b->chunks[i].pending);
    b->used = BATCH_FRONT;
    b->chunk_count = 0;
}

void batch_free(struct batch *b)
{
    if (b == NULL) return;
    batch_clear(b);
    free(b->bytes);
    free(b);
}

struct pending_chunk *batch_cut(struct batch *b, size_t n, bool seen)
{
    struct pending_chunk *chunk = pending_chunk_new(n);

    if (chunk == NULL) return NULL;
    b->chunks[b->chunk_count++] =
        (struct batch_chunk){.pending = chunk, .at = (uint32_t)b->used, .seen = seen};
    b->used += n;
    (void)atomic_fetch_add(&chunk->references, 1);
    return chunk;
}

/* ---- benches ---- */

struct bench *bench_new(const struct batch_target *target)
{
    struct bench *bench = malloc(sizeof *bench); /* what is not used costs nothing */

    if (bench == NULL) return NULL;
    bench->target = *target;
    bench->seen_count = bench->frame_count = 0;
    bench->framer = framer_new();
    bench->quick = quick_hash_new(target->keys->quick);
    if (bench->framer != NULL && bench->quick != NULL) return bench;
    bench_free(bench);
    return NULL;
}

void bench_free(struct bench *bench)
{
    if (bench == NULL) return;
    framer_free(bench->framer);
    quick_hash_free(bench->quick);
    free(bench);
}

enum hf_code bench_note(struct bench *bench, struct hf_err *err)
{
    size_t count = bench->seen_count;

    bench->seen_count = 0;
    if (count == 0) return HF_OK;
    return index_add_quick(bench->target.index, bench->seen, count, err);
}

/* ---- hash and look up ---- */

/* A chunk that may have been read before is looked up by its quick hash; one that is not
 * found shall be the next time. */
static bool recognise(struct bench *bench, const uint8_t *bytes,
                      struct pending_chunk *chunk, struct index_hit *hit)
{
    struct index_quick *row = &bench->seen[bench->seen_count + bench->new_count];

    if (!quick_hash_of(bench->quick, bytes, chunk->size, &row->quick)) return false;
    index_find_quick(bench->target.index, row, 1, hit);
    if (hit->found)
        chunk->id = row->chunk;
    else
        bench->news[bench->new_count++] = chunk;
    return hit->found;
}

static enum hf_code hash_chunks(struct batch *b, struct bench *bench, struct hf_err *err)
{
    bool looks = bench->target.index != NULL;
    enum hf_code rc = HF_OK;

    bench->input_count = bench->new_count = 0;
    if (bench->seen_count + BATCH_SEEN > SEEN_MAX) rc = bench_note(bench, err);
    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < b->chunk_count; i++) {
        struct pending_chunk *chunk = b->chunks[i].pending;
        const uint8_t *bytes = b->bytes + b->chunks[i].at;

        bench->hits[i].found = false;
        if (!looks || !b->chunks[i].seen || chunk->size < QUICK_SIZE_MIN ||
            !recognise(bench, bytes, chunk, &bench->hits[i]))
            bench->inputs[bench->input_count++] = (struct hf_tree_input){
                .bytes = bytes, .size = chunk->size, .root = &chunk->id};
    }
    hf_tree_hash_many(bench->inputs, bench->input_count);
    for (size_t i = 0; i < b->chunk_count; i++)
        bench->ids[i] = b->chunks[i].pending->id;
    for (size_t i = 0; i < bench->new_count; i++)
        bench->seen[bench->seen_count++].chunk = bench->news[i]->id;
    return HF_OK;
}

/* What is found is referred to again. */
static void look_up(struct batch *b, struct bench *bench)
{
    struct index *index = bench->target.index;

    if (index == NULL) return;
    index_find_many(index, bench->ids, b->chunk_count, bench->hits);
    for (size_t i = 0; i < b->chunk_count; i++) {
        const struct chunk_ref *ref = &bench->hits[i].ref;

        if (bench->hits[i].found)
            index_frame_shift(index, &ref->frame, -(int64_t)ref->size);
    }
}

/* ---- sort into frames ---- */

static void sample(struct batch *b, const struct bench *bench)
{
    for (size_t i = 0; i < b->chunk_count; i++) {
        struct batch_chunk *chunk = &b->chunks[i];

        chunk->incompressible =
            !bench->hits[i].found &&
            looks_incompressible(b->bytes + chunk->at, chunk->pending->size);
    }
}

static struct batch_frame *begin_frame(struct bench *bench, size_t chunk)
{
    struct batch_frame *frame = &bench->frames[bench->frame_count];

    *frame = (struct batch_frame){.first = (uint32_t)chunk, .last = (uint32_t)chunk};
    frame->frame = packed_frame_new(FRAME_DATA);
    if (frame->frame == NULL) return NULL;
    bench->frame_count++;
    return frame;
}

/* The frames that chunks are added to, one for each kind. */
struct shared {
    size_t at[2]; /* SIZE_MAX: none yet */
};

/* The frame for the next new chunk.  What does not shrink gains nothing from company, and
 * small frames fill a block better. */
static struct batch_frame *frame_for(struct batch *b, struct bench *bench, size_t chunk,
                                     struct shared *frames)
{
    bool raw = b->chunks[chunk].incompressible;
    size_t most = raw ? FRAME_SHARED_RAW_SIZE : FRAME_SHARED_SIZE;
    size_t n = b->chunks[chunk].pending->size;
    size_t *shared = &frames->at[raw ? 1 : 0];
    struct batch_frame *frame =
        *shared < bench->frame_count ? &bench->frames[*shared] : NULL;

    if (frame == NULL || frame->size + n > most ||
        frame->frame->chunk_count == FRAME_CHUNKS_MAX) {
        *shared = bench->frame_count;
        return begin_frame(bench, chunk);
    }
    b->chunks[frame->last].next = (uint32_t)chunk + 1;
    frame->last = (uint32_t)chunk;
    return frame;
}

static bool add_new(struct batch *b, struct bench *bench, size_t i, struct shared *shared,
                    struct batch_totals *totals)
{
    struct pending_chunk *chunk = b->chunks[i].pending;
    struct batch_frame *frame = frame_for(b, bench, i, shared);

    if (frame == NULL) return false;
    pending_chunk_settle_new(chunk, frame->frame, frame->size);
    packed_table_put(bench->target.table, chunk);
    frame->size += chunk->size;
    totals->chunks_new++;
    totals->bytes_new += chunk->size;
    return true;
}

/* Every chunk becomes known, the same as another, or a part of a new frame. */
static bool sort_chunks(struct batch *b, struct bench *bench, struct batch_totals *totals)
{
    struct packed_table *table = bench->target.table;
    struct shared shared = {{SIZE_MAX, SIZE_MAX}};
    bool ok = true;

    bench->frame_count = 0;
    (void)pthread_mutex_lock(&table->lock);
    for (size_t i = 0; ok && i < b->chunk_count; i++) {
        struct pending_chunk *chunk = b->chunks[i].pending;
        const struct index_hit *hit = &bench->hits[i];
        struct pending_chunk *other =
            hit->found ? NULL : packed_table_find(table, FRAME_DATA, &chunk->id);

        if (hit->found || other != NULL) totals->chunks_known++;
        if (hit->found)
            pending_chunk_settle_known(chunk, &hit->ref);
        else if (other != NULL)
            pending_chunk_settle_same(chunk, other);
        else
            ok = add_new(b, bench, i, &shared, totals);
    }
    (void)pthread_mutex_unlock(&table->lock);
    return ok;
}

/* ---- compress, seal, place ---- */

/* The frame's plaintext: in place when its chunks lie together. */
static const uint8_t *gather(const struct batch *b, struct bench *bench,
                             const struct batch_frame *frame, size_t *count)
{
    size_t start = b->chunks[frame->first].at;
    size_t n = 0;
    bool together = true;

    *count = 0;
    for (uint32_t i = frame->first + 1; i != 0; i = b->chunks[i - 1].next) {
        const struct batch_chunk *c = &b->chunks[i - 1];

        bench->frame_ids[(*count)++] = c->pending->id;
        together = together && c->at == start + n;
        n += c->pending->size;
    }
    if (together) return b->bytes + start;
    n = 0;
    for (uint32_t i = frame->first + 1; i != 0; i = b->chunks[i - 1].next) {
        const struct batch_chunk *c = &b->chunks[i - 1];

        memcpy(bench->plain + n, b->bytes + c->at, c->pending->size);
        n += c->pending->size;
    }
    return bench->plain;
}

static enum hf_code seal(struct batch *b, struct bench *bench, struct batch_frame *from,
                         struct hf_err *err)
{
    const struct batch_target *to = &bench->target;
    struct packed_frame *frame = from->frame;
    struct frame_input in = {.role = FRAME_DATA,
                             .level = to->level,
                             .plain_size = from->size,
                             .chunk_ids = bench->frame_ids};
    struct packed_block *block;
    struct frame_body body;
    uint8_t *out;
    enum hf_code rc;

    in.plain = gather(b, bench, from, &in.chunk_count);
    body = frame_compress(bench->framer, &in, bench->body);
    frame->size = (uint32_t)(body.size + HF_AEAD_TAG_SIZE);
    block = open_blocks_reserve(to->open, frame, &out);
    if (block == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    from->frame = NULL; /* the block has it */
    rc = frame_encrypt(bench->framer, to->keys->frame_kdf, &in, bench->body, body, out,
                       frame->key, err);
    open_blocks_written(to->open, block);
    return rc;
}

enum hf_code batch_pack(struct batch *b, struct bench *bench, struct batch_totals *totals,
                        struct hf_err *err)
{
    enum hf_code rc = hash_chunks(b, bench, err);

    if (rc != HF_OK) return rc;
    look_up(b, bench);
    sample(b, bench);
    if (!sort_chunks(b, bench, totals))
        rc = hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    for (size_t i = 0; rc == HF_OK && i < bench->frame_count; i++) {
        rc = block_writer_failed(bench->target.writer);
        if (rc == HF_OK)
            rc = seal(b, bench, &bench->frames[i], err);
        else
            *err = block_writer_failure(bench->target.writer);
    }
    for (size_t i = 0; i < bench->frame_count; i++) { /* of a run that failed */
        if (bench->frames[i].frame != NULL)
            block_writer_drop_frame(bench->target.writer, bench->frames[i].frame);
    }
    return rc;
}
