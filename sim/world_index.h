/* world_index.h - which place stands where; with it, all that world.h has for looking.  For
 * sim/world.c. */
#ifndef HOLDFAST_SIM_WORLD_INDEX_H
#define HOLDFAST_SIM_WORLD_INDEX_H

#include "sim/world.h"

/* Fills by_position from peers.  False: no memory. */
bool world_index_make(struct world *world);

#endif
