/* log_row.h - what the index knows about one entry of the segment log. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_ROW_H
#define HOLDFAST_BLOCKSTORE_LOG_ROW_H

#include "blockstore/log_entry.h"

/* A place in the log: everything before it is covered by whatever names it. */
struct log_position {
    uint64_t segment, offset;
};

struct log_row {
    uint64_t segment, offset, sequence;
    int64_t arrival_ns;
    uint32_t frame_size, payload_size;
    bool removed; /* in memory only: the key is gone since `sequence` */
};

/* An entry that nothing names any more, waiting to be overwritten by a filler. */
struct log_dead {
    uint64_t segment, offset, sequence, footprint;
};

/* What the index knows about a segment. */
struct log_segment {
    uint64_t number;
    uint64_t live; /* entries that rows point at */
    bool damaged;  /* a header in it could not be read: what it named is unknown */
    bool changed;  /* in memory only: since the last checkpoint */
};

#define LOG_KINDS (LOG_REMOVAL + 1u)

struct log_totals {
    uint64_t entries[LOG_KINDS]; /* by enum log_kind */
    uint64_t payload_bytes[LOG_KINDS];
    uint64_t disk_bytes; /* of all that is live, frames and padding included */
};

struct log_state {
    struct hf_id store;
    struct log_position position; /* the log before it is in the index */
    uint64_t next_sequence;
    struct log_totals totals;
};

#endif
