/* inflow.h - the frames in the bytes that come over a link (membership/link_frame.h): one
 * that comes as a whole, and beside it one whose payload comes in parts.
 *
 * Memory is taken when a frame's header is there: at most two headers and two payloads.
 * One owner. */
#ifndef HOLDFAST_DAEMON_INFLOW_H
#define HOLDFAST_DAEMON_INFLOW_H

#include "base/buffer.h"
#include "base/err.h"
#include "membership/link_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

/* What has come of a frame. */
struct arrival {
    uint32_t header_size, payload_size;
    uint8_t *header;           /* NULL: not yet */
    struct hf_buffer *payload; /* NULL: not yet, or none */
    size_t have;               /* of the payload */
};

/* All zero at first. */
struct inflow {
    bool settled; /* set by the owner: payloads are allowed, and parts */
    bool begun;   /* the sizes of the next piece are known */
    enum link_piece piece;
    uint32_t part_left;  /* of a part */
    struct arrival now;  /* the frame that comes as a whole, or its header */
    struct arrival slow; /* the one that comes in parts; header NULL: none */
    uint64_t part_bytes; /* that came in parts, ever */
};

enum inflow_progress {
    INFLOW_MORE,  /* what is there was taken; more must come */
    INFLOW_PIECE, /* one more piece is in: go on */
    INFLOW_FRAME, /* a frame is whole, in inflow->now: to be taken out, and released */
    INFLOW_BAD,   /* not a frame, beyond the limits, or not allowed now */
    INFLOW_NO_MEMORY
};

/* Takes bytes out of `input`. */
HF_MUST_CHECK enum inflow_progress inflow_take(struct inflow *inflow,
                                               struct evbuffer *input);

/* Frees what is in an arrival, and zeroes it. */
void inflow_release(struct arrival *arrival);
void inflow_done(struct inflow *inflow);

#endif
