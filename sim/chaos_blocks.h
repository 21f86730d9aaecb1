/* chaos_blocks.h - blocks that are put while all faults happen, and fetched when they have
 * ended.
 *
 * The promise: an acknowledged block is durable on as many disks as were counted, and it is
 * fetched as it was put while k of its fragments are on disks of live hosts.  Beside what
 * the faults do, one crash in eight loses its disk, and at last a block's holders are
 * killed until k are left.  One owner. */
#ifndef HOLDFAST_SIM_CHAOS_BLOCKS_H
#define HOLDFAST_SIM_CHAOS_BLOCKS_H

#include "sim/stock.h"

struct chaos_blocks {
    struct stock stock;
    struct draw draw;
    size_t acknowledged;
    size_t fetched; /* of those, with what was put */
    size_t gone;    /* of those, too few fragments are within reach */
};

/* False: no memory; chaos_blocks_done may be called either way, after the world is freed.
 */
bool chaos_blocks_init(struct chaos_blocks *blocks, struct world *world);
void chaos_blocks_done(struct chaos_blocks *blocks);

/* A random member puts a block, if there is one. */
void chaos_blocks_put(struct chaos_blocks *blocks, struct world *world);
/* The host has crashed. */
void chaos_blocks_crashed(struct chaos_blocks *blocks, size_t host);

/* All is calm: random live hosts fetch what was acknowledged, and then the one block once
 * more.  Ends with a ring that is not judged any more.  NULL: the promise is kept; else
 * what is wrong (a constant string). */
const char *chaos_blocks_fetch(struct chaos_blocks *blocks, struct world *world);

#endif
