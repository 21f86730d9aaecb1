/* warnings.h - what the dht node warns of, as lines for a human.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_WARNINGS_H
#define HOLDFAST_DAEMON_WARNINGS_H

#include "daemon/log_limit.h"
#include "dht/action.h"

/* Writes the line of a DHT_ACTION_WARN, within the limit. */
void warnings_add(struct log_limit *limit, const struct dht_action *warn,
                  const struct hf_id *self, uint64_t now_ms);

#endif
