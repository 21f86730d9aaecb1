#include "dht/rtt.h"

#include "dht/limits.h"

#define SAMPLE_MAX_MS  600000u
#define BACKOFF_MAX    5u
#define SILENCE_FACTOR 4u

static uint32_t clamp(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

void dht_rtt_add(struct dht_rtt *rtt, uint64_t ms)
{
    uint32_t sample = clamp(ms, 0, SAMPLE_MAX_MS);
    uint32_t mean = rtt->mean_8 / 8;
    uint32_t off = sample > mean ? sample - mean : mean - sample;

    rtt->backoff = 0;
    if (!rtt->known) {
        *rtt = (struct dht_rtt){
            .mean_8 = sample * 8, .deviation_4 = sample * 2, .known = true};
        return;
    }
    rtt->deviation_4 = rtt->deviation_4 - rtt->deviation_4 / 4 + off;
    rtt->mean_8 = rtt->mean_8 - rtt->mean_8 / 8 + sample;
}

void dht_rtt_back_off(struct dht_rtt *rtt)
{
    if (rtt->backoff < BACKOFF_MAX) rtt->backoff++;
}

uint32_t dht_rtt_expected(const struct dht_rtt *rtt)
{
    return rtt->known ? rtt->mean_8 / 8 : DHT_RTO_FIRST_MS;
}

static uint64_t rto(const struct dht_rtt *rtt)
{
    uint64_t ms = rtt->known ? rtt->mean_8 / 8 + rtt->deviation_4 : DHT_RTO_FIRST_MS;

    return ms << rtt->backoff;
}

uint32_t dht_rtt_late_ms(const struct dht_rtt *rtt)
{
    return clamp(rto(rtt), DHT_RTO_MIN_MS, DHT_RTO_MAX_MS);
}

uint32_t dht_rtt_silent_ms(const struct dht_rtt *rtt)
{
    return clamp(rto(rtt) * SILENCE_FACTOR, DHT_SILENCE_MIN_MS, DHT_SILENCE_MAX_MS);
}
