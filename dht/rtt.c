#include "dht/rtt.h"

#include "dht/limits.h"

#define SILENCE_FACTOR 4u

static uint32_t clamp(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

uint32_t dht_rtt_expected(const struct hf_rtt *rtt)
{
    return hf_rtt_expected(rtt, DHT_RTO_FIRST_MS);
}

uint32_t dht_rtt_late_ms(const struct hf_rtt *rtt)
{
    return clamp(hf_rtt_timeout(rtt, DHT_RTO_FIRST_MS), DHT_RTO_MIN_MS, DHT_RTO_MAX_MS);
}

uint32_t dht_rtt_silent_ms(const struct hf_rtt *rtt)
{
    return clamp(SILENCE_FACTOR * hf_rtt_timeout(rtt, DHT_RTO_FIRST_MS), DHT_SILENCE_MIN_MS,
                 DHT_SILENCE_MAX_MS);
}
