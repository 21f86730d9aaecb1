/* record_op.h - the records of a vault (docs/design.md section 7, Records).
 *
 * Whole copies on the first DHT_RECORD_HOLDERS members at or after the vault's record key
 * that are not evicted, counted from the roster: this node may be one of them.
 *
 * A write ends HF_OK with a majority; HF_EXISTS, with the record that stands there, when a
 * holder proves that it has a higher one or another of the same numbers; HF_UNAVAILABLE
 * when a majority cannot be reached.
 * A read ends with the highest record of each slot: HF_OK when a majority answered whose
 * stores are complete, and the others did or are late; else HF_INCOMPLETE. */
#ifndef HOLDFAST_DHT_RECORD_OP_H
#define HOLDFAST_DHT_RECORD_OP_H

#include "dht/core.h"

/* `record` is a signed record (base/record.h), of which a reference is taken.  HF_CORRUPT:
 * it is none. */
void dht_record_put_start(struct dht_core *core, uint64_t tag, struct hf_buffer *record);

void dht_records_get_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault);

#endif
