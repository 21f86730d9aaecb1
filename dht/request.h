/* request.h - what was asked and not yet answered. */
#ifndef HOLDFAST_DHT_REQUEST_H
#define HOLDFAST_DHT_REQUEST_H

#include "base/err.h"
#include "dht/members.h"
#include "dht/message.h"

struct dht_op; /* core.h */

/* A lookup is one, too: without a peer, never late. */
struct dht_request {
    uint64_t id;       /* 0: the place is free */
    struct dht_op *op; /* NULL: it has ended, or this is a probe (doubt.h) */
    uint32_t slot;     /* the operation's own number for it */
    struct hf_id peer;
    enum dht_message_kind answer; /* the kind that answers it; 0: a lookup */
    enum dht_class class;
    bool late;
    bool watched; /* late, and at late_ms it is asked whether the peer is in doubt */
    bool resort;  /* the peer was in doubt already: there is nobody better */
    size_t bytes; /* that count in the budget */
    struct dht_message *waiting; /* for room in the budget; owned.  NULL: it was sent */
    uint64_t sent_ms, late_ms, silent_ms; /* the last two: deadlines */
};

/* An id is never used twice: it is its place with a serial number above it. */
struct dht_requests {
    struct dht_request *places; /* DHT_REQUESTS_MAX */
    uint16_t *free;             /* a stack of free places */
    size_t free_count;
    size_t top; /* no place at or above it is in use: low ones are used first */
    uint64_t serial;
};

/* `seed` starts the ids, so that a node that restarts does not use its last ones again. */
HF_MUST_CHECK enum hf_code dht_requests_init(struct dht_requests *requests, uint64_t seed,
                                             struct hf_err *err);
void dht_requests_done(struct dht_requests *requests);

/* A new one with its id set, all else zero.  NULL: DHT_REQUESTS_MAX are waiting. */
struct dht_request *dht_requests_add(struct dht_requests *requests);
/* NULL: never asked, or answered already. */
struct dht_request *dht_requests_find(struct dht_requests *requests, uint64_t id);
void dht_requests_remove(struct dht_requests *requests, struct dht_request *request);
/* When the next request becomes late or silent; UINT64_MAX: never. */
uint64_t dht_requests_deadline(const struct dht_requests *requests);

#endif
