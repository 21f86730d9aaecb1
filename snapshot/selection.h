/* selection.h - what a backup leaves out of that which it was asked for.
 *
 * All functions: any thread. */
#ifndef HOLDFAST_SNAPSHOT_SELECTION_H
#define HOLDFAST_SNAPSHOT_SELECTION_H

#include "snapshot/patterns.h"
#include "snapshot/tree.h"
#include "snapshot/walk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, it leaves out nothing.  All is borrowed. */
struct selection {
    const struct pattern_set *exclude; /* of absolute paths */
    bool caches;                       /* the content of directories with a CACHEDIR.TAG */
    const char *const *if_present;     /* ... of those with a file of such a name */
    size_t if_present_count;
    uint64_t larger_than; /* bytes; 0: of any size */
    bool one_file_system; /* what is mounted below a path */
};

/* False: the entry at this absolute path is left out, with all below it. */
bool selection_takes(const struct selection *selection, const char *path,
                     const struct tree_entry *entry);
/* True when the patterns leave this path out, whatever it is: nobody needs to look. */
bool selection_excludes_any(const struct selection *selection, const char *path);

/* The name in an open directory because of which all else in it is left out (borrowed from
 * the selection or static), or NULL. */
const char *selection_mark(const struct selection *selection, int fd,
                           const struct walk_names *names);

/* True for the root of a file system that the kernel makes up (proc, sysfs, cgroups, ...):
 * there is nothing in it to keep, and reading some of it has effects. */
bool selection_is_pseudo(int fd);

#endif
