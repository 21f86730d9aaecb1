/* circle.h - arithmetic on the circle of 256-bit identifiers.
 *
 * Clockwise is upwards; after the largest id comes zero.  Pure; any thread. */
#ifndef HOLDFAST_CHORD_CIRCLE_H
#define HOLDFAST_CHORD_CIRCLE_H

#include "base/id.h"

#include <stdbool.h>

#define CHORD_ID_BITS 256u

/* x lies strictly between a and b going clockwise from a.  With a == b that is every x
 * but a (Zave 2017, section 3: between(n, x, n) holds for all x other than n). */
bool chord_between(const struct hf_id *a, const struct hf_id *x, const struct hf_id *b);

/* As chord_between, or x == b: b is responsible for x when a is its predecessor.  With
 * a == b that is every x. */
bool chord_between_or_at(const struct hf_id *a, const struct hf_id *x,
                         const struct hf_id *b);

/* *out = (a + 2^bit) mod 2^256; bit < CHORD_ID_BITS. */
void chord_add_power(const struct hf_id *a, unsigned bit, struct hf_id *out);

/* < 0, 0, > 0: the way from `from` to a is shorter than, equal to, longer than to b. */
int chord_compare_from(const struct hf_id *from, const struct hf_id *a,
                       const struct hf_id *b);

#endif
