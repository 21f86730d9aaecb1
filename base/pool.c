#include "base/pool.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
    hf_pool_job *run;
    void *arg;
};

struct hf_pool {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t work;   /* a job was queued, or the end was asked for */
    pthread_cond_t room;   /* a job was taken */
    pthread_cond_t idle;   /* nothing is queued or running */
    struct job *queue;     /* a ring of queue_max */
    size_t queue_max, head, queued, running;
    bool ending;
    pthread_t *threads;
    size_t thread_count;
};

static void *worker(void *arg)
{
    struct hf_pool *pool = arg;

    (void)pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct job job;

        while (pool->queued == 0 && !pool->ending)
            (void)pthread_cond_wait(&pool->work, &pool->mutex);
        if (pool->queued == 0) break;
        job = pool->queue[pool->head];
        pool->head = (pool->head + 1) % pool->queue_max;
        pool->queued--;
        pool->running++;
        (void)pthread_cond_signal(&pool->room);
        (void)pthread_mutex_unlock(&pool->mutex);
        job.run(job.arg);
        (void)pthread_mutex_lock(&pool->mutex);
        pool->running--;
        if (pool->running == 0 && pool->queued == 0)
            (void)pthread_cond_broadcast(&pool->idle);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct hf_pool *hf_pool_new(size_t threads, size_t queue_max)
{
    struct hf_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL) return NULL;
    (void)pthread_mutex_init(&pool->mutex, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_cond_init(&pool->room, NULL);
    (void)pthread_cond_init(&pool->idle, NULL);
    pool->queue_max = queue_max == 0 ? 1 : queue_max;
    pool->queue = hf_alloc_array(pool->queue_max, sizeof *pool->queue);
    pool->threads = hf_alloc_array(threads, sizeof *pool->threads);
    if (pool->queue == NULL || pool->threads == NULL) goto fail;
    for (; pool->thread_count < threads; pool->thread_count++) {
        if (pthread_create(&pool->threads[pool->thread_count], NULL, worker, pool) != 0)
            break;
    }
    if (pool->thread_count > 0) return pool;
fail:
    hf_pool_free(pool);
    return NULL;
}

void hf_pool_submit(struct hf_pool *pool, hf_pool_job *job, void *arg)
{
    (void)pthread_mutex_lock(&pool->mutex);
    while (pool->queued == pool->queue_max)
        (void)pthread_cond_wait(&pool->room, &pool->mutex);
    pool->queue[(pool->head + pool->queued) % pool->queue_max] =
        (struct job){.run = job, .arg = arg};
    pool->queued++;
    (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->mutex);
}

void hf_pool_wait(struct hf_pool *pool)
{
    (void)pthread_mutex_lock(&pool->mutex);
    while (pool->queued > 0 || pool->running > 0)
        (void)pthread_cond_wait(&pool->idle, &pool->mutex);
    (void)pthread_mutex_unlock(&pool->mutex);
}

void hf_pool_free(struct hf_pool *pool)
{
    if (pool == NULL) return;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->ending = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->idle);
    (void)pthread_cond_destroy(&pool->room);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool->queue);
    free(pool->threads);
    free(pool);
}
