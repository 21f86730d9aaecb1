/* world_steps.h - when the nodes of a world are stepped, beside their messages; and how
 * each step is judged.  For sim/world*.c. */
#ifndef HOLDFAST_SIM_WORLD_STEPS_H
#define HOLDFAST_SIM_WORLD_STEPS_H

#include "sim/world.h"

/* The tick of that moment has come. */
void world_steps_tick(struct world *world, size_t place, uint64_t at_us);
/* Makes sure that the place is ticked when it wants to be. */
void world_steps_plan(struct world *world, size_t place);
/* What the host is, or was, has changed: Zave's invariant must hold all the same. */
void world_steps_judge(struct world *world, size_t host);

#endif
