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
bool walk_names_have(const struct walk_names *names, const char *name);

/* User and group names by number, looked up once each, for the first 4096 of either. */
struct walk_owners;                        /* opaque */
struct walk_owners *walk_owners_new(void); /* NULL: out of memory */
void walk_owners_free(struct walk_owners *owners);

/* What an entry does not keep. */
struct walk_facts {
    uint64_t device; /* st_dev */
    uint32_t links;
};

/* Fills type, mode, owner, times, size, inode, device and those flags that statx knows of
 * dir_fd/name, not following a link; the owner's names are borrowed from `owners`.
 * Everything else stays zero; name and target are left to the caller.  HF_NOT_FOUND: it has
 * vanished. */
HF_MUST_CHECK enum hf_code walk_look(int dir_fd, const char *name,
                                     struct walk_owners *owners, struct tree_entry *entry,
                                     struct walk_facts *facts, struct hf_err *err);
/* The same for whoever wants no facts. */
HF_MUST_CHECK enum hf_code walk_stat(int dir_fd, const char *name,
                                     struct walk_owners *owners, struct tree_entry *entry,
                                     struct hf_err *err);

/* Sets the names of the entry's owner, borrowed from `owners`. */
void walk_name_owner(struct walk_owners *owners, struct tree_entry *entry);

/* The inode flags of an open file or directory that people or programs have set; those of
 * the entry stay where the file system has no such call. */
void walk_read_flags(int fd, struct tree_entry *entry);

/* Opens a regular file for reading: no link followed, atime untouched where allowed.
 * HF_INVALID: it has become something else. */
HF_MUST_CHECK enum hf_code walk_open_file(int dir_fd, const char *name, int *fd,
                                          struct hf_err *err);
HF_MUST_CHECK enum hf_code walk_open_dir(int dir_fd, const char *name, int *fd,
                                         struct hf_err *err);

#endif
