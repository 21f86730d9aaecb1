/* log_changes.h - the rows that are not in the index yet, in memory and in order.
 *
 * A skip list (Pugh 1990): rows are found and listed by prefix in O(log n).
 * Not thread-safe: one owner. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_CHANGES_H
#define HOLDFAST_BLOCKSTORE_LOG_CHANGES_H

#include "base/err.h"
#include "blockstore/log_row.h"

struct log_changes; /* opaque */

struct log_change {
    struct log_key key;
    struct log_row row;
};

struct log_changes *log_changes_new(void); /* NULL: out of memory */
void log_changes_free(struct log_changes *changes);

/* Sets the row of `key`, replacing the one that is there.  HF_NO_MEMORY changes nothing. */
HF_MUST_CHECK enum hf_code log_changes_put(struct log_changes *changes,
                                           const struct log_key *key,
                                           const struct log_row *row, struct hf_err *err);

/* NULL when there is none.  Borrowed until the next put of this key. */
const struct log_row *log_changes_find(const struct log_changes *changes,
                                       const struct log_key *key);

size_t log_changes_count(const struct log_changes *changes);

/* The first change with a key >= from (> from with `after`), the one that follows; NULL
 * at the end.  Borrowed until log_changes_free. */
const struct log_change *log_changes_seek(const struct log_changes *changes,
                                          const struct log_key *from, bool after);
const struct log_change *log_changes_next(const struct log_change *change);

#endif
