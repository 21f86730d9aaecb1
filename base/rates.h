/* rates.h - a limit in bytes a second that depends on the time of day.
 *
 *     limit-upload = 2M
 *     limit-upload = 08:00-23:00 200K, 23:00-08:00 off
 *
 * Windows are of local time, begin with their first minute, end before their last, and may
 * go over midnight; outside all of them there is no limit.  Pure; any thread. */
#ifndef HOLDFAST_BASE_RATES_H
#define HOLDFAST_BASE_RATES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HF_RATE_WINDOWS_MAX 48u
#define HF_RATE_MIN         UINT64_C(4096)      /* less does not keep a node in a ring */
#define HF_RATE_MAX         (UINT64_C(1) << 40) /* a TiB */
#define HF_RATE_DAY_MIN     1440u               /* minutes of a day */

struct hf_rate_window {
    uint32_t from_min, to_min; /* of the day; from > to: over midnight */
    uint64_t rate;             /* bytes a second; 0: no limit */
};

/* All zero: no limit. */
struct hf_rates {
    struct hf_rate_window windows[HF_RATE_WINDOWS_MAX];
    size_t count;
};

/* Adds the windows of one value, separated by commas.  HF_INVALID: malformed, or one of
 * them overlaps another, which is named too; *rates is unspecified then. */
HF_MUST_CHECK enum hf_code hf_rates_add(struct hf_rates *rates, const char *text,
                                        struct hf_err *err);

/* What is allowed at this minute of the day, 0 to HF_RATE_DAY_MIN - 1; 0: no limit. */
uint64_t hf_rates_at(const struct hf_rates *rates, uint32_t minute);

#endif
