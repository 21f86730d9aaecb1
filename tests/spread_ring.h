/* spread_ring.h - a world of gossiping nodes (sim/gossip_world.h) in which a message takes
 * one tick, for tests.
 *
 * What they spread is numbers (sim/gossip_numbers.h) or real rosters, signatures and all.
 */
#ifndef HOLDFAST_TESTS_SPREAD_RING_H
#define HOLDFAST_TESTS_SPREAD_RING_H

#include "membership/roster.h"
#include "sim/gossip_world.h"

#define SPREAD_TICK_US  50000u
#define SPREAD_ROUND    40u /* ticks between two rounds of a node, jittered by half */
#define SPREAD_ROUND_US (SPREAD_ROUND * SPREAD_TICK_US)

/* Nodes that all know the first announcement of all, none linked; gossip_world_free it. */
struct gossip_world *spread_ring_new(size_t count, uint64_t seed);
/* The same with real rosters; their addresses are host:1. */
struct gossip_world *spread_ring_new_real(size_t count, uint64_t seed);

/* Of a world with real rosters: node `at` announces itself anew. */
void spread_ring_announce_real(struct gossip_world *world, size_t at, const char *address);
/* What `at` knows of `of`. */
const struct roster_member *spread_ring_member(const struct gossip_world *world, size_t at,
                                               size_t of);

#endif
