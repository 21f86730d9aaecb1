#include "base/rtt.h"

#define SAMPLE_MAX_MS 600000u
#define BACKOFF_MAX   5u

void hf_rtt_add(struct hf_rtt *rtt, uint64_t ms)
{
    const uint32_t sample = ms > SAMPLE_MAX_MS ? SAMPLE_MAX_MS : (uint32_t)ms;
    const uint32_t mean = rtt->mean_8 / 8;
    const uint32_t off = sample > mean ? sample - mean : mean - sample;

    rtt->backoff = 0;
    if (!rtt->known) {
        *rtt =
            (struct hf_rtt){.mean_8 = sample * 8, .deviation_4 = sample * 2, .known = true};
        return;
    }
    rtt->deviation_4 = rtt->deviation_4 - rtt->deviation_4 / 4 + off;
    rtt->mean_8 = rtt->mean_8 - rtt->mean_8 / 8 + sample;
}

void hf_rtt_back_off(struct hf_rtt *rtt)
{
    if (rtt->backoff < BACKOFF_MAX) rtt->backoff++;
}

uint32_t hf_rtt_expected(const struct hf_rtt *rtt, uint32_t first_ms)
{
    return rtt->known ? rtt->mean_8 / 8 : first_ms;
}

uint64_t hf_rtt_timeout(const struct hf_rtt *rtt, uint32_t first_ms)
{
    const uint64_t ms = rtt->known ? rtt->mean_8 / 8 + rtt->deviation_4 : first_ms;

    return ms << rtt->backoff;
}
