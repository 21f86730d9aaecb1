/* restore.h - writing a snapshot, or a part of it, below a directory.
 *
 * Trees are treated as hostile: nothing is written outside of the target.  Every chunk is
 * verified; one bad chunk costs one file, which is named, and never yields wrong bytes. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_H
#define HOLDFAST_SNAPSHOT_RESTORE_H

#include "base/err.h"
#include "snapshot/fetch.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restore_counts {
    uint64_t files, dirs, others, bytes;
    uint64_t damaged; /* files and directories whose data is lost or fails verification */
    uint64_t unreachable; /* whose data could not be had now: too few holders answered */
    uint64_t failed;      /* that could not be written */
};

struct restore_options {
    struct fetcher *fetcher; /* borrowed */
    struct stream_root root; /* of the snapshot */
    const char *path; /* a directory's content goes into the target; a file beside it */
    int target_fd;

    /* Called on this thread; each may be NULL. */
    void (*on_error)(void *arg, const char *path, const struct hf_err *err);
    void (*on_progress)(void *arg, const struct restore_counts *counts, const char *path);
    bool (*cancelled)(void *arg);
    void *arg;
};

/* HF_OK also when files failed: counts tell.  HF_NOT_FOUND: no such path in the snapshot.
 * HF_CANCELLED. */
HF_MUST_CHECK enum hf_code restore_run(const struct restore_options *options,
                                       struct restore_counts *counts, struct hf_err *err);

#endif
