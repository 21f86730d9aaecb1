#include "daemon/holding.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/pool.h"
#include "daemon/shelf.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Owned by the loop until it is submitted, by a worker until it is in the list of those
 * done, then by the loop again. */
struct job {
    struct job *next; /* in the list of those free or done */
    struct holding *holding;
    uint64_t tag;
    bool store;
    struct dht_item item;   /* references */
    struct dht_item loaded; /* of a load */
    enum hf_code code;
};

struct holding {
    struct loop *loop;
    struct shelf *shelf;
    struct hf_pool *pool;
    holding_done_fn *done;
    void *arg;
    struct job jobs[HOLDING_JOBS_MAX];
    struct job *free_jobs;
    pthread_mutex_t mutex; /* guards the list of those done */
    struct job *first_done, **last_done;
};

struct holding *holding_new(struct loop *loop, struct segment_log *log,
                            holding_done_fn *done, void *arg)
{
    struct holding *holding = hf_alloc_array(1, sizeof *holding);

    if (holding == NULL) return NULL;
    *holding = (struct holding){.loop = loop, .done = done, .arg = arg};
    (void)pthread_mutex_init(&holding->mutex, NULL);
    holding->last_done = &holding->first_done;
    for (size_t i = 0; i < HOLDING_JOBS_MAX; i++) {
        holding->jobs[i].next = holding->free_jobs;
        holding->free_jobs = &holding->jobs[i];
    }
    holding->shelf = shelf_new(log);
    /* With room for all jobs, so that the loop never waits in hf_pool_submit. */
    holding->pool = hf_pool_new(HOLDING_THREADS, HOLDING_JOBS_MAX);
    if (holding->shelf != NULL && holding->pool != NULL) return holding;
    holding_free(holding);
    return NULL;
}

/* Drops what the job holds and takes it back. */
static void job_done(struct holding *holding, struct job *job)
{
    shelf_release(holding->shelf, &job->loaded);
    hf_buffer_unref(job->item.manifest);
    hf_buffer_unref(job->item.payload);
    job->next = holding->free_jobs;
    holding->free_jobs = job;
}

void holding_free(struct holding *holding)
{
    if (holding == NULL) return;
    if (holding->shelf != NULL) shelf_end(holding->shelf);
    hf_pool_free(holding->pool);
    loop_forget(holding->loop, holding);
    while (holding->first_done != NULL) {
        struct job *job = holding->first_done;

        holding->first_done = job->next;
        job_done(holding, job);
    }
    shelf_free(holding->shelf);
    (void)pthread_mutex_destroy(&holding->mutex);
    free(holding);
}

static void deliver(void *arg)
{
    struct holding *holding = arg;
    struct job *job;

    (void)pthread_mutex_lock(&holding->mutex);
    job = holding->first_done;
    holding->first_done = NULL;
    holding->last_done = &holding->first_done;
    (void)pthread_mutex_unlock(&holding->mutex);
    while (job != NULL) {
        struct job *next = job->next;
        struct job ended = *job; /* its place may be taken while it is reported */
        struct holding_result result = {.tag = ended.tag,
                                        .stored = ended.store,
                                        .code = ended.code,
                                        .item =
                                            ended.loaded.kind != 0 ? &ended.loaded : NULL};

        job->loaded = job->item = (struct dht_item){0};
        job_done(holding, job);
        holding->done(holding->arg, &result);
        shelf_release(holding->shelf, &ended.loaded);
        hf_buffer_unref(ended.item.manifest);
        hf_buffer_unref(ended.item.payload);
        job = next;
    }
}

/* On a worker. */
static void run(void *arg)
{
    struct job *job = arg;
    struct holding *holding = job->holding;
    struct hf_err err;
    bool first;

    job->code = job->store ? shelf_store(holding->shelf, &job->item, &err)
                           : shelf_load(holding->shelf, &job->item, &job->loaded, &err);
    if (job->code != HF_OK && job->code != HF_NOT_FOUND)
        hf_log(HF_LOG_DEBUG, "store", "%s: %s", job->store ? "store" : "load", err.msg);
    (void)pthread_mutex_lock(&holding->mutex);
    first = holding->first_done == NULL;
    job->next = NULL;
    *holding->last_done = job;
    holding->last_done = &job->next;
    (void)pthread_mutex_unlock(&holding->mutex);
    if (first) loop_post(holding->loop, deliver, holding);
}

static void submit(struct holding *holding, uint64_t tag, bool store,
                   const struct dht_item *item)
{
    struct job *job = holding->free_jobs;

    assert(job != NULL);
    holding->free_jobs = job->next;
    *job = (struct job){.holding = holding, .tag = tag, .store = store, .item = *item};
    (void)hf_buffer_ref(item->manifest);
    (void)hf_buffer_ref(item->payload);
    hf_pool_submit(holding->pool, run, job);
}

void holding_store(struct holding *holding, uint64_t tag, const struct dht_item *item)
{
    submit(holding, tag, true, item);
}

void holding_load(struct holding *holding, uint64_t tag, const struct dht_item *item)
{
    submit(holding, tag, false, item);
}
