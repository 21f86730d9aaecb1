/* outflow.h - frames on their way to a link (membership/link_frame.h): what is prompt goes
 * to the line at once, bulk in parts, when its owner lets the next one go.
 *
 * One owner. */
#ifndef HOLDFAST_DAEMON_OUTFLOW_H
#define HOLDFAST_DAEMON_OUTFLOW_H

#include "base/buffer.h"
#include "membership/link_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct bulk;

enum link_lane {
    LINK_PROMPT, /* goes out as it is */
    LINK_BULK    /* its payload goes out in parts, when nothing prompt waits; the other end
                    must be settled */
};

struct outflow {
    struct evbuffer *output; /* what is on its way already; borrowed */
    struct bulk *first, **last;
    size_t bulk_bytes;   /* of payloads that are not out yet */
    uint64_t part_bytes; /* that went out in parts, ever */
};

void outflow_init(struct outflow *outflow, struct evbuffer *output);
void outflow_done(struct outflow *outflow);

/* A frame: n bytes of header, and a payload, of which a reference is taken; NULL: none.
 * Within a lane the order is kept.  Bulk is lost without memory. */
void outflow_send(struct outflow *outflow, enum link_lane lane, const uint8_t *header,
                  size_t n, struct hf_buffer *payload);

/* Puts the next part of bulk out, which must be there (first != NULL), with at most so many
 * bytes of payload (0: LINK_PART_MAX).  What it costs on the line. */
size_t outflow_part(struct outflow *outflow, size_t part_max);

/* Bytes that have not left output, and bulk behind them. */
size_t outflow_queued(const struct outflow *outflow);

#endif
