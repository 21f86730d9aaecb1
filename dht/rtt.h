/* rtt.h - when an answer is late, and when none is expected any more: base/rtt.h within the
 * limits of dht/. */
#ifndef HOLDFAST_DHT_RTT_H
#define HOLDFAST_DHT_RTT_H

#include "base/rtt.h"

/* Expected time of an answer in ms; DHT_RTO_FIRST_MS when nothing is known. */
uint32_t dht_rtt_expected(const struct hf_rtt *rtt);
/* Time after which an answer is late; DHT_RTO_MIN_MS to DHT_RTO_MAX_MS. */
uint32_t dht_rtt_late_ms(const struct hf_rtt *rtt);
/* Time after which none is expected any more; DHT_SILENCE_MIN_MS to DHT_SILENCE_MAX_MS. */
uint32_t dht_rtt_silent_ms(const struct hf_rtt *rtt);

#endif
