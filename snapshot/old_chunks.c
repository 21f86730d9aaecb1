#include "snapshot/old_chunks.h"

#include <string.h>

/* The nodes of a smaller file would be opened for a few chunks. */
#define OLD_SIZE_MIN (16u << 20)

void old_chunks_init(struct old_chunks *chunks, struct fetcher *fetcher,
                     const struct stream_root *old)
{
    memset(chunks, 0, sizeof *chunks);
    chunks->size = old->size;
    if (old->size >= OLD_SIZE_MIN)
        chunks->cursor = stream_cursor_new(fetcher, FRAME_DATA, old);
}

void old_chunks_done(struct old_chunks *chunks)
{
    stream_cursor_free(chunks->cursor);
    memset(chunks, 0, sizeof *chunks);
}

const struct chunk_ref *old_chunks_at(struct old_chunks *chunks, uint64_t offset,
                                      bool *last)
{
    while (chunks->cursor != NULL && (chunks->next.size == 0 || chunks->offset < offset)) {
        struct hf_err err;

        if (stream_cursor_next_ref(chunks->cursor, &chunks->next, &chunks->offset, &err) !=
                HF_OK ||
            chunks->next.size == 0)
            old_chunks_done(chunks);
    }
    *last = chunks->cursor != NULL && chunks->offset + chunks->next.size == chunks->size;
    return chunks->cursor != NULL && chunks->offset == offset ? &chunks->next : NULL;
}
