/* segment_log.h - the append-only log that every node writes (docs/design.md section 8).
 *
 * A directory:
 *     store, store.copy     which store this is (log_identity.h)
 *     lock                  held by the one writer, with its name
 *     segments/NNN.log      entries one after the other (log_entry.h)
 *     index/                LMDB, a cache: may be deleted at any time no writer runs
 *
 * An entry is acknowledged when it is synced, and never changed afterwards; concurrent
 * puts share one sync.  A newer entry replaces an older one of its key.  One process
 * writes; any number read without a lock, and find what the writer has acknowledged.
 *
 * All calls block; any thread, except open and close. */
#ifndef HOLDFAST_BLOCKSTORE_SEGMENT_LOG_H
#define HOLDFAST_BLOCKSTORE_SEGMENT_LOG_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_entry.h"

struct segment_log; /* opaque */

#define LOG_SEGMENT_SIZE    ((uint64_t)64 << 20)
#define LOG_RESERVE         ((uint64_t)4 << 20)
#define LOG_CHECKPOINT_ROWS 16384u                /* some 5 MiB of memory */
#define LOG_CHECKPOINT_SIZE ((uint64_t)256 << 20) /* read again after a crash: 0.2 s */

struct log_options {
    struct hf_files *files; /* borrowed; NULL: the system's */
    bool read_only;
    const char *holder;     /* what the lock names, e.g. "holdfast backup"; of a writer */
    uint64_t segment_size;  /* 0: LOG_SEGMENT_SIZE */
    uint64_t reserve;       /* bytes left free on the disk; 0: LOG_RESERVE */
    uint64_t space_max;     /* ceiling of all that is live; 0: none */
    size_t checkpoint_rows; /* 0: LOG_CHECKPOINT_ROWS */
};

/* Opens the log in directory `path`.  A writer makes what is missing, brings the index up
 * to the end of the log, rebuilds it (about a second per GiB) when it is missing, damaged,
 * or a crash in the middle of a checkpoint left it without its seal.  HF_LOCKED: another
 * writer, named.  HF_NOT_FOUND: a reader found no store. HF_CORRUPT: the files that name
 * the store are damaged, or missing beside segments, or of a format this program does not
 * know.  HF_IO, HF_DENIED, HF_NO_SPACE, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code segment_log_open(const char *path,
                                            const struct log_options *options,
                                            struct segment_log **log, struct hf_err *err);

/* A writer saves the index.  Nothing acknowledged is ever lost here.  NULL is allowed;
 * no call may be in progress. */
void segment_log_close(struct segment_log *log);

const struct hf_id *segment_log_id(const struct segment_log *log);

struct log_put {
    struct log_key key;  /* not of a removal */
    const uint8_t *meta; /* authenticated, small; NULL: none */
    size_t meta_size;    /* <= LOG_META_MAX */
    const uint8_t *payload;
    size_t payload_size;              /* <= LOG_PAYLOAD_MAX */
    const struct hf_id *payload_root; /* its tree hash if known; NULL: computed here */
    int64_t arrival_ns;               /* 0: now */
};

/* HF_OK: durable.  HF_NO_SPACE: refused before writing, or the disk filled up.  HF_IO: a
 * write or sync failed.  HF_TOO_LARGE.  After a failure the key has its old entry; after
 * HF_NO_MEMORY and HF_CORRUPT (of the index) it may have the new one. */
HF_MUST_CHECK enum hf_code segment_log_put(struct segment_log *log,
                                           const struct log_put *put, struct hf_err *err);

/* Takes the entry of `key` away, durably; its space is given back at the next checkpoint.
 * Success when there is none.  With n > 0 bytes of `order` the removal is remembered, and
 * found under log_key_removal(key), until that key is removed in turn.  Codes as
 * segment_log_put; allowed when the disk is full. */
HF_MUST_CHECK enum hf_code segment_log_remove(struct segment_log *log,
                                              const struct log_key *key,
                                              const uint8_t *order, size_t n,
                                              struct hf_err *err);

struct log_info {
    uint64_t sequence;
    int64_t arrival_ns;
    uint32_t payload_size;
};

/* HF_NOT_FOUND.  HF_CORRUPT: the index is damaged.  So too for all functions below. */
HF_MUST_CHECK enum hf_code segment_log_find(struct segment_log *log,
                                            const struct log_key *key,
                                            struct log_info *info, struct hf_err *err);

/* Reads `size` bytes at `offset` of the payload.  The header is verified, the bytes are
 * not.  HF_CORRUPT: beyond its end, or the header or file is damaged. */
HF_MUST_CHECK enum hf_code segment_log_get(struct segment_log *log,
                                           const struct log_key *key, size_t offset,
                                           size_t size, uint8_t *buf, struct hf_err *err);

/* Reads and verifies the whole payload: at most `max` bytes (HF_TOO_LARGE), *n set. */
HF_MUST_CHECK enum hf_code segment_log_load(struct segment_log *log,
                                            const struct log_key *key, uint8_t *buf,
                                            size_t max, size_t *n, struct hf_err *err);

/* The meta, verified: at most LOG_META_MAX bytes to buf, *n set. */
HF_MUST_CHECK enum hf_code segment_log_meta(struct segment_log *log,
                                            const struct log_key *key,
                                            uint8_t buf[static LOG_META_MAX], size_t *n,
                                            struct hf_err *err);

/* Reads the whole entry and verifies it (scrubbing).  HF_CORRUPT: it is damaged. */
HF_MUST_CHECK enum hf_code
segment_log_verify(struct segment_log *log, const struct log_key *key, struct hf_err *err);

/* False ends the listing.  May call any function of the log. */
typedef bool log_list_fn(void *arg, const struct log_key *key, const struct log_info *info);

/* Calls fn with every entry whose key begins with `prefix`, in order; those that come or
 * go meanwhile may be missed.  HF_INCOMPLETE: all that is known was listed, but a
 * damaged or missing segment may have held more. */
HF_MUST_CHECK enum hf_code segment_log_list(struct segment_log *log,
                                            const struct log_key *prefix, log_list_fn *fn,
                                            void *arg, struct hf_err *err);

/* Saves the index and gives back the space of what was removed or replaced.  Happens by
 * itself every checkpoint_rows puts and at close.  Puts go on meanwhile. */
HF_MUST_CHECK enum hf_code segment_log_checkpoint(struct segment_log *log,
                                                  struct hf_err *err);

struct log_status {
    uint64_t entries[LOG_REMOVAL + 1u]; /* by enum log_kind */
    uint64_t payload_bytes[LOG_REMOVAL + 1u];
    uint64_t disk_bytes; /* of what is live, headers and padding included */
    size_t segments, damaged_segments;
    size_t unsaved_rows; /* in memory only */
};

/* A reader's figures are those of the writer's last checkpoint. */
HF_MUST_CHECK enum hf_code
segment_log_status(struct segment_log *log, struct log_status *status, struct hf_err *err);

#endif
