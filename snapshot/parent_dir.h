/* parent_dir.h - a directory of the parent snapshot, gone through beside the walk.
 *
 * Both are sorted by name, so one look ahead is enough.  What the walk does not meet again
 * is gone: the newest snapshot no longer refers to its content, which is counted for the
 * frames that it is in (index_frames.h). */
#ifndef HOLDFAST_SNAPSHOT_PARENT_DIR_H
#define HOLDFAST_SNAPSHOT_PARENT_DIR_H

#include "snapshot/fetch.h"
#include "snapshot/index.h"
#include "snapshot/tree.h"

#include <stdbool.h>

/* One thread.  Zeroed, there is no such directory. */
struct parent_dir {
    struct fetcher *fetcher;    /* both borrowed; */
    struct index *index;        /* may be NULL: nothing is counted */
    struct tree_reader *reader; /* NULL: there is no such directory, or it is through */
    const struct tree_entry *next;
    bool differs; /* it has an entry that the walk has not, or cannot be read */
};

/* Out of memory, there is none. */
void parent_dir_open(struct parent_dir *dir, struct fetcher *fetcher, struct index *index,
                     const struct stream_root *root);
void parent_dir_close(struct parent_dir *dir);

/* The entry of that name, or NULL; it stays until the next call.  Names come ascending;
 * those passed over are gone.  `path` says where the walk is, for the log. */
const struct tree_entry *parent_dir_find(struct parent_dir *dir, struct span name,
                                         const char *path);
/* All that is left is gone. */
void parent_dir_finish(struct parent_dir *dir, const char *path);

/* The content of an entry, with all below it, is no longer referred to. */
void parent_dir_count_dead(const struct parent_dir *dir, const struct tree_entry *entry);

#endif
