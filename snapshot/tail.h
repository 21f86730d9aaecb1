/* tail.h - what is left for the last data blocks of a run, divided among smaller size
 * classes (docs/design.md section 5, Block).  Pure. */
#ifndef HOLDFAST_SNAPSHOT_TAIL_H
#define HOLDFAST_SNAPSHOT_TAIL_H

#include <stddef.h>
#include <stdint.h>

#define TAIL_BLOCKS_MAX 4u

struct tail {
    size_t sizes[TAIL_BLOCKS_MAX]; /* falling size classes of block_store.h */
    size_t count, total;
};

/* The cheapest choice of up to TAIL_BLOCKS_MAX size classes into which frames of
 * sizes[0..count), in falling order and together at most BLOCK_SIZE_MAX, fit; where[i] is
 * the block of frame i. `trial` is room for `count` more. */
struct tail tail_choose(const uint32_t *sizes, size_t count, unsigned char *where,
                        unsigned char *trial);

/* The cheapest choice for `bytes` (at most BLOCK_SIZE_MAX) that can be divided anywhere. */
struct tail tail_ideal(size_t bytes);

#endif
