/* owners.h - which user and group of this machine a name in a snapshot means.
 *
 * One thread. */
#ifndef HOLDFAST_SNAPSHOT_OWNERS_H
#define HOLDFAST_SNAPSHOT_OWNERS_H

#include "snapshot/tree.h"

#include <stdint.h>

struct owners; /* opaque: names looked up so far */

struct owners *owners_new(void); /* NULL: out of memory */
void owners_free(struct owners *owners);

/* Replaces uid and gid of *entry by those that its names have on this machine; where it has
 * no name, or none that is known here, the numbers stay. */
void owners_resolve(struct owners *owners, struct tree_entry *entry);

#endif
