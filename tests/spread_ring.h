/* spread_ring.h - many nodes that gossip, in virtual time.
 *
 * The decisions are those of membership/spread.h.  What they spread is either real rosters,
 * signatures and all, or, for large rings, numbers: the seq of each member's newest
 * announcement, merged by the same rule (the higher counts).  One seed, no other
 * randomness.  A message, and the making of a link, takes one tick. */
#ifndef HOLDFAST_TESTS_SPREAD_RING_H
#define HOLDFAST_TESTS_SPREAD_RING_H

#include "membership/roster.h"
#include "membership/spread.h"

#define SPREAD_TICK_MS 50u
#define SPREAD_ROUND   40u /* ticks between two rounds of a node, jittered by half */

struct spread_message; /* in spread_ring.c */

struct spread_node {
    struct hf_id id;
    unsigned number; /* of its key, in membership_world.h */
    struct spread *spread;
    bool alive;
    unsigned side; /* only nodes of one side reach each other */
    uint64_t round_at, pass_at;
    size_t links;
    uint64_t readdressed; /* times that it was asked to try somebody's new address */
    /* What it knows. */
    struct roster *roster; /* or, when NULL: */
    uint32_t *seq;         /* by place in the ring; 0: nothing */
    uint64_t *taken_at;    /* revision */
    uint64_t revision, sum;
};

struct spread_ring {
    size_t count;
    struct spread_node *nodes; /* in ascending order of id */
    bool *linked;              /* [a * count + b] */
    uint64_t tick, generator;
    unsigned loss_percent;
    struct spread_message *now, *next; /* in flight: delivered in this tick, in the next */
    size_t now_count, next_count, next_capacity, now_capacity;
    uint64_t digests, facts; /* sent */
    struct hf_signer *authority;
};

/* Nodes that all know the first announcement of all, none linked. */
struct spread_ring *spread_ring_new(size_t count, bool real, uint64_t seed);
void spread_ring_free(struct spread_ring *ring);

uint64_t spread_ring_random(struct spread_ring *ring, uint64_t below);

/* Node `at` announces itself anew; `address` counts with real rosters only. */
void spread_ring_announce(struct spread_ring *ring, size_t at, const char *address);
/* The seq of the newest announcement of `of` that `at` has. */
uint64_t spread_ring_seq(const struct spread_ring *ring, size_t at, size_t of);
/* All that live know the same; so, as each knows its own newest announcement, they know
 * those of all that live. */
bool spread_ring_agrees(const struct spread_ring *ring);

/* Its links break, and it is silent; or it is there again, as it was. */
void spread_ring_sleep(struct spread_ring *ring, size_t at);
void spread_ring_wake(struct spread_ring *ring, size_t at);
/* All start anew with the facts that they have saved. */
void spread_ring_restart(struct spread_ring *ring);
/* Breaks the links between sides. */
void spread_ring_cut(struct spread_ring *ring);

void spread_ring_step(struct spread_ring *ring);
/* Runs until it holds, at most so many ticks; returns how many it took, max + 1 when it did
 * not come to hold. */
uint64_t spread_ring_until(struct spread_ring *ring,
                           bool (*holds)(const struct spread_ring *ring), uint64_t max);
void spread_ring_run(struct spread_ring *ring, uint64_t ticks);

#endif
