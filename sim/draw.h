/* draw.h - the simulator's randomness: all of it comes from one seed.
 *
 * Cannot fail; one owner. */
#ifndef HOLDFAST_SIM_DRAW_H
#define HOLDFAST_SIM_DRAW_H

#include "base/id.h"

#include <stdint.h>

struct draw {
    uint64_t state;
};

/* Independent generators for one seed: `stream` tells them apart. */
struct draw draw_init(uint64_t seed, uint64_t stream);
uint64_t draw_next(struct draw *draw);
/* 0..below - 1; below > 0. */
uint64_t draw_below(struct draw *draw, uint64_t below);
/* low..high. */
uint64_t draw_between(struct draw *draw, uint64_t low, uint64_t high);
/* True in `permille` of 1000 cases. */
bool draw_chance(struct draw *draw, unsigned permille);
/* [0, 1). */
double draw_unit(struct draw *draw);
double draw_exponential(struct draw *draw, double mean);
/* Mean 0, standard deviation 1. */
double draw_normal(struct draw *draw);
/* low..high, every order of magnitude alike; 0 < low <= high. */
double draw_logarithmic(struct draw *draw, double low, double high);
void draw_id(struct draw *draw, struct hf_id *id);

/* One step of splitmix64: what tells nearby numbers apart. */
uint64_t draw_mix(uint64_t value);

#endif
