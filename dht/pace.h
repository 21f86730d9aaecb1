/* pace.h - how fast a peer's fragments come, beside the latency of its answers.
 *
 * Learnt from ordinary fetches.  Kept as time for each KiB, so that the mean of several is
 * that of the time they took.  What was learnt long ago is forgotten, or a peer that was
 * slow once would never be tried again. */
#ifndef HOLDFAST_DHT_PACE_H
#define HOLDFAST_DHT_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define DHT_PACE_SAMPLE_MIN 16384u /* bytes: less says more of latency than of speed */
#define DHT_PACE_KEPT_MS    600000u

/* All zero before the first fetch. */
struct dht_pace {
    uint64_t ns_per_kib;
    uint64_t learnt_ms; /* when */
    bool known;
};

/* `bytes` came in `ms` (0 counts as a half).  Fewer than DHT_PACE_SAMPLE_MIN: ignored. */
void dht_pace_add(struct dht_pace *pace, uint64_t bytes, uint64_t ms, uint64_t now_ms);
/* `bytes` have not come within `ms`: it is no faster than that. */
void dht_pace_at_most(struct dht_pace *pace, uint64_t bytes, uint64_t ms, uint64_t now_ms);
bool dht_pace_known(const struct dht_pace *pace, uint64_t now_ms);
/* How long `bytes` take, in ms; as if fast when nothing is known, so that it is tried. */
uint64_t dht_pace_ms(const struct dht_pace *pace, uint64_t bytes, uint64_t now_ms);

#endif
