/* world_lookups.h - the lookups under way in a world, from outside: how many questions each
 * has asked, and who has answered last.  For sim/world*.c. */
#ifndef HOLDFAST_SIM_WORLD_LOOKUPS_H
#define HOLDFAST_SIM_WORLD_LOOKUPS_H

#include "sim/world.h"

/* The node at `from` sends a message, and the one at `to` is about to get one from `by`:
 * those of lookups are counted. */
void world_lookups_sent(struct world *world, size_t from,
                        const struct chord_message *message);
void world_lookups_heard(struct world *world, size_t to, size_t by,
                         const struct chord_message *message);
/* A CHORD_FOUND or CHORD_FAILED: the scenario is told. */
void world_lookups_end(struct world *world, const struct chord_action *action);
/* Those of the node at `place` will not end. */
void world_lookups_drop(struct world *world, size_t place);

#endif
