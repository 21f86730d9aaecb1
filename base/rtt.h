/* rtt.h - how long a peer's answers take (Jacobson, "Congestion avoidance and control",
 * SIGCOMM 1988; RFC 6298). */
#ifndef HOLDFAST_BASE_RTT_H
#define HOLDFAST_BASE_RTT_H

#include <stdbool.h>
#include <stdint.h>

/* All zero before the first answer. */
struct hf_rtt {
    uint32_t mean_8;      /* smoothed round trip, in eighths of a ms */
    uint32_t deviation_4; /* mean deviation, in quarters of a ms */
    uint32_t backoff;     /* doublings since the last answer */
    bool known;
};

/* An answer came after `ms`.  Not for one that may belong to an earlier try (Karn). */
void hf_rtt_add(struct hf_rtt *rtt, uint64_t ms);
/* No answer came: the next timeout is twice as long. */
void hf_rtt_back_off(struct hf_rtt *rtt);
/* Expected time of an answer in ms; first_ms when nothing is known. */
uint32_t hf_rtt_expected(const struct hf_rtt *rtt, uint32_t first_ms);
/* Mean and four deviations, doubled for each silence. */
uint64_t hf_rtt_timeout(const struct hf_rtt *rtt, uint32_t first_ms);

#endif
