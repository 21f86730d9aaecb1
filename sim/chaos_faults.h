/* chaos_faults.h - what befalls the hosts of a world while there is chaos: crashes and
 * restarts, suspensions, cuts and parts, one after the other at random.  One owner. */
#ifndef HOLDFAST_SIM_CHAOS_FAULTS_H
#define HOLDFAST_SIM_CHAOS_FAULTS_H

#include "sim/chaos_blocks.h"

struct chaos_faults {
    struct draw *draw;           /* borrowed */
    struct chaos_blocks *blocks; /* borrowed; told of crashes */
    bool proof;                  /* nothing happens but what Zave's proof allows */
    bool roster;                 /* everybody has a roster of all places */
    bool may_crash, may_freeze, may_cut, may_part;
    uint64_t period_us;                     /* of stabilisation */
    uint64_t crashes, freezes, cuts, parts; /* so far */
};

/* The place of a random member, or WORLD_NOBODY. */
size_t chaos_faults_member(struct world *world, const struct chaos_faults *faults);
/* Perhaps something happens, or something ends. */
void chaos_faults_one(struct world *world, struct chaos_faults *faults);
/* Starts a host; as a daemon does, it knows its roster, or some members. */
void chaos_faults_start(struct world *world, struct chaos_faults *faults, size_t host);
/* Tells it of some members once more. */
void chaos_faults_introduce(struct world *world, struct chaos_faults *faults, size_t host);

#endif
