#include "snapshot/tail_blocks.h"

#include "base/alloc.h"
#include "snapshot/tail.h"

#include <stdlib.h>
#include <string.h>

/* A divided frame costs a header and a tag more, and its compression suffers a little. */
#define DIVIDING_COSTS 4096u
/* Smaller gaps are left; a smaller saving is not worth the work. */
#define GAP_MIN    16384u
#define SAVING_MIN BLOCK_SIZE_MIN

/* A frame and where its bytes are. */
struct piece {
    struct packed_frame *frame; /* NULL: it has its place */
    const uint8_t *bytes;
    uint8_t *owned; /* the same, if they are the piece's own */
};

struct pieces {
    struct block_writer *writer;
    const struct divider *divider;
    struct tail_divided *divided;
    struct piece *list; /* largest first */
    uint32_t *sizes;
    unsigned char *where; /* and as much again for trials */
    size_t count, total;  /* without a place yet */
};

static int larger_first(const void *a, const void *b)
{
    const struct piece *x = a;
    const struct piece *y = b;

    return x->frame->size > y->frame->size ? -1 : x->frame->size < y->frame->size ? 1 : 0;
}

static void pieces_done(struct pieces *p)
{
    for (size_t i = 0; p->list != NULL && i < p->count; i++) { /* of a run that failed */
        block_writer_drop_frame(p->writer, p->list[i].frame);
        free(p->list[i].owned);
    }
    free(p->list);
    free(p->sizes);
    free(p->where);
}

/* The frames are the pieces' from then on. */
static bool pieces_init(struct pieces *p, struct packed_block *const *open, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        for (struct packed_frame *f = open[i]->frames; f != NULL; f = f->next)
            n++;
    }
    p->list = hf_alloc_array(n, sizeof *p->list);
    p->sizes = hf_alloc_array(n, sizeof *p->sizes);
    p->where = hf_alloc_array(n, 2);
    if (p->list == NULL || p->sizes == NULL || p->where == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        for (struct packed_frame *f = open[i]->frames; f != NULL; f = f->next) {
            p->list[p->count++] = (struct piece){f, open[i]->bytes + f->offset, NULL};
            p->total += f->size;
        }
        open[i]->frames = NULL;
    }
    if (p->count > 1) qsort(p->list, p->count, sizeof *p->list, larger_first);
    return true;
}

static void place(struct pieces *p, struct packed_block *block, struct piece *piece)
{
    memcpy(block->bytes + block->used, piece->bytes, piece->frame->size);
    p->total -= piece->frame->size;
    block_place(block, piece->frame);
    free(piece->owned);
    memset(piece, 0, sizeof *piece);
}

/* Drops what has a place from the list. */
static void close_up(struct pieces *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].frame != NULL) p->list[kept++] = p->list[i];
    }
    p->count = kept;
}

/* Divides the largest piece to fill what is left of the block. */
static enum hf_code fill_gap(struct pieces *p, struct packed_block *block, size_t size,
                             struct hf_err *err)
{
    struct piece *piece = p->list;
    struct divided_part parts[2];
    bool done;
    enum hf_code rc;

    if (p->count == 0 || size - block->used < GAP_MIN ||
        p->divided->count == TAIL_DIVIDED_MAX)
        return HF_OK;
    rc = divide_frame(p->divider, piece->frame, piece->bytes, size - block->used, parts,
                      &done, err);
    if (rc != HF_OK || !done) return rc;
    p->divided->frames[p->divided->count++] = piece->frame;
    p->total -= piece->frame->size;
    free(piece->owned);
    memcpy(block->bytes + block->used, parts[0].bytes, parts[0].frame->size);
    block_place(block, parts[0].frame);
    free(parts[0].bytes);
    *piece = (struct piece){parts[1].frame, parts[1].bytes, parts[1].bytes};
    p->total += piece->frame->size;
    qsort(p->list, p->count, sizeof *p->list, larger_first);
    return HF_OK;
}

/* Fills a block of `size` and submits it. */
static enum hf_code submit_filled(struct pieces *p, size_t size, struct hf_err *err)
{
    struct packed_block *block = block_writer_begin(p->writer);
    enum hf_code rc = HF_OK;

    if (block == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    for (size_t i = 0; i < p->count; i++) {
        if (block->used + p->list[i].frame->size <= size) place(p, block, &p->list[i]);
    }
    close_up(p);
    rc = fill_gap(p, block, size, err);
    if (rc == HF_OK && block->used > 0)
        block_writer_submit(p->writer, block, size);
    else
        block_writer_drop(p->writer, block);
    return rc;
}

/* Submits the rest in blocks where no frame needs to be divided. */
static enum hf_code submit_whole(struct pieces *p, const struct tail *tail,
                                 struct hf_err *err)
{
    struct packed_block *blocks[TAIL_BLOCKS_MAX] = {NULL};

    for (size_t i = 0; i < tail->count; i++) {
        blocks[i] = block_writer_begin(p->writer);
        if (blocks[i] != NULL) continue;
        while (i-- > 0)
            block_writer_drop(p->writer, blocks[i]);
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    }
    for (size_t i = 0; i < p->count; i++)
        place(p, blocks[p->where[i]], &p->list[i]);
    close_up(p);
    for (size_t i = 0; i < tail->count; i++)
        block_writer_submit(p->writer, blocks[i], tail->sizes[i]);
    return HF_OK;
}

static struct tail choose(struct pieces *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->sizes[i] = p->list[i].frame->size;
    return tail_choose(p->sizes, p->count, p->where, p->where + p->count);
}

static enum hf_code submit_all(struct pieces *p, struct hf_err *err)
{
    struct tail ideal;
    struct tail whole;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && p->total > BLOCK_SIZE_MAX)
        rc = submit_filled(p, BLOCK_SIZE_MAX, err);
    if (rc != HF_OK || p->count == 0) return rc;
    whole = choose(p);
    ideal = tail_ideal(p->total + DIVIDING_COSTS);
    for (size_t i = 0;
         rc == HF_OK && i + 1 < ideal.count && ideal.total + SAVING_MIN <= whole.total; i++)
        rc = submit_filled(p, ideal.sizes[i], err);
    if (rc != HF_OK || p->count == 0) return rc;
    whole = choose(p);
    return submit_whole(p, &whole, err);
}

enum hf_code tail_blocks_submit(struct block_writer *writer, const struct divider *divider,
                                struct packed_block *const *open, size_t count,
                                struct tail_divided *divided)
{
    struct pieces p = {.writer = writer, .divider = divider, .divided = divided};
    struct hf_err err;

    if (!pieces_init(&p, open, count))
        (void)block_writer_no_memory(writer);
    else if (block_writer_failed(writer) == HF_OK && submit_all(&p, &err) != HF_OK)
        (void)block_writer_fail(writer, &err);
    pieces_done(&p);
    for (size_t i = 0; i < count; i++)
        block_writer_drop(writer, open[i]);
    return block_writer_failed(writer);
}

/* The references of all parts of a chunk, which is consumed.  False: too many, or one is
 * not stored. */
static bool collect_parts(struct packed *packed, struct chunk_ref *refs, size_t *count)
{
    struct packed halves[2];
    bool ok;

    if (packed_halves(packed, halves)) {
        packed_done(packed);
        ok = collect_parts(&halves[0], refs, count);
        return collect_parts(&halves[1], refs, count) && ok;
    }
    ok = *count < INDEX_PARTS_MAX && packed_complete(packed);
    if (ok) refs[(*count)++] = packed->ref;
    packed_done(packed);
    return ok;
}

enum hf_code tail_divided_note(struct tail_divided *divided, struct index *index,
                               struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < divided->count; i++) {
        struct pending_chunk *chunk = divided->frames[i]->chunks;
        struct chunk_ref parts[INDEX_PARTS_MAX];
        struct packed whole;
        size_t count = 0;

        if (chunk == NULL) continue; /* it was cut between two */
        (void)atomic_fetch_add(&chunk->references, 1);
        whole = packed_of(chunk);
        if (collect_parts(&whole, parts, &count))
            rc = index_add_parts(index, &chunk->id, parts, count, err);
    }
    return rc;
}

void tail_divided_drop(struct tail_divided *divided, struct block_writer *writer)
{
    for (size_t i = 0; i < divided->count; i++)
        block_writer_drop_frame(writer, divided->frames[i]);
    divided->count = 0;
}
