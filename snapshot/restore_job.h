/* restore_job.h - what the threads of one restore share. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_JOB_H
#define HOLDFAST_SNAPSHOT_RESTORE_JOB_H

#include "snapshot/restore.h"
#include "snapshot/restore_dir.h"
#include "snapshot/restore_meta.h"
#include "snapshot/restore_write.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define RESTORE_AT_HAND_MAX 1024u

enum restore_pass { RESTORE_WRITE, RESTORE_LOOK, RESTORE_VERIFY };

struct restore_links;

struct restore_job {
    const struct restore_options *options;
    enum restore_pass pass; /* changes only while no worker runs */
    struct restore_dirs *dirs;
    struct restore_links *links; /* NULL but in RESTORE_WRITE */
    atomic_bool stop;            /* cancelled, or a failure that ends the run */
    const char *prefix;          /* of the target in the snapshot, no '/' at its end */

    pthread_mutex_t mutex; /* held during callbacks; guards all below */
    struct restore_counts counts;
    struct hf_err fatal; /* why `stop`, unless cancelled; its code is HF_OK before */
};

/* What one thread works with; zeroed but for `job` and meta.root it is ready. */
struct restore_worker {
    struct restore_job *job;
    struct restore_meta meta;
    struct restore_buffer buffer;
    const struct chunk_ref *at_hand[RESTORE_AT_HAND_MAX]; /* chunks of its batch */
    size_t at_hand_count;
};
void restore_worker_done(struct restore_worker *worker);

/* Names dir/name (NULL: the directory itself) and counts it: `reading`, as damaged or out
 * of reach, when the data could not be had, else as failed.  A full disk ends the run.
 * Any thread. */
void restore_report(struct restore_job *job, const struct restore_dir *dir,
                    const char *name, const struct hf_err *err, bool reading);
/* The same for a file that was read back and is not as it should be. */
void restore_report_mismatch(struct restore_job *job, const struct restore_dir *dir,
                             const char *name, const struct hf_err *err);
/* Adds 1 to one of job->counts. */
void restore_count(struct restore_job *job, uint64_t *counter);
/* Tells on_change. */
void restore_tell(struct restore_job *job, const struct restore_dir *dir, const char *name,
                  const char *what);

/* One thing less is to be done in the directory; the last one gives it its metadata, and
 * its parent one thing less. */
void restore_dir_finish(struct restore_worker *worker, struct restore_dir *dir);

#endif
