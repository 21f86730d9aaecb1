/* network.h - links between places: how long a message takes, and whether it comes.
 *
 * A place has a point in a plane, in milliseconds, and an access link.  One way from a to
 * b takes half of (distance + both access links), times a factor that this pair always
 * has, plus jitter.  One owner. */
#ifndef HOLDFAST_SIM_NETWORK_H
#define HOLDFAST_SIM_NETWORK_H

#include "sim/draw.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETWORK_FAULTS_MAX  1024u /* places of a network with cuts or fair loss */
#define NETWORK_CLASSES_MAX 16u

struct network_options {
    double plane_ms;      /* side of the square in which places lie; in 8 clusters */
    double access_ms;     /* mean round trip over an access link, exponential */
    double violation;     /* sigma of the logarithm of a pair's factor */
    uint64_t delay_us;    /* of every message beside that, one way */
    uint64_t jitter_us;   /* 0..jitter_us more */
    unsigned loss, twice; /* of 1000 messages: lost; come twice */
    unsigned late;        /* of 1000: take 0..late_us more, and so are overtaken */
    uint64_t late_us;
    bool fair_loss; /* no two in a row of one class on one way are lost */
};

struct network_place {
    float x, y, access;
    uint32_t part; /* places of different parts do not hear one another */
};

struct network {
    struct network_options options;
    struct network_place *places;
    size_t count;
    uint16_t *lost;     /* fair_loss: one bit per class, of each way */
    uint8_t *cuts;      /* [from][to]; NULL: never were any */
    uint64_t pair_seed; /* of the pairs' factors */
    struct draw draw;
};

/* What becomes of one message. */
struct network_fate {
    unsigned copies; /* 0: lost */
    uint64_t delay_us[2];
};

/* Fair loss is fair to `ends`, of which a place may have several: a way leads from one to
 * another.  False: no memory, or fair loss among more than NETWORK_FAULTS_MAX ends;
 * network_done may be called either way. */
bool network_init(struct network *network, const struct network_options *options,
                  size_t count, size_t ends, uint64_t seed);
void network_done(struct network *network);

/* The round trip that the two places alone would give: no pair's factor, no jitter. */
double network_plain_rtt_us(const struct network *network, size_t a, size_t b);
/* One way, without jitter. */
uint64_t network_delay_us(const struct network *network, size_t from, size_t to);
/* `way` (from end * ends + to end) and `class` < NETWORK_CLASSES_MAX matter for fair loss.
 */
struct network_fate network_send(struct network *network, size_t from, size_t to,
                                 size_t way, unsigned class);

/* Neither a cut nor a part is between them: what one sends to the other may come. */
bool network_reaches(const struct network *network, size_t from, size_t to);

/* Cuts the way from one place to another (not the way back), or mends it.  False: no
 * memory, or too many places. */
bool network_cut(struct network *network, size_t from, size_t to, bool cut);
void network_part(struct network *network, size_t place, uint32_t part);
/* Mends all cuts and joins all parts. */
void network_heal(struct network *network);

#endif
