/* flush.h - which puts of a vault are on their way or below their target, and the flush
 * that waits for them (docs/design.md section 7, Put). */
#ifndef HOLDFAST_DHT_FLUSH_H
#define HOLDFAST_DHT_FLUSH_H

#include "dht/core.h"

struct dht_put; /* put.h */

struct dht_flushes *dht_flushes_new(void); /* NULL: no memory */
void dht_flushes_free(struct dht_flushes *flushes);

/* A put of the vault begins.  False: DHT_VAULTS_MAX others have puts of theirs. */
bool dht_flush_began(struct dht_flushes *flushes, const struct hf_id *vault);
/* It ended with `code`; `retried`: it was a flush that started it. */
void dht_flush_ended(struct dht_flushes *flushes, const struct hf_id *vault,
                     enum hf_code code, bool retried);
/* Takes over a degraded put, to be tried again.  False: no room (it counts all the same).
 */
bool dht_flush_park(struct dht_flushes *flushes, struct dht_put *put);

/* Starts a flush: when no put of the vault is on its way, those parked are tried once more;
 * then it ends with HF_OK, or with HF_DEGRADED and the count of blocks below their target
 * since the last flush. */
void dht_flush_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault);

#endif
