/* storage_steps.h - the steps of the hosts' dht_nodes, and what they ask for beside
 * messages: their disks and lookups.  For sim/storage*.c. */
#ifndef HOLDFAST_SIM_STORAGE_STEPS_H
#define HOLDFAST_SIM_STORAGE_STEPS_H

#include "sim/storage_state.h"

/* The disk has done what it was asked for: from now on, and not before, what was to be
 * stored is durable. */
void storage_steps_stored(struct storage *storage, size_t host,
                          const struct arrival *arrival);
void storage_steps_loaded(struct storage *storage, size_t host,
                          const struct arrival *arrival);
/* A lookup has ended. */
void storage_steps_found(struct storage *storage, size_t host,
                         const struct arrival *arrival);
/* The host knows who is a member. */
void storage_steps_tell_members(struct storage *storage, size_t host);

#endif
