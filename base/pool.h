/* pool.h - worker threads with a bounded queue. */
#ifndef HOLDFAST_BASE_POOL_H
#define HOLDFAST_BASE_POOL_H

#include <stddef.h>

struct hf_pool; /* opaque */

typedef void hf_pool_job(void *arg);

/* `threads` workers, at most `queue_max` jobs waiting.  NULL: no memory, no threads. */
struct hf_pool *hf_pool_new(size_t threads, size_t queue_max);

/* Runs job(arg) on a worker; waits while the queue is full.  Any thread but a worker. */
void hf_pool_submit(struct hf_pool *pool, hf_pool_job *job, void *arg);

/* Returns when every job submitted so far has run. */
void hf_pool_wait(struct hf_pool *pool);

/* Runs what is queued, then ends the threads.  NULL is allowed. */
void hf_pool_free(struct hf_pool *pool);

#endif
