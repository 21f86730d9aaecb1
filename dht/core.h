/* core.h - what the operations of one node share: members, requests, actions, time.
 *
 * An operation (put.c, get.c, ...) is a small state machine that a local client started.
 * It sends requests through the core, which calls it back when an answer comes, when one
 * is late, and when none will come any more: exactly one of answer and silence follows
 * each request.  A callback never runs inside dht_core_request.
 *
 * One owner; no I/O. */
#ifndef HOLDFAST_DHT_CORE_H
#define HOLDFAST_DHT_CORE_H

#include "dht/action.h"
#include "dht/budget.h"
#include "dht/request.h"

struct dht_core;
struct dht_flushes; /* flush.h */
struct dht_holder;  /* holder.h */

/* NULL members are not interested. */
struct dht_op_type {
    /* `answer` is borrowed; its kind is the one that belongs to the request. */
    void (*answer)(struct dht_core *core, struct dht_op *op, uint32_t slot,
                   const struct dht_message *answer);
    void (*late)(struct dht_core *core, struct dht_op *op, uint32_t slot);
    void (*silent)(struct dht_core *core, struct dht_op *op, uint32_t slot);
    /* The lookup's answer in ring order, or count = 0: there is none, use the roster. */
    void (*found)(struct dht_core *core, struct dht_op *op, const struct hf_id *ids,
                  size_t count);
    void (*peer_up)(struct dht_core *core, struct dht_op *op, const struct hf_id *peer);
    void (*poll)(struct dht_core *core, struct dht_op *op); /* at the end of every step */
    void (*release)(struct dht_core *core, struct dht_op *op); /* frees it; always there */
};

/* The first member of every operation. */
struct dht_op {
    const struct dht_op_type *type;
    uint64_t tag;
    bool finished; /* released at the end of the step */
};

#define DHT_INBOX_MAX 1024u /* messages of a node to itself in one step */

struct dht_core {
    struct hf_id self;
    uint64_t now_ms;
    bool store_complete;
    struct dht_members members;
    struct dht_requests requests;
    struct dht_budget budget;
    uint64_t fetched_ms;  /* when a fragment last came from anybody */
    size_t waiting_count; /* requests that wait for room in it */
    struct dht_actions actions;
    struct dht_op *ops[DHT_OPERATIONS_MAX];
    size_t op_count;
    struct dht_message *inbox; /* DHT_INBOX_MAX, a ring: what this node says to itself */
    size_t inbox_first, inbox_count;
    struct dht_flushes *flushes;
    struct dht_holder *holder;
};

HF_MUST_CHECK enum hf_code dht_core_init(struct dht_core *core, const struct hf_id *self,
                                         uint64_t seed, struct hf_err *err);
/* Releases operations without telling anybody. */
void dht_core_done(struct dht_core *core);

/* Adds a new operation, to be released by the core.  False: too many. */
bool dht_core_add(struct dht_core *core, struct dht_op *op);

/* Ends an operation: forgets its requests and reports *done (kind and tag are set here;
 * what is in it is taken over).  done = NULL: nobody is told. */
void dht_core_finish(struct dht_core *core, struct dht_op *op, struct dht_action *done);

/* Sends *message (its request id is set here; its buffers stay the caller's) to `peer`,
 * which may be this node itself.  False: the link is down or too much is waiting; nothing
 * was sent and no callback will follow. */
bool dht_core_request(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct hf_id *peer, const struct dht_message *message);
/* The same for STORE and FETCH, of which a fragment of about `bytes` travels: it waits, in
 * order, until it fits into what may be under way at once (budget.h); it can be late or
 * silent only after that. */
bool dht_core_transfer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                       const struct hf_id *peer, const struct dht_message *message,
                       size_t bytes);

/* How long `bytes` from this peer would take if they were asked for now, in ms. */
uint64_t dht_core_expected_ms(const struct dht_core *core, const struct dht_peer *peer,
                              size_t bytes);
/* The peer does not answer (doubt.h): asking it once more is waste. */
bool dht_core_doubts(const struct dht_core *core, const struct hf_id *peer);

/* Asks for the successors of key; `found` follows, exactly once. */
void dht_core_lookup(struct dht_core *core, struct dht_op *op, const struct hf_id *key,
                     uint32_t wanted);

/* Sends an answer; to this node itself too. */
void dht_core_answer(struct dht_core *core, const struct hf_id *peer,
                     const struct dht_message *message);

void dht_core_warn(struct dht_core *core, enum dht_warning warning,
                   const struct hf_id *peer, const struct hf_id *key);

/* ---- for node.c ---- */

/* An answer came, authenticated as `from`'s.  One that was not asked for is ignored. */
void dht_core_answered(struct dht_core *core, const struct hf_id *from,
                       const struct dht_message *answer);
void dht_core_found(struct dht_core *core, uint64_t tag, const struct hf_id *ids,
                    size_t count);
void dht_core_peer_up(struct dht_core *core, const struct hf_id *peer);
void dht_core_peer_down(struct dht_core *core, const struct hf_id *peer);
/* Something has come from the peer. */
void dht_core_heard(struct dht_core *core, const struct hf_id *peer);
/* A part of a fragment has come from it, or was taken by it: what is under way with it is
 * slow, not silent. */
void dht_core_moved(struct dht_core *core, const struct hf_id *peer, enum dht_class class);
/* No answer to this request will come: ends it, and tells its operation. */
void dht_core_give_up(struct dht_core *core, struct dht_request *request);
/* Reports what has become late or silent. */
void dht_core_tick(struct dht_core *core);
/* Releases operations that have ended, and sends what fits into the budget now. */
void dht_core_sweep(struct dht_core *core);
/* Takes the next message of this node to itself; false: none. */
bool dht_core_inbox(struct dht_core *core, struct dht_message *message);

#endif
