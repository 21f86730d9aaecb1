/* limits.h - how much a daemon may send and receive, as holdfast.conf says:
 * [ring] limit-upload, limit-download (base/rates.h).  Any thread. */
#ifndef HOLDFAST_DAEMON_LIMITS_H
#define HOLDFAST_DAEMON_LIMITS_H

#include "base/conf.h"
#include "base/rates.h"

struct limits {
    struct hf_rates upload, download;
};

/* HF_INVALID: a value is malformed; the message names file, line and key.  *limits is
 * changed on success only. */
HF_MUST_CHECK enum hf_code limits_load(const struct hf_conf *conf, struct limits *limits,
                                       struct hf_err *err);

/* The minute of the day of local time. */
uint32_t limits_minute(int64_t time_s);

#endif
