/* holder.h - answers peers' requests out of this node's own store.
 *
 * A fragment is stored after its manifest's signature and its own hash are verified, and
 * acknowledged after the store says that it is durable.  A record is stored when it is the
 * highest of its slot: requests for one slot go one after the other.  What is not found
 * in a store that is not complete is answered "don't know" (HF_INCOMPLETE), never "none".
 */
#ifndef HOLDFAST_DHT_HOLDER_H
#define HOLDFAST_DHT_HOLDER_H

#include "dht/core.h"

struct dht_holder *dht_holder_new(void); /* NULL: no memory */
void dht_holder_free(struct dht_holder *holder);

/* True when little room is left: the driver does well to read nothing more from its peers'
 * links until jobs have ended, so that they wait rather than be refused. */
bool dht_holder_busy(const struct dht_holder *holder);

/* A request came, authenticated as `from`'s.  With DHT_JOBS_MAX or DHT_JOB_BYTES_MAX under
 * way it is answered HF_UNAVAILABLE. */
void dht_holder_request(struct dht_core *core, const struct hf_id *from,
                        const struct dht_message *request);

/* The store is done with the LOAD or STORE action `tag`.  `item` is what was loaded (NULL
 * for a store, and when code is neither HF_OK nor HF_INCOMPLETE: a list of what is known),
 * borrowed. */
void dht_holder_completed(struct dht_core *core, uint64_t tag, enum hf_code code,
                          const struct dht_item *item);

#endif
