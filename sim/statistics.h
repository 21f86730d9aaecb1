/* statistics.h - a sample of numbers, and what is said of it.  One owner. */
#ifndef HOLDFAST_SIM_STATISTICS_H
#define HOLDFAST_SIM_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

struct statistics {
    double *values;
    size_t count, capacity;
    double sum;
    bool sorted;
};

/* All zero is an empty sample. */
void statistics_done(struct statistics *s);
/* False: no memory; the number is not counted. */
bool statistics_add(struct statistics *s, double value);
/* 0 of an empty sample, as are the others. */
double statistics_mean(const struct statistics *s);
/* The least number that `percent` of the sample do not exceed (nearest rank). */
double statistics_percentile(struct statistics *s, double percent);
double statistics_max(struct statistics *s);

#endif
