/* rtt.h - how long a peer's answers take (Jacobson 1988; RFC 6298). */
#ifndef HOLDFAST_DHT_RTT_H
#define HOLDFAST_DHT_RTT_H

#include <stdbool.h>
#include <stdint.h>

/* All zero before the first answer. */
struct dht_rtt {
    uint32_t mean_8;      /* smoothed round trip, in eighths of a ms */
    uint32_t deviation_4; /* mean deviation, in quarters of a ms */
    uint32_t backoff;     /* doublings since the last answer */
    bool known;
};

/* An answer came after `ms`. */
void dht_rtt_add(struct dht_rtt *rtt, uint64_t ms);
/* No answer came: the next timeout is twice as long. */
void dht_rtt_back_off(struct dht_rtt *rtt);
/* Expected time of an answer in ms; DHT_RTO_FIRST_MS when nothing is known. */
uint32_t dht_rtt_expected(const struct dht_rtt *rtt);
/* Time after which an answer is late; DHT_RTO_MIN_MS to DHT_RTO_MAX_MS. */
uint32_t dht_rtt_late_ms(const struct dht_rtt *rtt);
/* Time after which none is expected any more; DHT_SILENCE_MIN_MS to DHT_SILENCE_MAX_MS. */
uint32_t dht_rtt_silent_ms(const struct dht_rtt *rtt);

#endif
