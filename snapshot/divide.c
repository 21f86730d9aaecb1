#include "snapshot/divide.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 5u

/* The chunks of a frame by position, with the halves of the one that is cut. */
struct piece {
    struct pending_chunk *chunk; /* holds a reference when it is a half */
    uint32_t offset;             /* in the part */
    bool half;
};

struct plan {
    size_t plain_size, at; /* of the whole; where it is cut */
    struct piece *pieces[2];
    size_t counts[2];
    struct pending_chunk *across; /* NULL: none */
};

static void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < plan->counts[i]; j++) {
            if (plan->pieces[i][j].half) pending_chunk_unref(plan->pieces[i][j].chunk);
        }
        free(plan->pieces[i]);
    }
}

static bool add_half(struct plan *plan, size_t part, const uint8_t *plain, size_t n)
{
    struct piece *piece = &plan->pieces[part][plan->counts[part]];

    piece->chunk = pending_chunk_new(n);
    if (piece->chunk == NULL) return false;
    hf_tree_hash(plain, n, &piece->chunk->id);
    piece->half = true;
    plan->counts[part]++;
    return true;
}

/* Sorts the frame's chunks into the parts. */
static enum hf_code plan_chunks(struct plan *plan, const struct packed_frame *frame,
                                const uint8_t *plain, struct hf_err *err)
{
    for (size_t i = 0; i < 2; i++)
        plan->pieces[i] = hf_alloc_array(frame->chunk_count + 1, sizeof(struct piece));
    if (plan->pieces[0] == NULL || plan->pieces[1] == NULL)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    for (struct pending_chunk *c = frame->chunks; c != NULL; c = c->next_in_frame) {
        size_t end = c->offset + (size_t)c->size;
        size_t part = c->offset >= plan->at ? 1 : 0;

        if (end <= plan->at || part == 1) {
            plan->pieces[part][plan->counts[part]++] =
                (struct piece){c, c->offset - (uint32_t)(part * plan->at), false};
            continue;
        }
        plan->across = c;
        plan->pieces[0][plan->counts[0]].offset = c->offset;
        if (!add_half(plan, 0, plain + c->offset, plan->at - c->offset) ||
            !add_half(plan, 1, plain + plan->at, end - plan->at))
            return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    return HF_OK;
}

static struct frame_input input_of(const struct divider *d, const struct plan *plan,
                                   size_t part, struct hf_id *ids)
{
    struct frame_input in = {.role = FRAME_DATA, .level = d->level, .chunk_ids = ids};

    in.plain = part == 0 ? d->plain : d->plain + plan->at;
    in.plain_size = part == 0 ? plan->at : plan->plain_size - plan->at;
    in.chunk_count = plan->counts[part];
    for (size_t i = 0; i < in.chunk_count; i++)
        ids[i] = plan->pieces[part][i].chunk->id;
    return in;
}

/* The end of a chunk a little before `at`, if there is one: then no chunk is cut in two. */
static size_t snap(const struct packed_frame *frame, size_t at)
{
    size_t best = 0;

    for (const struct pending_chunk *c = frame->chunks; c != NULL; c = c->next_in_frame) {
        size_t end = c->offset + (size_t)c->size;

        if (end <= at && end > best) best = end;
    }
    return at - best <= at / 16 ? best : at;
}

/* Where to cut so that what is before takes at most `most` bytes; 0: nowhere. */
static size_t find_cut(const struct divider *d, size_t plain_size, size_t sealed_size,
                       size_t most)
{
    size_t at = (size_t)((double)plain_size * (double)most / (double)sealed_size);
    size_t best = 0;

    for (unsigned i = 0; i < TRIES; i++) {
        struct frame_input in = {
            .role = FRAME_DATA, .level = d->level, .plain = d->plain, .plain_size = at};
        size_t size;

        if (at > plain_size - DIVIDE_MIN) at = plain_size - DIVIDE_MIN;
        if (at < DIVIDE_MIN) break;
        in.plain_size = at;
        size = frame_compress(d->framer, &in, d->sealed).size + HF_AEAD_TAG_SIZE;
        if (size <= most && at > best) best = at;
        if (size <= most && most - size < most / 64) break;
        at = (size_t)((double)at * (double)most / (double)size * (size > most ? 0.998 : 1));
    }
    return best;
}

static enum hf_code seal_part(const struct divider *d, const struct plan *plan, size_t part,
                              struct divided_part *out, struct hf_err *err)
{
    struct hf_id *ids = hf_alloc_array(plan->counts[part] + 1, sizeof *ids);
    struct frame_input in;
    struct frame_body body;
    enum hf_code rc;

    if (ids == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    in = input_of(d, plan, part, ids);
    body = frame_compress(d->framer, &in, d->sealed);
    out->frame = packed_frame_new(FRAME_DATA);
    out->bytes = malloc(body.size + HF_AEAD_TAG_SIZE);
    if (out->frame == NULL || out->bytes == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    } else {
        out->frame->size = (uint32_t)(body.size + HF_AEAD_TAG_SIZE);
        rc = frame_encrypt(d->framer, d->frame_kdf, &in, d->sealed, body, out->bytes,
                           out->frame->key, err);
    }
    free(ids);
    return rc;
}

/* The chunks, those in the table among them, are now the parts'. */
static void move_chunks(const struct divider *d, struct packed_frame *frame,
                        struct plan *plan, const struct divided_part parts[static 2])
{
    (void)pthread_mutex_lock(&d->table->lock);
    frame->chunks = plan->across;
    frame->chunk_count = plan->across != NULL ? 1 : 0;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < plan->counts[i]; j++) {
            struct piece *piece = &plan->pieces[i][j];

            piece->chunk->next_in_frame = NULL;
            packed_frame_unref(piece->chunk->frame); /* a half has none */
            pending_chunk_settle_new(piece->chunk, parts[i].frame, piece->offset);
            if (piece->half) packed_table_put(d->table, piece->chunk);
        }
    }
    if (plan->across != NULL) plan->across->next_in_frame = NULL;
    (void)pthread_mutex_unlock(&d->table->lock);
}

static struct pending_chunk *half_of(const struct plan *plan, size_t part)
{
    for (size_t j = 0; j < plan->counts[part]; j++) {
        struct pending_chunk *chunk = plan->pieces[part][j].chunk;

        if (!plan->pieces[part][j].half) continue;
        (void)atomic_fetch_add(&chunk->references, 1);
        return chunk;
    }
    return NULL;
}

enum hf_code divide_frame(const struct divider *d, struct packed_frame *frame,
                          const uint8_t *bytes, size_t most,
                          struct divided_part parts[static 2], bool *done,
                          struct hf_err *err)
{
    struct plan plan = {0};
    struct frame_division *division = calloc(1, sizeof *division);
    enum hf_code rc;

    memset(parts, 0, 2 * sizeof parts[0]);
    *done = false;
    if (division == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    memcpy(d->sealed, bytes, frame->size);
    rc = frame_open(d->framer, FRAME_DATA, frame->key, d->sealed, frame->size, d->plain,
                    &plan.plain_size, err);
    if (rc == HF_OK && plan.plain_size >= 2 * DIVIDE_MIN)
        plan.at = snap(frame, find_cut(d, plan.plain_size, frame->size, most));
    if (rc == HF_OK && plan.at > 0) rc = plan_chunks(&plan, frame, d->plain, err);
    for (size_t i = 0; rc == HF_OK && plan.at > 0 && i < 2; i++)
        rc = seal_part(d, &plan, i, &parts[i], err);
    if (rc == HF_OK && plan.at > 0 && parts[0].frame->size <= most) {
        division->at = (uint32_t)plan.at;
        for (size_t i = 0; i < 2; i++) {
            division->parts[i] = parts[i].frame;
            (void)atomic_fetch_add(&parts[i].frame->references, 1);
            division->halves[i] = half_of(&plan, i);
        }
        move_chunks(d, frame, &plan, parts);
        frame->division = division;
        division = NULL;
        *done = true;
    }
    if (!*done) {
        for (size_t i = 0; i < 2; i++) {
            packed_frame_unref(parts[i].frame);
            free(parts[i].bytes);
        }
    }
    plan_done(&plan);
    free(division);
    return rc;
}
