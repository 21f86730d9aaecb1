/* liar.h - what a member says that lies about its successors. */
#ifndef HOLDFAST_SIM_LIAR_H
#define HOLDFAST_SIM_LIAR_H

#include "sim/world.h"

/* Changes a STATE or NEXT that the node at `from` is about to send: leaves out the first
 * successors, names others, dead or alive, or claims the key for itself.  All that it
 * names are real places.  Other messages are left alone. */
void liar_change(const struct world *world, struct draw *draw, size_t from,
                 struct chord_message *message);

#endif
