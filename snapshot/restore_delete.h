/* restore_delete.h - taking away what is in the target and not in the snapshot.
 *
 * Follows no link, goes into no other file system, and leaves what include and exclude
 * leave out. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_DELETE_H
#define HOLDFAST_SNAPSHOT_RESTORE_DELETE_H

#include "snapshot/restore_job.h"

/* Makes way for dir/name, which is to become something else: a directory only when it is
 * empty or --delete was asked for.  HF_OK also when nothing is there.  Any thread. */
HF_MUST_CHECK enum hf_code restore_clear_way(struct restore_job *job,
                                             struct restore_dir *dir, int dir_fd,
                                             const char *name, struct hf_err *err);

/* Removes from `dir` what is not an entry of the tree `root`.  `taken`: the directory as a
 * whole is selected.  What cannot be removed is reported.  HF_CORRUPT and others: the
 * tree cannot be read; nothing more was removed. */
HF_MUST_CHECK enum hf_code restore_delete_others(struct restore_job *job,
                                                 struct restore_dir *dir,
                                                 const struct stream_root *root, bool taken,
                                                 struct hf_err *err);

#endif
