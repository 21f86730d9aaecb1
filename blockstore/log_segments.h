/* log_segments.h - the table of a log's segments, sorted by number.
 *
 * Not thread-safe: one owner. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_SEGMENTS_H
#define HOLDFAST_BLOCKSTORE_LOG_SEGMENTS_H

#include "base/err.h"
#include "blockstore/log_row.h"

struct log_segments {
    struct log_segment *rows;
    size_t count, capacity;
};

void log_segments_done(struct log_segments *segments);

/* NULL when it is not in the table.  Borrowed until the next add or remove. */
struct log_segment *log_segments_find(const struct log_segments *segments, uint64_t number);

/* As above, and adds it, changed and with nothing live, when it is missing.  NULL: out
 * of memory. */
struct log_segment *log_segments_add(struct log_segments *segments, uint64_t number);

void log_segments_remove(struct log_segments *segments, uint64_t number);

#endif
