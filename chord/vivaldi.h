/* vivaldi.h - network coordinates: how far away a node is that was never spoken to.
 *
 * Dabek, Cox, Kaashoek, Morris, "Vivaldi", SIGCOMM 2004, 2-D plus height, adaptive
 * timestep (cc = ce = 0.25).  Every answered question is a sample; of each peer the median
 * of its last three counts (Ledlie, Gardner, Seltzer, "Network coordinates in the wild",
 * NSDI 2007).  All that was measured lately is fitted together.  Coordinates order
 * candidates and bound first timeouts; nothing is decided by them alone, since a peer may
 * say of itself what it likes.
 *
 * Pure; one owner. */
#ifndef HOLDFAST_CHORD_VIVALDI_H
#define HOLDFAST_CHORD_VIVALDI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIVALDI_RTT_MAX_US    10000000 /* longer samples are no round trips but stalls */
#define VIVALDI_PLACE_MAX_US  20000000 /* no coordinate is further out than that */
#define VIVALDI_HEIGHT_MIN_US 100
#define VIVALDI_ERROR_MAX     1500 /* in thousandths */
#define VIVALDI_SETTLED       300  /* error from which on one step is capped */
#define VIVALDI_STEP_MAX_US   50000

/* As it stands in messages. */
struct chord_coordinate {
    int32_t x_us, y_us;
    int32_t height_us;    /* of the way from the node to where distances are plane */
    uint16_t error_milli; /* expected relative error; 0: there is no coordinate */
};

struct vivaldi {
    double x, y, height; /* in microseconds */
    double error;
    uint64_t samples;
};

/* Somewhere near the middle, so that nodes which begin together move apart. */
void vivaldi_init(struct vivaldi *vivaldi, uint64_t random);

/* A round trip to a node that says it stands at *remote; `random` decides where to go
 * from a node at the same place.  Impossible coordinates and times are left out. */
void vivaldi_sample(struct vivaldi *vivaldi, const struct chord_coordinate *remote,
                    uint64_t rtt_us, uint64_t random);

/* What a peer said of its place, and the round trip to it. */
struct vivaldi_measured {
    struct chord_coordinate remote;
    uint64_t rtt_us;
};

/* A few steps of a least-squares fit to what was measured lately: a sample that is looked
 * at once says less than it could, and of a new node's there are few. */
void vivaldi_fit(struct vivaldi *vivaldi, const struct vivaldi_measured *measured,
                 size_t count);

struct chord_coordinate vivaldi_coordinate(const struct vivaldi *vivaldi);

/* A coordinate that a node could really have; false for none. */
bool vivaldi_plausible(const struct chord_coordinate *coordinate);

/* The expected round trip; UINT64_MAX when one of them has no coordinate. */
uint64_t vivaldi_rtt_us(const struct chord_coordinate *a, const struct chord_coordinate *b);

#endif
