#include "snapshot/tail_blocks.h"

#include "base/alloc.h"
#include "snapshot/tail.h"

#include <stdlib.h>
#include <string.h>

/* A frame and where its bytes are. */
struct piece {
    struct packed_frame *frame; /* NULL: it has its place */
    const uint8_t *bytes;
};

struct pieces {
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
    free(p->list);
    free(p->sizes);
    free(p->where);
}

static bool pieces_init(struct pieces *p, struct packed_block *const *open, size_t count)
{
    size_t n = 0;

    memset(p, 0, sizeof *p);
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
            p->list[p->count++] = (struct piece){f, open[i]->bytes + f->offset};
            p->total += f->size;
        }
    }
    if (p->count > 1) qsort(p->list, p->count, sizeof *p->list, larger_first);
    return true;
}

static void place(struct packed_block *block, const struct piece *piece)
{
    memcpy(block->bytes + block->used, piece->bytes, piece->frame->size);
    block_place(block, piece->frame);
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

static bool submit_full(struct block_writer *writer, struct pieces *p)
{
    struct packed_block *block = block_writer_begin(writer);

    if (block == NULL) return false;
    for (size_t i = 0; i < p->count; i++) {
        if (block->used + p->list[i].frame->size > BLOCK_SIZE_MAX) continue;
        p->total -= p->list[i].frame->size;
        place(block, &p->list[i]);
        p->list[i].frame = NULL;
    }
    close_up(p);
    block_writer_submit(writer, block, BLOCK_SIZE_MAX);
    return true;
}

static bool submit_tail(struct block_writer *writer, struct pieces *p)
{
    struct packed_block *parts[TAIL_BLOCKS_MAX] = {NULL};
    struct tail tail;

    for (size_t i = 0; i < p->count; i++)
        p->sizes[i] = p->list[i].frame->size;
    tail = tail_choose(p->sizes, p->count, p->where, p->where + p->count);
    for (size_t i = 0; i < tail.count; i++) {
        parts[i] = block_writer_begin(writer);
        if (parts[i] != NULL) continue;
        while (i-- > 0)
            block_writer_drop(writer, parts[i]);
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        place(parts[p->where[i]], &p->list[i]);
        p->list[i].frame = NULL;
    }
    p->count = 0;
    for (size_t i = 0; i < tail.count; i++)
        block_writer_submit(writer, parts[i], tail.sizes[i]);
    return true;
}

enum hf_code tail_blocks_submit(struct block_writer *writer,
                                struct packed_block *const *open, size_t count)
{
    struct pieces p;
    bool ok = pieces_init(&p, open, count);

    for (size_t i = 0; ok && i < count; i++)
        open[i]->frames = NULL; /* they are the pieces' now */
    while (ok && p.total > BLOCK_SIZE_MAX && block_writer_failed(writer) == HF_OK)
        ok = submit_full(writer, &p);
    if (ok && p.count > 0 && block_writer_failed(writer) == HF_OK)
        ok = submit_tail(writer, &p);
    for (size_t i = 0; ok && i < p.count; i++) /* of a run that has failed */
        block_writer_drop_frame(writer, p.list[i].frame);
    pieces_done(&p);
    for (size_t i = 0; i < count; i++)
        block_writer_drop(writer, open[i]);
    return ok ? block_writer_failed(writer) : block_writer_no_memory(writer);
}
