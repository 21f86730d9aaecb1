/* put.h - a block's fragments to their holders (docs/design.md section 7, Put).
 *
 *     lookup -> STORE to n hosts -> acknowledged | refused | silent (asked twice)
 *                                        ^             |
 *                                        +- next host -+   while there is one
 *
 * Ends HF_OK with n acknowledged; HF_DEGRADED when no holder is left to wait for and
 * dht_accepted are; HF_UNAVAILABLE as soon as that cannot be reached any more.  A degraded
 * put is parked: a flush tries its missing fragments once more. */
#ifndef HOLDFAST_DHT_PUT_H
#define HOLDFAST_DHT_PUT_H

#include "dht/core.h"
#include "dht/placement.h"

/* What a client gives; buffers are borrowed (references are taken). */
struct dht_put_args {
    struct hf_buffer *manifest;         /* encoded and signed */
    struct hf_buffer *const *fragments; /* n of them, in order of index */
    uint32_t fragment_count;
};

/* Starts a put; its end is reported under tag.  Arguments that contradict each other end
 * it with HF_INVALID or HF_CORRUPT, too many operations with HF_NO_MEMORY. */
void dht_put_start(struct dht_core *core, uint64_t tag, const struct dht_put_args *args);

struct dht_put; /* a degraded put, parked; opaque */

/* Tries the missing fragments again.  False: too many operations; it stays parked. */
bool dht_put_retry(struct dht_core *core, struct dht_put *put);
const struct hf_id *dht_put_vault(const struct dht_put *put);
/* Bytes of the fragments that it holds. */
size_t dht_put_size(const struct dht_put *put);
void dht_put_free(struct dht_put *put);

#endif
