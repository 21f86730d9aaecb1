/* log_read.h - reading one entry whose place is known.
 *
 * Every function ends by reading the frame again: while it stands, nothing of the entry
 * has been overwritten (log_reclaim.h), so the bytes are the entry's.  Codes of all:
 * HF_NOT_FOUND: it is not there any more, look the key up again.  HF_CORRUPT: what is
 * there does not verify.  HF_IO, HF_NO_MEMORY.  Any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_READ_H
#define HOLDFAST_BLOCKSTORE_LOG_READ_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_row.h"

struct log_place { /* all borrowed */
    struct hf_files *files;
    const struct log_identity *identity;
    int segments_fd;
    const struct log_key *key;
    const struct log_row *row;
};

struct log_range {
    size_t offset, size;
    uint8_t *buf; /* `size` bytes, the caller's */
    size_t got;   /* set by log_read_whole and log_read_meta */
};

typedef enum hf_code log_read_fn(const struct log_place *place, struct log_range *range,
                                 struct hf_err *err);

/* `size` bytes at `offset` of the payload, not verified.  HF_CORRUPT also beyond its end.
 */
log_read_fn log_read_range;
/* The whole payload, verified.  HF_TOO_LARGE: it is larger than `size`. */
log_read_fn log_read_whole;
/* The meta, verified.  HF_TOO_LARGE. */
log_read_fn log_read_meta;
/* Verifies frame and payload; the range is not used. */
log_read_fn log_read_check;

#endif
