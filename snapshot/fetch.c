#include "snapshot/fetch.h"

#include "base/alloc.h"
#include "base/tree_hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACES_MAX 16u
#define SPARES_MAX     16u

/* A part of an opened frame, and what it hashes to. */
struct part {
    uint32_t offset, size;
    struct hf_id id;
};

/* Fresh memory of this size would cost a page fault for every 4 KiB, so frames and
 * workspaces are used again. */
struct fetched_frame {
    struct fetcher *fetcher;
    atomic_uint references;
    struct hf_id block;
    uint32_t offset;
    enum frame_role role;
    uint64_t used; /* by the fetcher's clock, under its mutex */
    size_t size;
    struct part parts[FRAME_CHUNKS_MAX]; /* hashed when it was opened; ascending */
    size_t part_count;
    uint8_t plain[FRAME_PLAIN_MAX];
};

/* What opening a frame works with. */
struct workspace {
    struct framer *framer;
    uint8_t sealed[FRAME_SEALED_MAX];
};

struct fetcher {
    struct block_store *store;
    pthread_mutex_t mutex; /* guards all below */
    struct fetched_frame **frames;
    size_t frame_count;
    uint64_t clock;
    struct workspace *workspaces[WORKSPACES_MAX]; /* idle ones */
    size_t workspace_count;
    struct fetched_frame *spares[SPARES_MAX]; /* that nobody refers to */
    size_t spare_count;
};

static void frame_unref(struct fetched_frame *frame)
{
    struct fetcher *f;

    if (frame == NULL || atomic_fetch_sub(&frame->references, 1) != 1) return;
    f = frame->fetcher;
    (void)pthread_mutex_lock(&f->mutex);
    if (f->spare_count < SPARES_MAX) {
        f->spares[f->spare_count++] = frame;
        frame = NULL;
    }
    (void)pthread_mutex_unlock(&f->mutex);
    free(frame);
}

static struct fetched_frame *take_frame(struct fetcher *f)
{
    struct fetched_frame *frame = NULL;

    (void)pthread_mutex_lock(&f->mutex);
    if (f->spare_count > 0) frame = f->spares[--f->spare_count];
    (void)pthread_mutex_unlock(&f->mutex);
    if (frame == NULL) frame = malloc(sizeof *frame);
    if (frame == NULL) return NULL;
    frame->fetcher = f;
    frame->size = frame->part_count = 0;
    atomic_init(&frame->references, 1);
    return frame;
}

static void workspace_free(struct workspace *w)
{
    if (w == NULL) return;
    framer_free(w->framer);
    free(w);
}

struct fetcher *fetcher_new(struct block_store *store, size_t frames)
{
    struct fetcher *f = calloc(1, sizeof *f);

    if (f == NULL) return NULL;
    (void)pthread_mutex_init(&f->mutex, NULL);
    f->store = store;
    f->frame_count = frames;
    f->frames = hf_alloc_array(frames, sizeof(struct fetched_frame *));
    if (f->frames != NULL) return f;
    fetcher_free(f);
    return NULL;
}

void fetcher_free(struct fetcher *fetcher)
{
    if (fetcher == NULL) return;
    for (size_t i = 0; fetcher->frames != NULL && i < fetcher->frame_count; i++)
        frame_unref(fetcher->frames[i]);
    for (size_t i = 0; i < fetcher->workspace_count; i++)
        workspace_free(fetcher->workspaces[i]);
    for (size_t i = 0; i < fetcher->spare_count; i++)
        free(fetcher->spares[i]);
    (void)pthread_mutex_destroy(&fetcher->mutex);
    free(fetcher->frames);
    free(fetcher);
}

static struct workspace *take_workspace(struct fetcher *f)
{
    struct workspace *w = NULL;

    (void)pthread_mutex_lock(&f->mutex);
    if (f->workspace_count > 0) w = f->workspaces[--f->workspace_count];
    (void)pthread_mutex_unlock(&f->mutex);
    if (w != NULL) return w;
    w = malloc(sizeof *w);
    if (w == NULL) return NULL;
    w->framer = framer_new();
    if (w->framer != NULL) return w;
    free(w);
    return NULL;
}

static void give_workspace(struct fetcher *f, struct workspace *w)
{
    (void)pthread_mutex_lock(&f->mutex);
    if (f->workspace_count < WORKSPACES_MAX) {
        f->workspaces[f->workspace_count++] = w;
        w = NULL;
    }
    (void)pthread_mutex_unlock(&f->mutex);
    workspace_free(w);
}

/* The frame from the cache, referenced, or NULL. */
static struct fetched_frame *find(struct fetcher *f, enum frame_role role,
                                  const struct chunk_ref *ref)
{
    struct fetched_frame *found = NULL;

    (void)pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->frame_count && found == NULL; i++) {
        struct fetched_frame *frame = f->frames[i];

        if (frame == NULL || frame->role != role || frame->offset != ref->frame.offset ||
            !hf_id_equal(&frame->block, &ref->frame.block))
            continue;
        frame->used = ++f->clock;
        (void)atomic_fetch_add(&frame->references, 1);
        found = frame;
    }
    (void)pthread_mutex_unlock(&f->mutex);
    return found;
}

/* Puts the frame in the place of the one used longest ago. */
static void keep(struct fetcher *f, struct fetched_frame *frame)
{
    size_t oldest = 0;
    struct fetched_frame *dropped;

    (void)pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->frame_count; i++) {
        if (f->frames[i] == NULL) {
            oldest = i;
            break;
        }
        if (f->frames[i]->used < f->frames[oldest]->used) oldest = i;
    }
    dropped = f->frames[oldest];
    frame->used = ++f->clock;
    (void)atomic_fetch_add(&frame->references, 1);
    f->frames[oldest] = frame;
    (void)pthread_mutex_unlock(&f->mutex);
    frame_unref(dropped);
}

/* ---- verifying ---- */

static int compare_part(const struct part *part, const struct chunk_ref *ref)
{
    if (part->offset != ref->offset) return part->offset < ref->offset ? -1 : 1;
    return part->size < ref->size ? -1 : part->size > ref->size ? 1 : 0;
}

static bool in_frame(const struct fetched_frame *frame, const struct chunk_ref *ref)
{
    return ref->frame.offset == frame->offset &&
           hf_id_equal(&ref->frame.block, &frame->block) &&
           (size_t)ref->offset + ref->size <= frame->size;
}

/* Most come in their order. */
static void note_part(struct fetched_frame *frame, const struct chunk_ref *ref)
{
    size_t i = frame->part_count;

    if (i == FRAME_CHUNKS_MAX || !in_frame(frame, ref)) return;
    while (i > 0 && compare_part(&frame->parts[i - 1], ref) > 0)
        i--;
    if (i > 0 && compare_part(&frame->parts[i - 1], ref) == 0) return;
    memmove(&frame->parts[i + 1], &frame->parts[i],
            (frame->part_count - i) * sizeof frame->parts[0]);
    frame->parts[i].offset = ref->offset;
    frame->parts[i].size = ref->size;
    frame->part_count++;
}

static void hash_parts(struct fetched_frame *frame)
{
    struct hf_tree_input inputs[FRAME_CHUNKS_MAX];

    for (size_t i = 0; i < frame->part_count; i++)
        inputs[i] = (struct hf_tree_input){.bytes = frame->plain + frame->parts[i].offset,
                                           .size = frame->parts[i].size,
                                           .root = &frame->parts[i].id};
    hf_tree_hash_many(inputs, frame->part_count);
}

/* True when the chunk's bytes hash to its id. */
static bool is_right(const struct fetched_frame *frame, const struct chunk_ref *ref)
{
    size_t low = 0;
    size_t high = frame->part_count;
    struct hf_id id;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_part(&frame->parts[middle], ref);

        if (order == 0) return hf_id_equal(&frame->parts[middle].id, &ref->id);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    hf_tree_hash(frame->plain + ref->offset, ref->size, &id);
    return hf_id_equal(&id, &ref->id);
}

/* ---- reading ---- */

static enum hf_code open_frame(struct fetcher *f, enum frame_role role,
                               const struct chunk_ref *ref,
                               const struct fetch_company *company,
                               struct fetched_frame **out, struct hf_err *err)
{
    struct workspace *w = take_workspace(f);
    struct fetched_frame *frame = take_frame(f);
    enum hf_code rc = HF_OK;

    if (w == NULL || frame == NULL)
        rc = hf_fail(err, HF_NO_MEMORY, "read a frame: out of memory");
    if (rc == HF_OK)
        rc = block_store_get(f->store, &ref->frame.block, ref->frame.offset,
                             ref->frame.size, w->sealed, err);
    if (rc == HF_OK)
        rc = frame_open(w->framer, role, ref->frame.key, w->sealed, ref->frame.size,
                        frame->plain, &frame->size, err);
    if (w != NULL) give_workspace(f, w);
    if (rc != HF_OK) {
        frame_unref(frame);
        return rc;
    }
    frame->block = ref->frame.block;
    frame->offset = ref->frame.offset;
    frame->role = role;
    note_part(frame, ref);
    for (size_t i = 0; i < company->count; i++)
        note_part(frame, company->refs[i]);
    hash_parts(frame);
    keep(f, frame);
    *out = frame;
    return HF_OK;
}

enum hf_code fetch_chunk_among(struct fetcher *fetcher, enum frame_role role,
                               const struct chunk_ref *ref,
                               const struct fetch_company *company, struct fetched *fetched,
                               struct hf_err *err)
{
    char hex[HF_ID_HEX_SIZE];
    struct fetched_frame *frame = find(fetcher, role, ref);
    enum hf_code rc = HF_OK;

    memset(fetched, 0, sizeof *fetched);
    if (frame == NULL) rc = open_frame(fetcher, role, ref, company, &frame, err);
    if (rc == HF_OK && (frame == NULL || (size_t)ref->offset + ref->size > frame->size))
        rc = hf_fail(err, HF_CORRUPT, "chunk: beyond the end of its frame");
    else if (rc == HF_OK && !is_right(frame, ref))
        rc = hf_fail(err, HF_CORRUPT, "chunk: its bytes do not hash to its id");
    if (rc != HF_OK) {
        frame_unref(frame);
        return hf_prefix(err, "block %.16s", hf_id_hex(&ref->frame.block, hex));
    }
    fetched->bytes = frame->plain + ref->offset;
    fetched->size = ref->size;
    fetched->frame = frame;
    return HF_OK;
}

enum hf_code fetch_chunk(struct fetcher *fetcher, enum frame_role role,
                         const struct chunk_ref *ref, struct fetched *fetched,
                         struct hf_err *err)
{
    const struct fetch_company none = {NULL, 0};

    return fetch_chunk_among(fetcher, role, ref, &none, fetched, err);
}

void fetched_done(struct fetched *fetched)
{
    frame_unref(fetched->frame);
    memset(fetched, 0, sizeof *fetched);
}
