#include "daemon/inflow.h"

#include <event2/buffer.h>
#include <stdlib.h>

void inflow_release(struct arrival *arrival)
{
    hf_buffer_unref(arrival->payload);
    free(arrival->header);
    *arrival = (struct arrival){0};
}

void inflow_done(struct inflow *inflow)
{
    inflow_release(&inflow->now);
    inflow_release(&inflow->slow);
    inflow->begun = false;
}

/* The sizes of a piece: may it come now? */
static enum inflow_progress begin_piece(struct inflow *inflow, struct evbuffer *input)
{
    struct arrival *now = &inflow->now;
    uint8_t sizes[LINK_SIZES_SIZE];

    if (evbuffer_get_length(input) < sizeof sizes) return INFLOW_MORE;
    (void)evbuffer_remove(input, sizes, sizeof sizes);
    if (!link_piece_get(sizes, &inflow->piece, &now->header_size, &now->payload_size))
        return INFLOW_BAD;
    if (now->payload_size > 0 && inflow->piece != LINK_FRAME && !inflow->settled)
        return INFLOW_BAD;
    if (inflow->piece == LINK_FRAME_IN_PARTS && inflow->slow.header != NULL)
        return INFLOW_BAD;
    if (inflow->piece == LINK_PART) {
        if (inflow->slow.header == NULL ||
            now->payload_size > inflow->slow.payload_size - inflow->slow.have)
            return INFLOW_BAD;
        inflow->part_left = now->payload_size;
    }
    inflow->begun = true;
    return INFLOW_FRAME;
}

/* Up to `most` bytes of the payload; how many. */
static size_t take_payload(struct arrival *arrival, struct evbuffer *input, size_t most)
{
    const size_t left = arrival->payload_size - arrival->have;
    const int got = evbuffer_remove(input, arrival->payload->b + arrival->have,
                                    most < left ? most : left);

    if (got <= 0) return 0;
    arrival->have += (size_t)got;
    return (size_t)got;
}

/* Memory is taken only when the header is there. */
static enum inflow_progress take_header(struct inflow *inflow, struct evbuffer *input)
{
    struct arrival *now = &inflow->now;

    if (evbuffer_get_length(input) < now->header_size) return INFLOW_MORE;
    if (now->payload_size > 0 && !inflow->settled) return INFLOW_BAD;
    now->header = malloc(now->header_size);
    if (now->payload_size > 0) now->payload = hf_buffer_new(now->payload_size);
    if (now->header == NULL || (now->payload_size > 0 && now->payload == NULL))
        return INFLOW_NO_MEMORY;
    (void)evbuffer_remove(input, now->header, now->header_size);
    return INFLOW_FRAME;
}

static enum inflow_progress take_part(struct inflow *inflow, struct evbuffer *input)
{
    struct arrival *slow = &inflow->slow;
    const size_t got = take_payload(slow, input, inflow->part_left);

    inflow->part_left -= (uint32_t)got;
    inflow->part_bytes += got;
    if (inflow->part_left > 0) return INFLOW_MORE;
    inflow->begun = false;
    if (slow->have < slow->payload_size) return INFLOW_PIECE;
    inflow->now = *slow;
    *slow = (struct arrival){0};
    return INFLOW_FRAME;
}

enum inflow_progress inflow_take(struct inflow *inflow, struct evbuffer *input)
{
    struct arrival *now = &inflow->now;
    enum inflow_progress progress = INFLOW_FRAME;

    if (!inflow->begun) progress = begin_piece(inflow, input);
    if (progress != INFLOW_FRAME) return progress;
    if (inflow->piece == LINK_PART) return take_part(inflow, input);
    if (now->header == NULL) progress = take_header(inflow, input);
    if (progress != INFLOW_FRAME) return progress;
    if (inflow->piece == LINK_FRAME_IN_PARTS) {
        inflow->slow = *now;
        *now = (struct arrival){0};
        inflow->begun = false;
        return INFLOW_PIECE;
    }
    if (now->payload_size > 0) (void)take_payload(now, input, SIZE_MAX);
    if (now->have < now->payload_size) return INFLOW_MORE;
    inflow->begun = false;
    return INFLOW_FRAME;
}
