/* world_messages.h - what the nodes of a world say to one another, from the sender's step
 * to the receiver's.  For sim/world*.c. */
#ifndef HOLDFAST_SIM_WORLD_MESSAGES_H
#define HOLDFAST_SIM_WORLD_MESSAGES_H

#include "sim/parcel.h"
#include "sim/world.h"

/* Sends what the node at `from` says, or what a liar makes of it. */
void world_messages_send(struct world *world, size_t from,
                         const struct chord_message *message);
/* The parcel is there.  False: it is used up; else it arrives once more, later. */
bool world_messages_arrive(struct world *world, size_t to, struct parcel *parcel);
/* Whoever listens where the place's host was refuses what `to` has sent there. */
void world_messages_refused(struct world *world, size_t to, size_t place);

#endif
