/* log_limit.h - bounds the lines that somebody else can make this daemon write.
 *
 * A stranger at the door, a peer that lies, or a disk that dies gives thousands of lines:
 * LOG_LIMIT_LINES are written in LOG_LIMIT_MS, and the rest counted.  Not thread-safe. */
#ifndef HOLDFAST_DAEMON_LOG_LIMIT_H
#define HOLDFAST_DAEMON_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES 100u
#define LOG_LIMIT_MS    60000u

struct log_limit {     /* all zero: nothing was written yet */
    uint64_t since_ms; /* the period's begin */
    uint32_t count, dropped;
};

/* Whether one more line of `area` may be written now.  The first of a new period is
 * preceded by one that tells how many were left out. */
bool log_limit_allows(struct log_limit *limit, const char *area, uint64_t now_ms);

#endif
