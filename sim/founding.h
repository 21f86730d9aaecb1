/* founding.h - a ring that is ideal from the start, without the time that joining takes.
 *
 * Writes successor lists, predecessors and fingers into the nodes; looks inside them. */
#ifndef HOLDFAST_SIM_FOUNDING_H
#define HOLDFAST_SIM_FOUNDING_H

#include "sim/world.h"

/* Makes all live nodes (r + 1 or more, all ALONE) one ideal ring; each stabilises within
 * the next period.  With `near`, everybody knows its true coordinate and its fingers are
 * the nearest of the 16 candidates, as they are in a ring that has stood for some time;
 * else each finger is the first of its interval.  Zave's invariant is judged from now on
 * where the world is judged. */
void founding_make_ring(struct world *world, bool near);

#endif
