/* divide.h - taking a sealed frame apart, so that a block can be filled to its end.
 *
 * Only at the end of a run, while nothing else is under way: the thread of the handles. */
#ifndef HOLDFAST_SNAPSHOT_DIVIDE_H
#define HOLDFAST_SNAPSHOT_DIVIDE_H

#include "base/err.h"
#include "snapshot/frame.h"
#include "snapshot/packed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIVIDE_MIN 4096u /* a part is not made smaller, in plaintext */

struct divider {
    struct framer *framer;
    const uint8_t *frame_kdf; /* 32 bytes */
    int level;
    struct packed_table *table;
    uint8_t *sealed; /* FRAME_SEALED_MAX, scratch */
    uint8_t *plain;  /* FRAME_PLAIN_MAX, scratch */
};

/* A sealed frame and its bytes. */
struct divided_part {
    struct packed_frame *frame; /* one reference, the caller's */
    uint8_t *bytes;             /* frame->size, the caller's to free */
};

/* Divides `frame`, sealed at `bytes`, so that the first part takes at most `most` bytes
 * sealed, and nearly so many.  Its chunks move to the parts; one that lies across stays in
 * `frame`, which the caller keeps until its halves are noted.  *done = false: it is not
 * worth it, and nothing has changed.  HF_NO_MEMORY, HF_CORRUPT. */
HF_MUST_CHECK enum hf_code divide_frame(const struct divider *divider,
                                        struct packed_frame *frame, const uint8_t *bytes,
                                        size_t most, struct divided_part parts[static 2],
                                        bool *done, struct hf_err *err);

#endif
