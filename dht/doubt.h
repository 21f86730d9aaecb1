/* doubt.h - peers that do not answer, though their links stand.
 *
 * A peer from which nothing at all came while a question to it became late (for a fragment,
 * DHT_DOUBT_MS at least; with one to store, silent) is in doubt: it goes to the end of
 * every order, what it was asked by others is late at once, and whoever must ask it all the
 * same waits for DHT_DOUBT_MS only.  So it costs a reader one timeout once.  A probe in the
 * background, or anything else that comes from it, ends the doubt. */
#ifndef HOLDFAST_DHT_DOUBT_H
#define HOLDFAST_DHT_DOUBT_H

#include "dht/core.h"

/* The slot of probes; they belong to no operation. */
#define DHT_PROBE_SLOT UINT32_MAX

/* The question, sent to `peer` at sent_ms, was not answered in time. */
void dht_doubt_unanswered(struct dht_core *core, struct dht_peer *peer, uint64_t sent_ms);
/* A probe was not answered either: the next one. */
void dht_doubt_probe(struct dht_core *core, struct dht_peer *peer);

/* Something has come from it: it is there, and what it still owes makes it slow. */
void dht_doubt_over(struct dht_core *core, struct dht_peer *peer);

#endif
