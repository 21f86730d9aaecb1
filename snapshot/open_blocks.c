#include "snapshot/open_blocks.h"

#include <string.h>

void open_blocks_init(struct open_blocks *open, struct block_writer *writer)
{
    memset(open, 0, sizeof *open);
    open->writer = writer;
    (void)pthread_mutex_init(&open->mutex, NULL);
}

void open_blocks_done(struct open_blocks *open)
{
    while (open->count > 0)
        block_writer_drop(open->writer, open->blocks[--open->count]);
    (void)pthread_mutex_destroy(&open->mutex);
}

/* The fullest open block with room for n bytes, or NULL. */
static struct packed_block *fullest(struct open_blocks *open, size_t n)
{
    struct packed_block *best = NULL;

    for (size_t i = 0; i < open->count; i++) {
        struct packed_block *block = open->blocks[i];

        if (block->used + n <= BLOCK_SIZE_MAX && (best == NULL || block->used > best->used))
            best = block;
    }
    return best;
}

/* Takes the fullest block from the open ones; it is the caller's to submit, or, if places
 * of it are still being written, NULL: whoever writes the last one does. */
static struct packed_block *close_fullest(struct open_blocks *open)
{
    struct packed_block *block = fullest(open, 0);
    size_t i = 0;

    while (open->blocks[i] != block)
        i++;
    open->blocks[i] = open->blocks[--open->count];
    block->closed = true;
    return block->unwritten == 0 ? block : NULL;
}

struct packed_block *open_blocks_reserve(struct open_blocks *open,
                                         struct packed_frame *frame, uint8_t **out)
{
    struct packed_block *block;
    struct packed_block *full = NULL;

    (void)pthread_mutex_lock(&open->mutex);
    block = fullest(open, frame->size);
    if (block == NULL) {
        if (open->count == OPEN_BLOCKS_MAX) full = close_fullest(open);
        block = block_writer_begin(open->writer);
        if (block != NULL) open->blocks[open->count++] = block;
    }
    if (block != NULL) {
        block_place(block, frame);
        block->unwritten++;
        *out = block->bytes + frame->offset;
    }
    (void)pthread_mutex_unlock(&open->mutex);
    if (full != NULL) block_writer_submit(open->writer, full, BLOCK_SIZE_MAX);
    return block;
}

void open_blocks_written(struct open_blocks *open, struct packed_block *block)
{
    bool last;

    (void)pthread_mutex_lock(&open->mutex);
    last = --block->unwritten == 0 && block->closed;
    (void)pthread_mutex_unlock(&open->mutex);
    if (last) block_writer_submit(open->writer, block, BLOCK_SIZE_MAX);
}

void open_blocks_submit(struct open_blocks *open)
{
    while (open->count > 0) {
        struct packed_block *block = open->blocks[--open->count];

        block_writer_submit(open->writer, block, block_size_class(block->used));
    }
}
