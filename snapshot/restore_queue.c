#include "snapshot/restore_queue.h"

#include "base/pool.h"
#include "snapshot/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 8u

/* What is sorted together.  A frame that holds the small files of one night belongs to
 * files all over the tree, and is opened once for each window. */
#define WINDOW_TASKS 8192u
#define WINDOW_BYTES (256u << 20) /* of content */
#define TASKS_MAX    16384u
#define MEMORY_MAX   (24u << 20) /* that they take */
#define WAITING_MAX  (2u << 20)  /* that files take which wait for a hard link's first */
#define BATCH_TASKS  64u
#define BATCH_BYTES  (1u << 20)
#define BATCH_MOST   256u /* also within one frame */
#define BATCHES_MAX  16u  /* queued and running */
#define POLL_MS      100u

struct task {
    struct restore_file *file;
    size_t memory, order;
    uint64_t bytes; /* of content */
    bool link;
    size_t count;
    struct restore_chunk chunks[];
};

struct batch {
    struct restore_queue *queue;
    size_t count;
    struct task *tasks[BATCH_MOST];
};

struct restore_queue {
    struct restore_job *job;
    struct hf_pool *pool;
    struct task *window[WINDOW_TASKS]; /* the walk's */
    size_t window_count;
    size_t waiting; /* bytes of memory, of files that wait for another */
    uint64_t window_bytes;
    struct restore_worker walker;

    pthread_mutex_t mutex;         /* guards all below */
    pthread_cond_t less;           /* something was done */
    size_t tasks, memory, batches; /* that exist */
    struct restore_worker *idle[THREADS_MAX];
    size_t idle_count;
    struct restore_worker workers[THREADS_MAX];
};

struct restore_queue *restore_queue_new(struct restore_job *job, size_t threads)
{
    struct restore_queue *q = calloc(1, sizeof *q);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_condattr_t monotonic;

    if (q == NULL) return NULL;
    if (threads == 0) threads = processors < 2 ? 2 : (size_t)processors;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    q->job = job;
    q->walker.job = job;
    q->walker.meta.root = geteuid() == 0;
    for (size_t i = 0; i < threads; i++) {
        q->workers[i] = q->walker;
        q->idle[q->idle_count++] = &q->workers[i];
    }
    (void)pthread_mutex_init(&q->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->less, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    q->pool = hf_pool_new(threads, BATCHES_MAX);
    if (q->pool != NULL) return q;
    restore_queue_free(q);
    return NULL;
}

void restore_queue_free(struct restore_queue *queue)
{
    if (queue == NULL) return;
    hf_pool_free(queue->pool);
    for (size_t i = 0; i < THREADS_MAX; i++)
        restore_worker_done(&queue->workers[i]);
    restore_worker_done(&queue->walker);
    (void)pthread_cond_destroy(&queue->less);
    (void)pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

struct restore_worker *restore_queue_walker(struct restore_queue *queue)
{
    return &queue->walker;
}

void restore_queue_poll(struct restore_queue *queue, const char *path)
{
    struct restore_job *job = queue->job;
    const struct restore_options *o = job->options;

    if (o->cancelled != NULL && o->cancelled(o->arg)) atomic_store(&job->stop, true);
    if (o->on_progress == NULL) return;
    (void)pthread_mutex_lock(&job->mutex);
    o->on_progress(o->arg, &job->counts, path);
    (void)pthread_mutex_unlock(&job->mutex);
}

/* ---- workers ---- */

static void run_task(struct restore_worker *worker, struct task *task)
{
    if (task->link) {
        restore_file_link(worker, task->file);
        return;
    }
    restore_file_part(worker, task->file, task->chunks, task->count);
    restore_file_end(worker, task->file);
}

static void take_in_hand(struct restore_worker *worker, const struct task *task)
{
    for (size_t i = 0; i < task->count && worker->at_hand_count < RESTORE_AT_HAND_MAX; i++)
        worker->at_hand[worker->at_hand_count++] = &task->chunks[i].ref;
}

static void run_batch(void *arg)
{
    struct batch *batch = arg;
    struct restore_queue *q = batch->queue;
    struct restore_worker *worker;
    size_t memory = 0;

    (void)pthread_mutex_lock(&q->mutex);
    worker = q->idle[--q->idle_count]; /* there are as many as threads */
    (void)pthread_mutex_unlock(&q->mutex);
    for (size_t i = 0; i < batch->count; i++)
        take_in_hand(worker, batch->tasks[i]);
    for (size_t i = 0; i < batch->count; i++)
        run_task(worker, batch->tasks[i]);
    worker->at_hand_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        memory += batch->tasks[i]->memory;
        free(batch->tasks[i]);
    }
    (void)pthread_mutex_lock(&q->mutex);
    q->idle[q->idle_count++] = worker;
    q->tasks -= batch->count;
    q->memory -= memory;
    q->batches--;
    (void)pthread_cond_signal(&q->less);
    (void)pthread_mutex_unlock(&q->mutex);
    free(batch);
}

/* ---- windows ---- */

static int by_place(const void *a, const void *b)
{
    const struct task *x = *(struct task *const *)a;
    const struct task *y = *(struct task *const *)b;
    int order;

    if ((x->count == 0) != (y->count == 0)) return x->count == 0 ? -1 : 1;
    if (x->count > 0) {
        const struct frame_ref *f = &x->chunks[0].ref.frame;
        const struct frame_ref *g = &y->chunks[0].ref.frame;

        order = memcmp(f->block.b, g->block.b, sizeof f->block.b);
        if (order != 0) return order;
        if (f->offset != g->offset) return f->offset < g->offset ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

static bool same_frame(const struct task *a, const struct task *b)
{
    const struct frame_ref *f = &a->chunks[0].ref.frame;
    const struct frame_ref *g = &b->chunks[0].ref.frame;

    return a->count > 0 && b->count > 0 && f->offset == g->offset &&
           hf_id_equal(&f->block, &g->block);
}

/* Waits a while for something to be done, and asks whether to go on.  With the mutex held,
 * which it gives up meanwhile. */
static void wait_less(struct restore_queue *q)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&q->less, &q->mutex, &until);
    (void)pthread_mutex_unlock(&q->mutex);
    restore_queue_poll(q, "");
    (void)pthread_mutex_lock(&q->mutex);
}

/* Runs a batch here when there is no memory to hand it over. */
static void submit(struct restore_queue *q, struct task **tasks, size_t count)
{
    struct batch *batch = malloc(sizeof *batch);

    if (batch == NULL) {
        size_t memory = 0;

        for (size_t i = 0; i < count; i++) {
            run_task(&q->walker, tasks[i]);
            memory += tasks[i]->memory;
            free(tasks[i]);
        }
        (void)pthread_mutex_lock(&q->mutex);
        q->tasks -= count;
        q->memory -= memory;
        (void)pthread_mutex_unlock(&q->mutex);
        return;
    }
    (void)pthread_mutex_lock(&q->mutex);
    while (q->batches == BATCHES_MAX)
        wait_less(q);
    q->batches++;
    (void)pthread_mutex_unlock(&q->mutex);
    batch->queue = q;
    batch->count = count;
    memcpy(batch->tasks, tasks, count * sizeof *tasks);
    hf_pool_submit(q->pool, run_batch, batch);
}

static void flush(struct restore_queue *q)
{
    size_t start = 0;
    uint64_t bytes = 0;

    qsort(q->window, q->window_count, sizeof q->window[0], by_place);
    for (size_t i = 0; i < q->window_count; i++) {
        size_t n = i - start;
        bool full = n >= BATCH_TASKS || bytes >= BATCH_BYTES;

        if (n > 0 &&
            ((full && !same_frame(q->window[i - 1], q->window[i])) || n == BATCH_MOST)) {
            submit(q, q->window + start, n);
            start = i;
            bytes = 0;
        }
        bytes += q->window[i]->bytes;
    }
    if (q->window_count > start) submit(q, q->window + start, q->window_count - start);
    q->window_count = 0;
    q->window_bytes = 0;
}

void restore_queue_finish(struct restore_queue *queue)
{
    flush(queue);
    (void)pthread_mutex_lock(&queue->mutex);
    while (queue->tasks > 0)
        wait_less(queue);
    (void)pthread_mutex_unlock(&queue->mutex);
    queue->waiting = 0;
}

static void add(struct restore_queue *q, struct task *task)
{
    bool full;

    (void)pthread_mutex_lock(&q->mutex);
    q->tasks++;
    q->memory += task->memory;
    full = q->tasks >= TASKS_MAX || q->memory >= MEMORY_MAX;
    (void)pthread_mutex_unlock(&q->mutex);
    task->order = q->window_count;
    q->window[q->window_count++] = task;
    q->window_bytes += task->bytes;
    if (full || q->window_count == WINDOW_TASKS || q->window_bytes >= WINDOW_BYTES)
        flush(q);
    if (!full) return;
    (void)pthread_mutex_lock(&q->mutex);
    while (q->tasks >= TASKS_MAX || q->memory >= MEMORY_MAX)
        wait_less(q);
    (void)pthread_mutex_unlock(&q->mutex);
}

static void add_task(struct restore_queue *q, struct restore_file *file,
                     const struct restore_chunk *chunks, size_t count, bool link)
{
    struct task *task = malloc(sizeof *task + count * sizeof *chunks);
    struct hf_err err;

    if (task == NULL) {
        (void)hf_fail(&err, HF_NO_MEMORY, "out of memory");
        restore_file_fail(file, &err, false);
        restore_file_end(&q->walker, file);
        return;
    }
    *task = (struct task){.file = file, .count = count, .link = link};
    task->memory = sizeof *task + count * sizeof *chunks + restore_file_bytes(file);
    if (count > 0) memcpy(task->chunks, chunks, count * sizeof *chunks);
    for (size_t i = 0; i < count; i++)
        task->bytes += chunks[i].ref.size;
    add(q, task);
}

void restore_queue_part(struct restore_queue *queue, struct restore_file *file,
                        const struct restore_chunk *chunks, size_t count)
{
    add_task(queue, file, chunks, count, false);
}

void restore_queue_link(struct restore_queue *queue, struct restore_file *file)
{
    add_task(queue, file, NULL, 0, true);
}

void restore_queue_waits(struct restore_queue *queue, size_t memory)
{
    queue->waiting += memory;
    if (queue->waiting >= WAITING_MAX) restore_queue_finish(queue);
}
