/* get.h - gathers k verified fragments of a block (docs/design.md section 7, Get).
 *
 * The likely holders are asked in order of expected latency, as many at once as fragments
 * are still wanted; for each one that is late another is asked; silence, absence and bad
 * fragments make the next one's turn, until everybody in reach (DHT_CANDIDATES_MAX: all
 * members of rings up to that) has been asked.
 *
 * Ends HF_OK with the block; HF_UNAVAILABLE when those who are silent or do not know could
 * have it; HF_CORRUPT when too few verify of those who answered; HF_NOT_FOUND when most
 * said "not here" and nobody was silent. */
#ifndef HOLDFAST_DHT_GET_H
#define HOLDFAST_DHT_GET_H

#include "dht/core.h"

void dht_get_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault,
                   const struct hf_id *block);

#endif
