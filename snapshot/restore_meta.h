/* restore_meta.h - owner, mode, extended attributes and times.
 *
 * In this order: a change of owner clears setuid and capabilities, setting an ACL may clear
 * setgid, and all of them touch no times but the inode's own.  What is right already is
 * not set again.  A failure does not keep the rest from being set; the first is returned.
 * Somebody who is not root keeps what they restore: owners and the attributes that only
 * root may set are left out, and with an owner that differs setuid and setgid.
 *
 * A file whose content is not yet complete has the mode RESTORE_UNFINISHED_MODE.  Nobody
 * else gives a file this mode, so what a killed restore leaves is told from what is right
 * even when neither contents nor times are compared. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_META_H
#define HOLDFAST_SNAPSHOT_RESTORE_META_H

#include "base/err.h"
#include "snapshot/tree.h"
#include "snapshot/xattrs.h"

#include <stdbool.h>
#include <sys/stat.h>

#define RESTORE_UNFINISHED_MODE 01600u

bool restore_unfinished(const struct stat *st);

struct restore_meta {
    bool root;                  /* whoever restores */
    struct xattr_buffer xattrs; /* one thread's */
};

/* Of the open file `fd`, which is dir_fd/name.  For a directory name is "." and dir_fd its
 * own handle. */
HF_MUST_CHECK enum hf_code restore_meta_set(struct restore_meta *meta, int fd, int dir_fd,
                                            const char *name, const struct tree_entry *e,
                                            struct hf_err *err);
/* Of a symbolic link, FIFO, socket or device. */
HF_MUST_CHECK enum hf_code restore_meta_set_at(struct restore_meta *meta, int dir_fd,
                                               const char *name, const struct tree_entry *e,
                                               struct hf_err *err);

bool restore_time_same(const struct stat *st, const struct tree_entry *e);
/* The entry is newer than what is there. */
bool restore_time_newer(const struct stat *st, const struct tree_entry *e);

#endif
