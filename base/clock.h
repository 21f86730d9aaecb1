/* clock.h - the two clocks.  Not for chord/, dht/ and erasure/: they are told the time. */
#ifndef HOLDFAST_BASE_CLOCK_H
#define HOLDFAST_BASE_CLOCK_H

#include <stdint.h>

uint64_t hf_clock_monotonic_ms(void);
int64_t hf_clock_realtime_ns(void); /* since 1970, UTC */

#endif
