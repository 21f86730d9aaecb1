/* walk.h - looking at the user's files: sorted names, and what statx says of each. */
#ifndef HOLDFAST_SNAPSHOT_WALK_H
#define HOLDFAST_SNAPSHOT_WALK_H

#include "base/err.h"
#include "snapshot/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of one directory, sorted as bytes. */
struct walk_names {
    char **names; /* each points into `text` */
    size_t count;
    char *text;
};

/* Reads the names below directory fd, but "." and "..".  HF_IO, HF_DENIED, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code walk_read_names(int fd, struct walk_names *names,
                                           struct hf_err *err);
void walk_names_done(struct walk_names *names);

/* User and group names by number, looked up once each. */
struct walk_owners;                        /* opaque */
struct walk_owners *walk_owners_new(void); /* NULL: out of memory */
void walk_owners_free(struct walk_owners *owners);

/* Fills type, mode, owner, times, size, inode and device of dir_fd/name, not following a
 * link; the owner's names are borrowed from `owners`.  Everything else stays zero; name and
 * target are left to the caller.  HF_NOT_FOUND: it has vanished. */
HF_MUST_CHECK enum hf_code walk_stat(int dir_fd, const char *name,
                                     struct walk_owners *owners, struct tree_entry *entry,
                                     struct hf_err *err);

/* Opens a regular file for reading: no link followed, atime untouched where allowed. */
HF_MUST_CHECK enum hf_code walk_open_file(int dir_fd, const char *name, int *fd,
                                          struct hf_err *err);
HF_MUST_CHECK enum hf_code walk_open_dir(int dir_fd, const char *name, int *fd,
                                         struct hf_err *err);

#endif
