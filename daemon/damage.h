/* damage.h - which entries of a store were found damaged: told once, not counted on.
 *
 * Remembers the last DAMAGE_MAX; forgets one that was written anew.  Any thread. */
#ifndef HOLDFAST_DAEMON_DAMAGE_H
#define HOLDFAST_DAEMON_DAMAGE_H

#include "blockstore/log_entry.h"

#define DAMAGE_MAX 256u

struct damage; /* opaque */

struct damage *damage_new(void); /* NULL: no memory */
void damage_free(struct damage *damage);

/* The entry of a fragment or a record is damaged: logs one line, unless it is known,
 * within a limit (log_limit.h). */
void damage_found(struct damage *damage, const struct log_key *key, const char *why);
/* It was read whole, or written anew. */
void damage_mended(struct damage *damage, const struct log_key *key);
bool damage_known(struct damage *damage, const struct log_key *key);

#endif
