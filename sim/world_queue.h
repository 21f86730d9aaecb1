/* world_queue.h - what is in a world's queue.  For sim/world*.c. */
#ifndef HOLDFAST_SIM_WORLD_QUEUE_H
#define HOLDFAST_SIM_WORLD_QUEUE_H

#include "sim/world.h"

enum world_event {
    WORLD_EVENT_MESSAGE, /* a parcel to a place; owned */
    WORLD_EVENT_TICK,    /* of a place */
    WORLD_EVENT_TIMER,   /* of the scenario, with its number */
    WORLD_EVENT_RESET,   /* a place hears that the place of that number refuses */
    WORLD_EVENT_SERVICE  /* a body of the service's, to a host; owned */
};

/* With a body, which stays the caller's when this fails, or a number.  False: no memory,
 * and the world is broken. */
bool world_push(struct world *world, uint64_t at_us, enum world_event kind, size_t to,
                void *body, uint64_t number);

#endif
