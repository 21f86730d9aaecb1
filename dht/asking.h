/* asking.h - for core.c: requests on their way out, and what their answers teach.
 *
 * A request is sent at once, or, when it brings or takes a fragment, as soon as there is
 * room in the budget (budget.h); its deadlines run from then.  dht_core_request,
 * dht_core_transfer and dht_core_answer (core.h) are here.  One owner. */
#ifndef HOLDFAST_DHT_ASKING_H
#define HOLDFAST_DHT_ASKING_H

#include "dht/core.h"

/* How long answers of that class take; before the first fetch, storing tells that of
 * fragments.  member may be NULL. */
const struct hf_rtt *dht_asking_rtt(const struct dht_peer *member, enum dht_class class);

/* Ends a request of whatever state; nobody is told. */
void dht_asking_drop(struct dht_core *core, struct dht_request *request);

/* The operation has ended.  What was sent to others for it goes on without it: the line is
 * in use until it is answered, and whether it is answered is worth to know. */
void dht_asking_forget(struct dht_core *core, const struct dht_op *op);

/* `asked` was answered by `member`. */
void dht_asking_learn(struct dht_core *core, struct dht_peer *member,
                      const struct dht_request *asked, const struct dht_message *answer);

/* Sends what fits now, in the order in which it was asked for.  A peer that has come into
 * doubt meanwhile is not asked: its place is another's. */
void dht_asking_send_waiting(struct dht_core *core);

#endif
