/* restore_entry.h - a tree entry that stays when its reader goes on. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_ENTRY_H
#define HOLDFAST_SNAPSHOT_RESTORE_ENTRY_H

#include "snapshot/tree.h"

/* What restoring needs of *entry, in one piece of memory that free() releases.  The name
 * and a link's target are followed by a NUL.  NULL: out of memory. */
struct tree_entry *restore_entry_copy(const struct tree_entry *entry);

size_t restore_entry_bytes(const struct tree_entry *entry); /* of the copy */

/* The name as a file name. */
const char *restore_entry_name(const struct tree_entry *entry);

#endif
