/* log_index.h - the index of a segment log on disk: an LMDB environment.
 *
 * Only ever a cache: everything in it can be had from the segments again.  It is
 * changed in whole batches, each one transaction, fully synced, together with the
 * position of the log that it covers.  LMDB does not check its pages (0.9), therefore an
 * index is opened only under its seal (log_seal.h), and every value carries a checksum over
 * key and value, should the disk go bad later.
 *
 * Reading: any thread.  Writing: one thread at a time. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_INDEX_H
#define HOLDFAST_BLOCKSTORE_LOG_INDEX_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_changes.h"
#include "blockstore/log_segments.h"

struct log_index; /* opaque */

/* Everything that one transaction changes. */
struct log_batch {
    const struct log_changes *changes;
    const struct log_dead *dead; /* to be remembered until log_index_forget */
    size_t dead_count;
    const struct log_segment *segments; /* rows to be written */
    size_t segment_count;
    struct log_state state;
};

/* Opens the index in directory `path`, which exists; `dir_fd` is that directory.  The
 * writer makes what is missing.  HF_NOT_FOUND: a reader found none.  HF_CORRUPT: it is
 * damaged; log_index_delete it.  HF_INCOMPLETE: it has no seal, because a writer is at it,
 * or was killed there: then log_index_delete it, too.  One process opens an index once. */
HF_MUST_CHECK enum hf_code log_index_open(struct hf_files *files, const char *path,
                                          int dir_fd, bool read_only,
                                          struct log_index **index, struct hf_err *err);

/* For the writer, when it has come to the end of its changes.  Without effect on an index
 * that is sealed.  HF_CORRUPT: it was found to be damaged, and gets none. */
HF_MUST_CHECK enum hf_code log_index_seal(struct log_index *index, struct hf_err *err);

/* Closes; a writer's undamaged index is sealed.  NULL is allowed. */
void log_index_close(struct log_index *index);

/* Removes the files of a closed index. */
HF_MUST_CHECK enum hf_code log_index_delete(struct hf_files *files, int dir_fd,
                                            struct hf_err *err);

/* HF_NOT_FOUND: nothing was ever saved.  HF_CORRUPT. */
HF_MUST_CHECK enum hf_code log_index_state(struct log_index *index, struct log_state *state,
                                           struct hf_err *err);

/* HF_NOT_FOUND; HF_CORRUPT: the row is damaged, the message names the remedy. */
HF_MUST_CHECK enum hf_code log_index_find(struct log_index *index,
                                          const struct log_key *key, struct log_row *row,
                                          struct hf_err *err);

#define LOG_PAGE_ROWS 128u

/* A stretch of a listing. */
struct log_page {
    struct log_key prefix; /* of the keys wanted */
    struct log_key from;   /* where it begins; at first the prefix */
    bool after;            /* behind `from`, not at it */
    bool more;             /* set: there may be more behind the last row */
    size_t count;          /* set: rows in it */
    struct log_change rows[LOG_PAGE_ROWS];
};

/* Fills page->rows with the next rows, in order of their keys. */
HF_MUST_CHECK enum hf_code log_index_list(struct log_index *index, struct log_page *page,
                                          struct hf_err *err);

/* Adds every segment's row to the table. */
HF_MUST_CHECK enum hf_code log_index_segments(struct log_index *index,
                                              struct log_segments *segments,
                                              struct hf_err *err);

/* At most `max` of the dead entries remembered. */
HF_MUST_CHECK enum hf_code log_index_dead(struct log_index *index, struct log_dead *out,
                                          size_t max, size_t *count, struct hf_err *err);

/* Durable on return; on failure the index is as before. */
HF_MUST_CHECK enum hf_code
log_index_save(struct log_index *index, const struct log_batch *batch, struct hf_err *err);

/* Forgets dead entries and dropped segments.  Durable on return. */
HF_MUST_CHECK enum hf_code log_index_forget(struct log_index *index,
                                            const struct log_dead *dead, size_t dead_count,
                                            const uint64_t *segments, size_t segment_count,
                                            struct hf_err *err);

#endif
