/* gossip_numbers.h - facts without signatures, so that thousands of nodes can spread them.
 *
 * A node knows the seq of each member's newest announcement, merged as a roster is: the
 * higher counts.  Its digest is a sum over all that it knows.  One owner. */
#ifndef HOLDFAST_SIM_GOSSIP_NUMBERS_H
#define HOLDFAST_SIM_GOSSIP_NUMBERS_H

#include "sim/gossip_world.h"

/* A world of options->nodes nodes (2 or more) with random ids, who all know the first
 * announcement of all, none linked.  NULL: no memory. */
struct gossip_world *gossip_numbers_new(const struct gossip_world_options *options);

/* ---- of such a world ---- */

/* Node `at` announces itself anew. */
void gossip_numbers_announce(struct gossip_world *world, size_t at);
/* The seq of the newest announcement of `of` that `at` knows. */
uint32_t gossip_numbers_seq(const struct gossip_world *world, size_t at, size_t of);

#endif
