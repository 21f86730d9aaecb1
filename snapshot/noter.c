#include "snapshot/noter.h"

#include "base/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENOUGH  4096u            /* chunks: noted at once */
#define MAX     (4u * ENOUGH)    /* chunks: whoever adds more waits */
#define WAIT_NS (100 * 1000000L) /* for more to come */

struct noter {
    struct index *index;
    struct packed_table *table;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t added, noted;
    struct packed_frame *frames;
    size_t chunks; /* of them */
    bool busy;     /* a batch is being noted */
    bool hurry, ending;
    struct hf_err failure;
    enum hf_code failed;
};

static size_t count_chunks(const struct packed_frame *frames)
{
    size_t count = 0;

    for (const struct packed_frame *f = frames; f != NULL; f = f->next)
        count += f->chunk_count;
    return count;
}

/* What it reads of the frames no longer changes. */
static enum hf_code note(struct noter *noter, const struct packed_frame *frames,
                         size_t count, struct hf_err *err)
{
    struct chunk_ref *refs;
    size_t n = 0;
    enum hf_code rc;

    if (noter->index == NULL) return HF_OK;
    refs = hf_alloc_array(count, sizeof *refs);
    if (refs == NULL) return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
    for (const struct packed_frame *f = frames; f != NULL; f = f->next) {
        for (const struct pending_chunk *c = f->chunks; c != NULL; c = c->next_in_frame) {
            struct chunk_ref *ref = &refs[n++];

            ref->frame.block = f->block_id;
            ref->frame.offset = f->offset;
            ref->frame.size = f->size;
            memcpy(ref->frame.key, f->key, sizeof ref->frame.key);
            ref->offset = c->offset;
            ref->size = c->size;
            ref->id = c->id;
        }
    }
    rc = index_add(noter->index, refs, n, err);
    free(refs);
    return rc;
}

static void drop(struct noter *noter, struct packed_frame *frames)
{
    while (frames != NULL) {
        struct packed_frame *next = frames->next;

        packed_frame_forget(noter->table, frames);
        packed_frame_unref(frames);
        frames = next;
    }
}

/* Until there is enough, somebody waits for it, or the time is over. */
static void wait_for_more(struct noter *noter)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (noter->chunks < ENOUGH && !noter->hurry && !noter->ending) {
        if (pthread_cond_timedwait(&noter->added, &noter->mutex, &until) == ETIMEDOUT)
            break;
    }
}

static void *run(void *arg)
{
    struct noter *noter = arg;

    (void)pthread_mutex_lock(&noter->mutex);
    for (;;) {
        struct packed_frame *frames;
        size_t count;
        struct hf_err err;
        enum hf_code rc;

        while (noter->frames == NULL && !noter->ending)
            (void)pthread_cond_wait(&noter->added, &noter->mutex);
        if (noter->frames == NULL) break;
        wait_for_more(noter);
        frames = noter->frames;
        count = noter->chunks;
        noter->frames = NULL;
        noter->chunks = 0;
        noter->busy = true;
        (void)pthread_mutex_unlock(&noter->mutex);
        rc = note(noter, frames, count, &err);
        drop(noter, frames);
        (void)pthread_mutex_lock(&noter->mutex);
        noter->busy = false;
        if (rc != HF_OK && noter->failed == HF_OK) {
            noter->failed = rc;
            noter->failure = err;
        }
        (void)pthread_cond_broadcast(&noter->noted);
    }
    (void)pthread_mutex_unlock(&noter->mutex);
    return NULL;
}

struct noter *noter_new(struct index *index, struct packed_table *table)
{
    struct noter *noter = calloc(1, sizeof *noter);
    pthread_condattr_t monotonic;

    if (noter == NULL) return NULL;
    noter->index = index;
    noter->table = table;
    (void)pthread_mutex_init(&noter->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&noter->added, &monotonic);
    (void)pthread_cond_init(&noter->noted, NULL);
    (void)pthread_condattr_destroy(&monotonic);
    if (pthread_create(&noter->thread, NULL, run, noter) == 0) return noter;
    (void)pthread_cond_destroy(&noter->added);
    (void)pthread_cond_destroy(&noter->noted);
    (void)pthread_mutex_destroy(&noter->mutex);
    free(noter);
    return NULL;
}

void noter_free(struct noter *noter)
{
    if (noter == NULL) return;
    (void)pthread_mutex_lock(&noter->mutex);
    noter->ending = true;
    (void)pthread_cond_signal(&noter->added);
    (void)pthread_mutex_unlock(&noter->mutex);
    (void)pthread_join(noter->thread, NULL);
    (void)pthread_cond_destroy(&noter->added);
    (void)pthread_cond_destroy(&noter->noted);
    (void)pthread_mutex_destroy(&noter->mutex);
    free(noter);
}

void noter_add(struct noter *noter, struct packed_frame *frames)
{
    size_t count = count_chunks(frames);
    struct packed_frame **end = &frames;

    if (frames == NULL) return;
    while (*end != NULL)
        end = &(*end)->next;
    (void)pthread_mutex_lock(&noter->mutex);
    while (noter->chunks > MAX)
        (void)pthread_cond_wait(&noter->noted, &noter->mutex);
    *end = noter->frames;
    noter->frames = frames;
    noter->chunks += count;
    (void)pthread_cond_signal(&noter->added);
    (void)pthread_mutex_unlock(&noter->mutex);
}

enum hf_code noter_wait(struct noter *noter, struct hf_err *err)
{
    enum hf_code rc;

    (void)pthread_mutex_lock(&noter->mutex);
    noter->hurry = true;
    (void)pthread_cond_signal(&noter->added);
    while (noter->frames != NULL || noter->busy)
        (void)pthread_cond_wait(&noter->noted, &noter->mutex);
    noter->hurry = false;
    rc = noter->failed;
    if (rc != HF_OK) *err = noter->failure;
    (void)pthread_mutex_unlock(&noter->mutex);
    return rc;
}
