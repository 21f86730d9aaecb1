/* restore_dir.h - the directories below the target that a restore works in.
 *
 * A directory is known by its parent and its name, never by a path: paths may be longer
 * than the kernel takes, and what a path leads to may change.  Handles are opened on
 * demand, one component at a time and following no link; of those nobody uses only so many
 * stay open.  A directory that was replaced meanwhile is noticed, and not entered.
 *
 * Any thread may call any function. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_DIR_H
#define HOLDFAST_SNAPSHOT_RESTORE_DIR_H

#include "base/err.h"
#include "snapshot/tree.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct restore_dirs; /* opaque: all of one restore */

struct restore_dir {
    struct restore_dir *up;   /* referenced; NULL: this is the target */
    struct tree_entry *entry; /* owned; NULL: the target, which keeps its metadata */
    atomic_uint references;
    atomic_uint pending; /* what is to be done in it, and the walk while it is in it;
                          * together they have one reference */
    bool missing;        /* it is not there, nor anything below it: only looked at */
    bool keep_meta;      /* it was there, and its metadata stays */

    /* restore_dir.c's, under its mutex. */
    int fd; /* -1: closed */
    unsigned users;
    dev_t device;
    ino_t inode;
    struct restore_dir *newer, *older; /* among those open and not in use */
};

/* `target_fd` is borrowed; -1: it is missing.  At most `open_max` handles stay open while
 * nobody uses them. NULL: out of memory. */
struct restore_dirs *restore_dirs_new(int target_fd, size_t open_max);
/* All other directories have been dropped. */
void restore_dirs_free(struct restore_dirs *dirs);
struct restore_dir *restore_dirs_target(struct restore_dirs *dirs);

/* The directory `entry` (taken over, also on failure) of `up`, with one reference and
 * `fd`, which is its own from now on; -1: it is missing.  NULL: out of memory. */
struct restore_dir *restore_dir_new(struct restore_dirs *dirs, struct restore_dir *up,
                                    struct tree_entry *entry, int fd);
void restore_dir_hold(struct restore_dir *dir);
void restore_dir_drop(struct restore_dirs *dirs, struct restore_dir *dir);

/* Sets *fd to a handle that stays open until restore_dir_give.  HF_IO and others: it can
 * no longer be opened. */
HF_MUST_CHECK enum hf_code restore_dir_take(struct restore_dirs *dirs,
                                            struct restore_dir *dir, int *fd,
                                            struct hf_err *err);
void restore_dir_give(struct restore_dirs *dirs, struct restore_dir *dir);

/* `prefix`, its path below the target, and `name` (may be NULL) in it; the caller's to
 * free. NULL: out of memory. */
char *restore_dir_path(const struct restore_dir *dir, const char *prefix, const char *name);

#endif
