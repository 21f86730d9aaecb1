/* restore.h - writing a snapshot, or a part of it, below a directory.
 *
 * Trees are treated as hostile: nothing outside of the target is touched, and a tree that
 * has more in it than its snapshot says ends the run.  Every chunk is verified; one bad
 * chunk costs one file, which is named, and never yields wrong bytes.  Run again it
 * finishes what was interrupted and leaves alone what is right. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_H
#define HOLDFAST_SNAPSHOT_RESTORE_H

#include "base/err.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/patterns.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restore_counts {
    uint64_t files, dirs, others; /* written, or put right */
    uint64_t bytes;               /* of those files */
    uint64_t bytes_written;       /* of them, what was not there before */
    uint64_t unchanged;           /* files and others that were right already */
    uint64_t kept;                /* left alone, as `overwrite` says */
    uint64_t deleted;             /* files and directories */
    uint64_t verified;            /* files that were read back and are right */
    uint64_t mismatched;          /* that are not */
    uint64_t damaged; /* files and directories whose data is lost or fails verification */
    uint64_t unreachable; /* whose data could not be had now: too few holders answered */
    uint64_t failed;      /* that could not be written, or not all of their metadata */
};

enum restore_overwrite {
    RESTORE_ALWAYS,     /* what differs is put right: contents are compared */
    RESTORE_IF_CHANGED, /* a file of the same size and time is taken as right */
    RESTORE_IF_NEWER,   /* only when the snapshot's is newer */
    RESTORE_NEVER       /* what exists stays, unless a restore left it unfinished */
};

struct restore_options {
    struct fetcher *fetcher;       /* all borrowed */
    struct stream_root root;       /* of the snapshot */
    struct snapshot_totals totals; /* of the snapshot: a bound; all 0: unknown */
    const char *path; /* a directory's content goes into the target; a file beside it */
    int target_fd;    /* a dry run: -1 when there is none yet */

    const struct pattern_set *include; /* NULL: all.  Matched against the path in the */
    const struct pattern_set *exclude; /* snapshot; NULL: none */
    enum restore_overwrite overwrite;
    bool remove; /* what is in the directories and not in the snapshot, if selected */
    /* The absolute paths that were backed up (struct snapshot): `remove` works at and below
     * them only, for a directory that just leads there has more in it than the snapshot
     * knows.  None: everywhere. */
    const char *const *paths;
    size_t path_count;
    bool dry_run;     /* only look */
    bool verify;      /* read back what was written */
    bool numeric_ids; /* owners by number also when their names are known here */
    size_t threads;   /* 0: as many as there are processors, 2..8 */

    /* Never called by two threads at a time, but not always by the caller's; each may be
     * NULL.  `path` is that in the snapshot.  on_change: `what` is "write" or "delete";
     * called for what was done, in a dry run for what would be. */
    void (*on_error)(void *arg, const char *path, const struct hf_err *err);
    void (*on_change)(void *arg, const char *path, const char *what);
    void (*on_progress)(void *arg, const struct restore_counts *counts, const char *path);
    bool (*cancelled)(void *arg);
    void *arg;
};

/* HF_OK also when files failed: counts tell; with `verify` all is on the disk then.
 * HF_NOT_FOUND: no such path in the snapshot.  HF_CORRUPT: the tree holds more than
 * `totals`.  HF_CANCELLED: files not yet complete have the mode RESTORE_UNFINISHED_MODE. */
HF_MUST_CHECK enum hf_code restore_run(const struct restore_options *options,
                                       struct restore_counts *counts, struct hf_err *err);

#endif
