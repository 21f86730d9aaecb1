/* have.h - which of many blocks are still there: the batch that each backup confirms.
 *
 * Everybody in rings up to DHT_CANDIDATES_MAX is asked, beyond that the members where each
 * block's fragments were put; every member once, for all the blocks that concern it.
 * Answers are taken at their word: a holder that lies is found by audits and by reading.
 *
 * Ends HF_OK with a byte (enum dht_have) for each id: ENOUGH when k distinct fragments of
 * one generation are there; LOST when everybody answered and they are not; else UNKNOWN.
 * HF_UNAVAILABLE: nobody answered. */
#ifndef HOLDFAST_DHT_HAVE_H
#define HOLDFAST_DHT_HAVE_H

#include "dht/core.h"

/* 1 <= count <= DHT_PRESENCE_MAX (HF_INVALID); ids are copied. */
void dht_have_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault,
                    const struct hf_id *ids, size_t count);

#endif
