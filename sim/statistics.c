#include "sim/statistics.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void statistics_done(struct statistics *s)
{
    free(s->values);
    memset(s, 0, sizeof *s);
}

bool statistics_add(struct statistics *s, double value)
{
    if (s->count == s->capacity) {
        double *grown =
            hf_grow_array(s->values, &s->capacity, s->count + 1, sizeof *s->values);

        if (grown == NULL) return false;
        s->values = grown;
    }
    s->values[s->count++] = value;
    s->sum += value;
    s->sorted = false;
    return true;
}

double statistics_mean(const struct statistics *s)
{
    return s->count > 0 ? s->sum / (double)s->count : 0.0;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

double statistics_percentile(struct statistics *s, double percent)
{
    size_t rank;

    if (s->count == 0) return 0.0;
    if (!s->sorted) qsort(s->values, s->count, sizeof *s->values, compare);
    s->sorted = true;
    rank = (size_t)ceil(percent / 100.0 * (double)s->count);
    if (rank == 0) rank = 1;
    return s->values[rank > s->count ? s->count - 1 : rank - 1];
}

double statistics_max(struct statistics *s)
{
    return statistics_percentile(s, 100.0);
}
