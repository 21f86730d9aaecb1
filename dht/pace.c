#include "dht/pace.h"

#define NS_PER_MS  UINT64_C(1000000)
#define UNKNOWN_NS UINT64_C(10000)             /* a KiB at some 100 MB/s */
#define SLOWEST_NS (UINT64_C(60) * 1000000000) /* a KiB a minute */
#define KIB        UINT64_C(1024)
#define SAMPLE_MAX (UINT64_C(1) << 32) /* bytes and ms: the products still fit */
#define WEIGHT     4u                  /* the newest counts for a quarter */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sample_of(uint64_t bytes, uint64_t ms)
{
    const uint64_t ns = ms == 0 ? NS_PER_MS / 2 : least(ms, SAMPLE_MAX) * NS_PER_MS;
    const uint64_t sample = ns / ((least(bytes, SAMPLE_MAX) + KIB - 1) / KIB);

    return sample == 0 ? 1 : least(sample, SLOWEST_NS);
}

bool dht_pace_known(const struct dht_pace *pace, uint64_t now_ms)
{
    return pace->known && now_ms - pace->learnt_ms <= DHT_PACE_KEPT_MS;
}

void dht_pace_add(struct dht_pace *pace, uint64_t bytes, uint64_t ms, uint64_t now_ms)
{
    uint64_t sample;

    if (bytes < DHT_PACE_SAMPLE_MIN) return;
    sample = sample_of(bytes, ms);
    if (dht_pace_known(pace, now_ms))
        sample = (pace->ns_per_kib * (WEIGHT - 1) + sample) / WEIGHT;
    *pace = (struct dht_pace){.ns_per_kib = sample, .learnt_ms = now_ms, .known = true};
}

void dht_pace_at_most(struct dht_pace *pace, uint64_t bytes, uint64_t ms, uint64_t now_ms)
{
    if (bytes < DHT_PACE_SAMPLE_MIN) return;
    if (dht_pace_known(pace, now_ms) && sample_of(bytes, ms) <= pace->ns_per_kib) return;
    *pace = (struct dht_pace){
        .ns_per_kib = sample_of(bytes, ms), .learnt_ms = now_ms, .known = true};
}

uint64_t dht_pace_ms(const struct dht_pace *pace, uint64_t bytes, uint64_t now_ms)
{
    const uint64_t ns = dht_pace_known(pace, now_ms) ? pace->ns_per_kib : UNKNOWN_NS;

    return (least(bytes, SAMPLE_MAX) + KIB - 1) / KIB * ns / NS_PER_MS;
}
