#include "snapshot/data_lane.h"

#include "base/pool.h"
#include "snapshot/batch.h"
#include "snapshot/quick_hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS_MAX 8u
#define BATCHES_MAX (WORKERS_MAX + 4)

struct data_lane {
    struct batch_target target;
    struct open_blocks open;
    struct hf_pool *pool;
    struct batch *filling;    /* the reader's, or NULL */
    struct batch *ahead;      /* the next one, or NULL */
    struct quick_hash *quick; /* the reader's */
    uint64_t chunks_again;    /* that the reader knew */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t idle;   /* a batch came back */
    struct batch *batches[BATCHES_MAX];
    size_t batch_count, batch_max, batches_out; /* idle, allowed, with reader and workers */
    struct bench *benches[WORKERS_MAX];         /* idle */
    size_t bench_count;
    struct batch_totals totals;
};

/* A batch on its way to a worker. */
struct job {
    struct data_lane *lane;
    struct batch *batch;
};

static enum hf_code failed(struct data_lane *lane)
{
    return block_writer_failed(lane->target.writer);
}

/* ---- batches and benches, used again ---- */

static struct batch *take_batch(struct data_lane *lane)
{
    struct batch *b = NULL;

    (void)pthread_mutex_lock(&lane->mutex);
    while (lane->batch_count == 0 && lane->batches_out == lane->batch_max)
        (void)pthread_cond_wait(&lane->idle, &lane->mutex);
    lane->batches_out++;
    if (lane->batch_count > 0) b = lane->batches[--lane->batch_count];
    (void)pthread_mutex_unlock(&lane->mutex);
    if (b == NULL) b = batch_new();
    if (b != NULL) return b;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->batches_out--;
    (void)pthread_mutex_unlock(&lane->mutex);
    (void)block_writer_no_memory(lane->target.writer);
    return NULL;
}

static void give_batch(struct data_lane *lane, struct batch *b)
{
    batch_clear(b);
    (void)pthread_mutex_lock(&lane->mutex);
    lane->batches[lane->batch_count++] = b;
    lane->batches_out--;
    (void)pthread_cond_signal(&lane->idle);
    (void)pthread_mutex_unlock(&lane->mutex);
}

static struct bench *take_bench(struct data_lane *lane)
{
    struct bench *bench = NULL;

    (void)pthread_mutex_lock(&lane->mutex);
    if (lane->bench_count > 0) bench = lane->benches[--lane->bench_count];
    (void)pthread_mutex_unlock(&lane->mutex);
    if (bench == NULL) bench = bench_new(&lane->target);
    if (bench == NULL) (void)block_writer_no_memory(lane->target.writer);
    return bench;
}

static void give_bench(struct data_lane *lane, struct bench *bench)
{
    (void)pthread_mutex_lock(&lane->mutex);
    lane->benches[lane->bench_count++] = bench;
    (void)pthread_mutex_unlock(&lane->mutex);
}

static void pack(void *arg)
{
    struct job *job = arg;
    struct data_lane *lane = job->lane;
    struct bench *bench = failed(lane) == HF_OK ? take_bench(lane) : NULL;
    struct batch_totals totals = {0};
    struct hf_err err;

    if (bench != NULL && batch_pack(job->batch, bench, &totals, &err) != HF_OK)
        (void)block_writer_fail(lane->target.writer, &err);
    if (bench != NULL) give_bench(lane, bench);
    (void)pthread_mutex_lock(&lane->mutex);
    lane->totals.chunks_new += totals.chunks_new;
    lane->totals.chunks_known += totals.chunks_known;
    lane->totals.bytes_new += totals.bytes_new;
    (void)pthread_mutex_unlock(&lane->mutex);
    give_batch(lane, job->batch);
    free(job);
}

/* ---- the reader ---- */

static void hand_over(struct data_lane *lane)
{
    struct batch *b = lane->filling;
    struct job *job;

    lane->filling = NULL;
    if (b == NULL) return;
    job = b->chunk_count > 0 ? malloc(sizeof *job) : NULL;
    if (job == NULL) {
        if (b->chunk_count > 0) (void)block_writer_no_memory(lane->target.writer);
        give_batch(lane, b);
        return;
    }
    *job = (struct job){lane, b};
    hf_pool_submit(lane->pool, pack, job);
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
    struct pending_chunk *chunk = batch_cut(lane->filling, n, seen);

    memset(out, 0, sizeof *out);
    if (chunk == NULL) return block_writer_no_memory(lane->target.writer);
    *out = packed_of(chunk);
    return HF_OK;
}

/* (Of large files nothing is counted as dead, so nothing is alive again: index_frames.h.) */
bool data_lane_cut_again(struct data_lane *lane, const struct chunk_ref *old,
                         struct packed *out)
{
    struct batch *b = lane->filling;
    struct index_quick row;
    struct index_hit hit;

    if (lane->target.index == NULL || old->size < QUICK_SIZE_MIN ||
        !quick_hash_of(lane->quick, b->bytes + b->used, old->size, &row.quick))
        return false;
    index_find_quick(lane->target.index, &row, 1, &hit);
    if (!hit.found || hit.ref.size != old->size || !hf_id_equal(&row.chunk, &old->id))
        return false;
    *out = packed_known(&hit.ref);
    b->used += old->size;
    lane->chunks_again++;
    return true;
}

/* No worker is at work: all benches are idle. */
static enum hf_code note_seen(struct data_lane *lane, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < lane->bench_count; i++)
        rc = bench_note(lane->benches[i], err);
    return rc;
}

enum hf_code data_lane_finish(struct data_lane *lane)
{
    struct hf_err err;

    hand_over(lane);
    hf_pool_wait(lane->pool);
    if (failed(lane) == HF_OK) open_blocks_submit(&lane->open);
    if (block_writer_wait(lane->target.writer) == HF_OK && note_seen(lane, &err) != HF_OK)
        (void)block_writer_fail(lane->target.writer, &err);
    return failed(lane);
}

struct batch_totals data_lane_totals(struct data_lane *lane)
{
    struct batch_totals totals;

    (void)pthread_mutex_lock(&lane->mutex);
    totals = lane->totals;
    (void)pthread_mutex_unlock(&lane->mutex);
    totals.chunks_known += lane->chunks_again;
    return totals;
}

static size_t worker_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > (long)WORKERS_MAX ? WORKERS_MAX : (size_t)n;
}

struct data_lane *data_lane_new(const struct batch_target *target)
{
    struct data_lane *lane = calloc(1, sizeof *lane);
    size_t workers = worker_count();

    if (lane == NULL) return NULL;
    lane->target = *target;
    lane->target.open = &lane->open;
    open_blocks_init(&lane->open, target->writer);
    lane->batch_max = workers + 3; /* one being filled, one ahead, one that waits */
    (void)pthread_mutex_init(&lane->mutex, NULL);
    (void)pthread_cond_init(&lane->idle, NULL);
    lane->pool = hf_pool_new(workers, lane->batch_max);
    lane->quick = quick_hash_new(target->keys->quick);
    if (lane->pool != NULL && lane->quick != NULL) return lane;
    data_lane_free(lane);
    return NULL;
}

void data_lane_free(struct data_lane *lane)
{
    if (lane == NULL) return;
    hf_pool_free(lane->pool);
    data_lane_drop_ahead(lane);
    if (lane->filling != NULL) give_batch(lane, lane->filling);
    open_blocks_done(&lane->open);
    quick_hash_free(lane->quick);
    for (size_t i = 0; i < lane->batch_count; i++)
        batch_free(lane->batches[i]);
    for (size_t i = 0; i < lane->bench_count; i++)
        bench_free(lane->benches[i]);
    (void)pthread_cond_destroy(&lane->idle);
    (void)pthread_mutex_destroy(&lane->mutex);
    free(lane);
}
