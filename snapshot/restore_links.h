/* restore_links.h - entries that are one inode: the first is written, the others are linked
 * to it.
 *
 * Remembers where the first one of each group is, in bounded memory: groups beyond that are
 * restored as files of their own.  A group's entries must be of one type and content; one
 * that is not is no part of it, so a group that lies never yields wrong bytes. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_LINKS_H
#define HOLDFAST_SNAPSHOT_RESTORE_LINKS_H

#include "snapshot/restore_file.h"

#include <stdbool.h>
#include <sys/types.h>

struct restore_links; /* opaque */

struct restore_links *restore_links_new(struct restore_dirs *dirs); /* NULL: no memory */
/* After all files are done.  NULL is allowed. */
void restore_links_free(struct restore_links *links);

enum restore_link {
    RESTORE_LINK_NONE,  /* it is a file of its own, or the first of its group: write it */
    RESTORE_LINK_READY, /* restore_file_link can be called */
    RESTORE_LINK_WAIT   /* whoever ends the first one will link it */
};
/* Finds the group of a new file.  The walk. */
enum restore_link restore_links_meet(struct restore_links *links, struct fetcher *fetcher,
                                     struct restore_file *file);

/* Where a group's complete file is. */
struct restore_place {
    struct restore_dir *dir;
    char *name;
    dev_t device;
    ino_t inode;
};
/* Sets *place, to be released; false: the group has no file that is complete. */
bool restore_links_place(struct restore_links *links, struct restore_file *file,
                         struct restore_place *place);
void restore_links_place_done(struct restore_links *links, struct restore_place *place);

/* A file of a group, its first one or one that could not be linked, is complete at device
 * and inode, or (inode 0) failed.  Returns those that waited for the first one, to be
 * linked by the caller. */
struct restore_file *restore_links_done(struct restore_links *links,
                                        struct restore_file *file, bool first, dev_t device,
                                        ino_t inode);

#endif
