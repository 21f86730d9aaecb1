/* warnings.h - what the dht node warns of, as lines for a human.
 *
 * A disk that dies, or a peer that lies, gives thousands of warnings: WARNINGS_MAX lines
 * are written in WARNINGS_PERIOD_MS, and the rest counted.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_WARNINGS_H
#define HOLDFAST_DAEMON_WARNINGS_H

#include "dht/action.h"

#define WARNINGS_MAX       100u
#define WARNINGS_PERIOD_MS 60000u

struct warnings {
    uint64_t since_ms; /* the period's begin */
    uint32_t count, dropped;
};

/* Writes the line of a DHT_ACTION_WARN.  All zero: a new *warnings. */
void warnings_add(struct warnings *warnings, const struct dht_action *warn,
                  const struct hf_id *self, uint64_t now_ms);

#endif
