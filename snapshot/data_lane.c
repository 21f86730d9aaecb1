#include "snapshot/data_lane.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/pool.h"
#include "snapshot/quick_hash.h"
#include "snapshot/tail_blocks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_SIZE   ((size_t)5 << 20)
#define BATCH_FRONT  CHUNK_SIZE_MAX /* for what is left over of the batch before */
#define BATCH_CHUNKS 8192u          /* of the smallest files */
#define WORKERS_MAX  8u
#define BATCHES_MAX  (WORKERS_MAX + 4)

#define BATCH_SEEN_MAX (BATCH_SIZE / QUICK_SIZE_MIN)
#define SEEN_MAX       2048u /* quick hashes noted at once */

struct batch_chunk {
    struct pending_chunk *pending; /* holds a reference */
    uint32_t at;                   /* in the batch */
    uint32_t next;                 /* the next of its frame, counted from 1; 0: none */
    bool seen;                     /* it may have been read before */
};

struct batch_frame {
    struct packed_frame *frame; /* holds a reference until it is placed */
    uint32_t first, last;       /* chunks */
    size_t size;
};

struct batch {
    struct data_lane *lane;
    uint8_t *bytes; /* BATCH_SIZE */
    size_t used;    /* cut into chunks */
    struct batch_chunk chunks[BATCH_CHUNKS];
    size_t chunk_count;
    /* Of the worker that packs it: */
    struct batch_frame frames[BATCH_CHUNKS];
    size_t frame_count;
    struct index_hit hits[BATCH_CHUNKS];
};

/* What sealing a frame works with. */
struct bench {
    struct framer *framer;
    uint8_t plain[FRAME_SHARED_SIZE]; /* of a frame whose chunks do not lie together */
    uint8_t body[FRAME_SEALED_MAX];
    struct hf_id ids[FRAME_CHUNKS_MAX];
    struct quick_hash *quick;
    struct hf_id wanted[BATCH_CHUNKS];
    struct index_hit hits[BATCH_CHUNKS];
};

struct data_lane {
    struct data_lane_config config;
    struct hf_pool *pool;
    struct batch *filling; /* the reader's, or NULL */
    struct batch *ahead;   /* the next one, or NULL */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t idle;   /* a batch came back */
    struct batch *batches[BATCHES_MAX];
    size_t batch_count, batch_max, batches_out; /* idle, allowed, with reader and workers */
    struct bench *benches[WORKERS_MAX + 1];     /* and the reader's own */
    size_t bench_count;
    struct packed_block *open[TAIL_OPEN_MAX];
    size_t open_count;
    struct data_lane_totals totals;
    struct index_quick seen[SEEN_MAX]; /* to be noted */
    size_t seen_count;
};

static enum hf_code failed(struct data_lane *lane)
{
    return block_writer_failed(lane->config.writer);
}

/* ---- batches ---- */

static struct batch *batch_new(struct data_lane *lane)
{
    struct batch *b = calloc(1, sizeof *b);

    if (b == NULL) return NULL;
    b->lane = lane;
    b->used = BATCH_FRONT;
    b->bytes = malloc(BATCH_SIZE);
    if (b->bytes != NULL) return b;
    free(b);
    return NULL;
}

static void batch_free(struct batch *b)
{
    if (b == NULL) return;
    free(b->bytes);
    free(b);
}

static struct batch *take_batch(struct data_lane *lane)
{
    struct batch *b = NULL;

    (void)pthread_mutex_lock(&lane->mutex);
    while (lane->batch_count == 0 && lane->batches_out == lane->batch_max)
        (void)pthread_cond_wait(&lane->idle, &lane->mutex);
    lane->batches_out++;
    if (lane->batch_count > 0) b = lane->batches[--lane->batch_count];
    (void)pthread_mutex_unlock(&lane->mutex);
    if (b == NULL) b = batch_new(lane);
    if (b != NULL) return b;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->batches_out--;
    (void)pthread_mutex_unlock(&lane->mutex);
    (void)block_writer_no_memory(lane->config.writer);
    return NULL;
}

static void give_batch(struct data_lane *lane, struct batch *b)
{
    for (size_t i = 0; i < b->chunk_count; i++)
        pending_chunk_unref(b->chunks[i].pending);
    b->used = BATCH_FRONT;
    b->chunk_count = b->frame_count = 0;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->batches[lane->batch_count++] = b;
    lane->batches_out--;
    (void)pthread_cond_signal(&lane->idle);
    (void)pthread_mutex_unlock(&lane->mutex);
}

/* ---- a worker: hash, look up, sort into frames ---- */

/* Takes what is to be noted, if it is enough or `all` of it, and notes it. */
static void note_seen(struct data_lane *lane, bool all)
{
    struct index_quick *rows = NULL;
    size_t count = 0;
    struct hf_err err;

    (void)pthread_mutex_lock(&lane->mutex);
    if (lane->seen_count == SEEN_MAX || (all && lane->seen_count > 0)) {
        rows = malloc(sizeof lane->seen);
        count = lane->seen_count;
        if (rows != NULL) memcpy(rows, lane->seen, count * sizeof *rows);
        lane->seen_count = 0;
    }
    (void)pthread_mutex_unlock(&lane->mutex);
    if (rows != NULL && index_add_quick(lane->config.index, rows, count, &err) != HF_OK)
        (void)block_writer_fail(lane->config.writer, &err);
    free(rows);
}

static void note_quick(struct data_lane *lane, const struct index_quick *row)
{
    (void)pthread_mutex_lock(&lane->mutex);
    if (lane->seen_count < SEEN_MAX) lane->seen[lane->seen_count++] = *row;
    (void)pthread_mutex_unlock(&lane->mutex);
    note_seen(lane, false);
}

/* Looks for chunks that were read before by their quick hash; the rest gets its id. */
static void hash_chunks(struct batch *b, struct bench *bench)
{
    struct index_quick rows[BATCH_SEEN_MAX];
    struct index_hit hits[BATCH_SEEN_MAX];
    uint32_t which[BATCH_SEEN_MAX];
    size_t count = 0;

    memset(b->hits, 0, b->chunk_count * sizeof b->hits[0]);
    for (uint32_t i = 0; i < b->chunk_count && count < BATCH_SEEN_MAX; i++) {
        if (b->chunks[i].seen &&
            quick_hash_of(bench->quick, b->bytes + b->chunks[i].at,
                          b->chunks[i].pending->size, &rows[count].quick))
            which[count++] = i;
    }
    if (count > 0) index_find_quick(b->lane->config.index, rows, count, hits);
    for (size_t i = 0; i < count; i++) {
        if (!hits[i].found) continue;
        b->hits[which[i]] = hits[i];
        b->chunks[which[i]].pending->id = rows[i].chunk;
    }
    for (size_t i = 0; i < b->chunk_count; i++) {
        struct pending_chunk *chunk = b->chunks[i].pending;

        if (!b->hits[i].found)
            hf_sha256(b->bytes + b->chunks[i].at, chunk->size, &chunk->id);
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].chunk = b->chunks[which[i]].pending->id;
        if (!hits[i].found) note_quick(b->lane, &rows[i]);
    }
}

/* Looks up the ids; what is found is referred to again. */
static void look_up(struct batch *b, struct bench *bench)
{
    struct index *index = b->lane->config.index;
    size_t count = 0;

    if (index == NULL) return;
    for (size_t i = 0; i < b->chunk_count; i++) {
        if (!b->hits[i].found) bench->wanted[count++] = b->chunks[i].pending->id;
    }
    index_find_many(index, bench->wanted, count, bench->hits);
    count = 0;
    for (size_t i = 0; i < b->chunk_count; i++) {
        const struct chunk_ref *ref = &b->hits[i].refs[0];

        if (!b->hits[i].found) b->hits[i] = bench->hits[count++];
        if (b->hits[i].found && b->hits[i].parts == 1)
            index_frame_shift(index, &ref->frame, -(int64_t)ref->size);
    }
}

static struct batch_frame *begin_frame(struct batch *b, size_t chunk)
{
    struct batch_frame *frame = &b->frames[b->frame_count];

    *frame = (struct batch_frame){.first = (uint32_t)chunk, .last = (uint32_t)chunk};
    frame->frame = packed_frame_new(FRAME_DATA);
    if (frame->frame == NULL) return NULL;
    b->frame_count++;
    return frame;
}

/* The frame for the next new chunk: a very large one has its own, others share. */
static struct batch_frame *frame_for(struct batch *b, size_t chunk, size_t *shared)
{
    size_t n = b->chunks[chunk].pending->size;
    struct batch_frame *frame = *shared < b->frame_count ? &b->frames[*shared] : NULL;

    if (n > FRAME_SHARED_SIZE) return begin_frame(b, chunk);
    if (frame == NULL || frame->size + n > FRAME_SHARED_SIZE ||
        frame->frame->chunk_count == FRAME_CHUNKS_MAX) {
        *shared = b->frame_count;
        return begin_frame(b, chunk);
    }
    b->chunks[frame->last].next = (uint32_t)chunk + 1;
    frame->last = (uint32_t)chunk;
    return frame;
}

/* Every chunk becomes known, the same as another, or a part of a new frame. */
static bool sort_chunks(struct batch *b, struct data_lane_totals *totals)
{
    struct packed_table *table = b->lane->config.table;
    size_t shared = SIZE_MAX;
    bool ok = true;

    (void)pthread_mutex_lock(&table->lock);
    for (size_t i = 0; ok && i < b->chunk_count; i++) {
        struct pending_chunk *chunk = b->chunks[i].pending;
        struct pending_chunk *other =
            b->hits[i].found ? NULL : packed_table_find(table, FRAME_DATA, &chunk->id);
        struct batch_frame *frame;

        b->chunks[i].next = 0;
        if (b->hits[i].found || other != NULL) totals->chunks_known++;
        if (b->hits[i].found && b->hits[i].parts > 1) {
            ok = pending_chunk_settle_parts(chunk, b->hits[i].refs, b->hits[i].parts);
        } else if (b->hits[i].found) {
            pending_chunk_settle_known(chunk, &b->hits[i].refs[0]);
        } else if (other != NULL) {
            pending_chunk_settle_same(chunk, other);
        } else {
            frame = frame_for(b, i, &shared);
            ok = frame != NULL;
            if (!ok) break;
            pending_chunk_settle_new(chunk, frame->frame, frame->size);
            packed_table_put(table, chunk);
            frame->size += chunk->size;
            totals->chunks_new++;
            totals->bytes_new += chunk->size;
        }
    }
    (void)pthread_mutex_unlock(&table->lock);
    return ok;
}

/* ---- a worker: compress, seal, place ---- */

static void submit(struct data_lane *lane, struct packed_block *block)
{
    if (block != NULL) block_writer_submit(lane->config.writer, block, BLOCK_SIZE_MAX);
}

/* The fullest open block with room for n bytes, or NULL. */
static struct packed_block *fullest(struct data_lane *lane, size_t n)
{
    struct packed_block *best = NULL;

    for (size_t i = 0; i < lane->open_count; i++) {
        struct packed_block *block = lane->open[i];

        if (block->used + n <= BLOCK_SIZE_MAX && (best == NULL || block->used > best->used))
            best = block;
    }
    return best;
}

/* Takes the fullest block from the open ones; it is the caller's to submit, or, if places
 * of it are still being written, NULL: whoever writes the last one does. */
static struct packed_block *close_fullest(struct data_lane *lane)
{
    struct packed_block *block = fullest(lane, 0);
    size_t i = 0;

    while (lane->open[i] != block)
        i++;
    lane->open[i] = lane->open[--lane->open_count];
    block->size = BLOCK_SIZE_MAX; /* closed */
    return block->unwritten == 0 ? block : NULL;
}

/* Gives the frame a place; *out is where its bytes go, which written() must follow. */
static struct packed_block *reserve(struct data_lane *lane, struct packed_frame *frame,
                                    uint8_t **out)
{
    struct packed_block *block;
    struct packed_block *full = NULL;

    (void)pthread_mutex_lock(&lane->mutex);
    block = fullest(lane, frame->size);
    if (block == NULL) {
        if (lane->open_count == TAIL_OPEN_MAX) full = close_fullest(lane);
        block = block_writer_begin(lane->config.writer);
        if (block != NULL) lane->open[lane->open_count++] = block;
    }
    if (block != NULL) {
        block_place(block, frame);
        block->unwritten++;
        *out = block->bytes + frame->offset;
    }
    (void)pthread_mutex_unlock(&lane->mutex);
    submit(lane, full);
    return block;
}

static void written(struct data_lane *lane, struct packed_block *block)
{
    bool last;

    (void)pthread_mutex_lock(&lane->mutex);
    last = --block->unwritten == 0 && block->size != 0;
    (void)pthread_mutex_unlock(&lane->mutex);
    if (last) submit(lane, block);
}

/* The frame's plaintext: in place when its chunks lie together. */
static const uint8_t *gather(const struct batch *b, const struct batch_frame *frame,
                             struct bench *bench, size_t *count)
{
    size_t start = b->chunks[frame->first].at;
    size_t n = 0;
    bool together = true;

    *count = 0;
    for (uint32_t i = frame->first + 1; i != 0; i = b->chunks[i - 1].next) {
        const struct batch_chunk *c = &b->chunks[i - 1];

        bench->ids[(*count)++] = c->pending->id;
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

/* Takes over the reference to the frame. */
static enum hf_code seal(struct batch *b, struct batch_frame *from, struct bench *bench,
                         struct hf_err *err)
{
    struct data_lane *lane = b->lane;
    struct packed_frame *frame = from->frame;
    struct frame_input in = {.role = FRAME_DATA,
                             .level = lane->config.level,
                             .plain_size = from->size,
                             .chunk_ids = bench->ids};
    struct packed_block *block;
    struct frame_body body;
    uint8_t *out;
    enum hf_code rc;

    in.plain = gather(b, from, bench, &in.chunk_count);
    body = frame_compress(bench->framer, &in, bench->body);
    frame->size = (uint32_t)(body.size + HF_AEAD_TAG_SIZE);
    from->frame = NULL;
    block = reserve(lane, frame, &out);
    if (block == NULL) {
        block_writer_drop_frame(lane->config.writer, frame);
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    rc = frame_encrypt(bench->framer, lane->config.keys->frame_kdf, &in, bench->body, body,
                       out, frame->key, err);
    written(lane, block);
    return rc;
}

static void bench_free(struct bench *bench)
{
    framer_free(bench->framer);
    quick_hash_free(bench->quick);
    free(bench);
}

static struct bench *take_bench(struct data_lane *lane)
{
    struct bench *bench = NULL;

    (void)pthread_mutex_lock(&lane->mutex);
    if (lane->bench_count > 0) bench = lane->benches[--lane->bench_count];
    (void)pthread_mutex_unlock(&lane->mutex);
    if (bench != NULL) return bench;
    bench = malloc(sizeof *bench);
    if (bench == NULL) return NULL;
    bench->framer = framer_new();
    bench->quick = quick_hash_new(lane->config.keys->quick);
    if (bench->framer != NULL && bench->quick != NULL) return bench;
    bench_free(bench);
    return NULL;
}

static void give_bench(struct data_lane *lane, struct bench *bench)
{
    (void)pthread_mutex_lock(&lane->mutex);
    lane->benches[lane->bench_count++] = bench; /* there are as many as workers */
    (void)pthread_mutex_unlock(&lane->mutex);
}

static void add_totals(struct data_lane *lane, const struct data_lane_totals *more)
{
    (void)pthread_mutex_lock(&lane->mutex);
    lane->totals.chunks_new += more->chunks_new;
    lane->totals.chunks_known += more->chunks_known;
    lane->totals.bytes_new += more->bytes_new;
    (void)pthread_mutex_unlock(&lane->mutex);
}

static void pack(struct batch *b, struct bench *bench)
{
    struct data_lane *lane = b->lane;
    struct data_lane_totals totals = {0};
    struct hf_err err;

    hash_chunks(b, bench);
    look_up(b, bench);
    if (!sort_chunks(b, &totals)) (void)block_writer_no_memory(lane->config.writer);
    add_totals(lane, &totals);
    for (size_t i = 0; i < b->frame_count && failed(lane) == HF_OK; i++) {
        if (seal(b, &b->frames[i], bench, &err) != HF_OK)
            (void)block_writer_fail(lane->config.writer, &err);
    }
    for (size_t i = 0; i < b->frame_count; i++) { /* of a run that failed */
        if (b->frames[i].frame != NULL)
            block_writer_drop_frame(lane->config.writer, b->frames[i].frame);
    }
}

static void pack_batch(void *arg)
{
    struct batch *b = arg;
    struct data_lane *lane = b->lane;
    struct bench *bench = failed(lane) == HF_OK ? take_bench(lane) : NULL;

    if (bench != NULL)
        pack(b, bench);
    else
        (void)block_writer_no_memory(lane->config.writer);
    if (bench != NULL) give_bench(lane, bench);
    give_batch(lane, b);
}

/* ---- the reader ---- */

static void hand_over(struct data_lane *lane)
{
    struct batch *b = lane->filling;

    lane->filling = NULL;
    if (b == NULL) return;
    if (b->chunk_count > 0)
        hf_pool_submit(lane->pool, pack_batch, b);
    else
        give_batch(lane, b);
}

/* Makes `next` the batch that is filled; the `have` bytes not cut yet move along. */
static uint8_t *turn_to(struct data_lane *lane, struct batch *next, size_t have)
{
    struct batch *b = lane->filling;

    next->used = BATCH_FRONT - have;
    if (have > 0) memcpy(next->bytes + next->used, b->bytes + b->used, have);
    hand_over(lane);
    lane->filling = next;
    return next->bytes + next->used;
}

uint8_t *data_lane_room(struct data_lane *lane, size_t have, size_t *room)
{
    struct batch *b = lane->filling;
    struct batch *next;

    if (failed(lane) != HF_OK) return NULL;
    if (b == NULL || BATCH_SIZE - b->used <= CHUNK_SIZE_MAX ||
        b->chunk_count > BATCH_CHUNKS - BATCH_SIZE / CHUNK_SIZE_MIN) {
        next = take_batch(lane);
        if (next == NULL) return NULL;
        (void)turn_to(lane, next, have);
        b = next;
    }
    *room = BATCH_SIZE - b->used;
    return b->bytes + b->used;
}

uint8_t *data_lane_ahead(struct data_lane *lane, size_t *room)
{
    if (failed(lane) != HF_OK) return NULL;
    lane->ahead = take_batch(lane);
    *room = BATCH_SIZE - BATCH_FRONT;
    return lane->ahead != NULL ? lane->ahead->bytes + BATCH_FRONT : NULL;
}

uint8_t *data_lane_join(struct data_lane *lane, size_t have)
{
    struct batch *next = lane->ahead;

    lane->ahead = NULL;
    return turn_to(lane, next, have);
}

void data_lane_drop_ahead(struct data_lane *lane)
{
    if (lane->ahead != NULL) give_batch(lane, lane->ahead);
    lane->ahead = NULL;
}

enum hf_code data_lane_cut(struct data_lane *lane, size_t n, bool seen, struct packed *out)
{
    struct batch *b = lane->filling;
    struct batch_chunk *c = &b->chunks[b->chunk_count];

    memset(out, 0, sizeof *out);
    c->pending = pending_chunk_new(n);
    if (c->pending == NULL) return block_writer_no_memory(lane->config.writer);
    c->at = (uint32_t)b->used;
    c->seen = seen && n >= QUICK_SIZE_MIN && lane->config.index != NULL;
    b->chunk_count++;
    b->used += n;
    (void)atomic_fetch_add(&c->pending->references, 1);
    *out = packed_of(c->pending);
    return HF_OK;
}

enum hf_code data_lane_finish(struct data_lane *lane)
{
    struct block_writer *writer = lane->config.writer;
    struct bench *bench = take_bench(lane);
    uint8_t *plain = malloc(FRAME_PLAIN_MAX);
    struct divider divider = {.frame_kdf = lane->config.keys->frame_kdf,
                              .level = lane->config.level,
                              .table = lane->config.table,
                              .plain = plain};
    struct tail_divided divided = {.count = 0};
    struct hf_err err;

    hand_over(lane);
    hf_pool_wait(lane->pool);
    note_seen(lane, true);
    if (bench == NULL || plain == NULL) {
        (void)block_writer_no_memory(writer);
    } else {
        divider.framer = bench->framer;
        divider.sealed = bench->body;
        if (tail_blocks_submit(writer, &divider, lane->open, lane->open_count, &divided) ==
            HF_OK)
            (void)block_writer_wait(writer);
        lane->open_count = 0;
        if (failed(lane) == HF_OK && lane->config.index != NULL &&
            tail_divided_note(&divided, lane->config.index, &err) != HF_OK)
            (void)block_writer_fail(writer, &err);
        tail_divided_drop(&divided, writer);
    }
    if (bench != NULL) give_bench(lane, bench);
    free(plain);
    return failed(lane);
}

struct data_lane_totals data_lane_totals(struct data_lane *lane)
{
    struct data_lane_totals totals;

    (void)pthread_mutex_lock(&lane->mutex);
    totals = lane->totals;
    (void)pthread_mutex_unlock(&lane->mutex);
    return totals;
}

static size_t worker_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > (long)WORKERS_MAX ? WORKERS_MAX : (size_t)n;
}

struct data_lane *data_lane_new(const struct data_lane_config *config)
{
    struct data_lane *lane = calloc(1, sizeof *lane);
    size_t workers = worker_count();

    if (lane == NULL) return NULL;
    lane->config = *config;
    lane->batch_max = workers + 3; /* one being filled, one ahead, one that waits */
    (void)pthread_mutex_init(&lane->mutex, NULL);
    (void)pthread_cond_init(&lane->idle, NULL);
    lane->pool = hf_pool_new(workers, lane->batch_max);
    if (lane->pool != NULL) return lane;
    data_lane_free(lane);
    return NULL;
}

void data_lane_free(struct data_lane *lane)
{
    if (lane == NULL) return;
    hf_pool_free(lane->pool);
    data_lane_drop_ahead(lane);
    if (lane->filling != NULL) give_batch(lane, lane->filling);
    for (size_t i = 0; i < lane->open_count; i++)
        block_writer_drop(lane->config.writer, lane->open[i]);
    for (size_t i = 0; i < lane->batch_count; i++)
        batch_free(lane->batches[i]);
    for (size_t i = 0; i < lane->bench_count; i++)
        bench_free(lane->benches[i]);
    (void)pthread_cond_destroy(&lane->idle);
    (void)pthread_mutex_destroy(&lane->mutex);
    free(lane);
}
