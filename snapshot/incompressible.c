#include "snapshot/incompressible.h"

#define SAMPLE_MIN 512u
#define RUN        64u /* bytes that are looked at together: a line of the cache */
#define RUNS       32u

/* Counts pairs of equal bytes: n random ones have (n choose 2) / 256, with a deviation of
 * the root of that.  A quarter more is an entropy of 7.7 bits a byte; machine code and text
 * have many times as many. */
bool looks_incompressible(const uint8_t *bytes, size_t n)
{
    uint32_t counts[256] = {0};
    size_t runs = n / RUN < RUNS ? n / RUN : RUNS;
    uint64_t taken = runs * RUN;
    uint64_t pairs = 0; /* each counted twice */

    if (n < SAMPLE_MIN) return false;
    for (size_t i = 0; i < runs; i++) {
        const uint8_t *run = bytes + n / runs * i;

        for (size_t j = 0; j < RUN; j++)
            counts[run[j]]++;
    }
    for (size_t i = 0; i < 256; i++)
        pairs += (uint64_t)counts[i] * counts[i] - counts[i];
    return pairs * 256 * 4 <= taken * (taken - 1) * 5;
}
