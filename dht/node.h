/* node.h - one node's part in keeping blocks and records, as a state machine without I/O.
 *
 * It plays both parts: for local clients it puts, gets and asks; for authenticated peers it
 * holds.  The driver (the daemon, the simulator) owns links, clock and store.  It reports
 * what happened with dht_step, and then takes out and does all that dht_next gives:
 *
 *     dht_step(node, &event, now_ms);
 *     while (dht_next(node, &action)) { do it; dht_action_done(&action); }
 *     set a timer for dht_deadline(node)
 *
 * Nothing is called back; the end of an operation is an action (DHT_ACTION_DONE, exactly
 * once for each tag), so it is never seen from inside the call that started it.  What is
 * put in or given out is referred to (struct hf_buffer), never copied.
 *
 * Peers may lie: what they send is bounded, verified, then used; an answer that nobody
 * asked for, comes twice or too late is ignored.  Limits: limits.h; memory in use is at
 * most that of the clients' operations (a get holds up to its block), DHT_JOB_BYTES_MAX and
 * DHT_PARKED_BYTES_MAX.  Not thread-safe: one owner. */
#ifndef HOLDFAST_DHT_NODE_H
#define HOLDFAST_DHT_NODE_H

#include "dht/action.h"
#include "dht/members.h"
#include "dht/placement.h"

struct dht_node; /* opaque */

struct dht_config {
    struct hf_id self;   /* node id */
    uint64_t seed;       /* random, or fixed in tests: where request ids start */
    bool store_complete; /* false: new, wiped, rolled back or damaged; "don't know" */
};

enum dht_event_kind {
    /* From the driver. */
    DHT_TICK = 1,      /* the deadline has passed */
    DHT_MESSAGE,       /* peer, message: arrived over peer's authenticated link */
    DHT_FOUND,         /* tag, ids, id_count: node ids in ring order from the key */
    DHT_LOOKUP_FAILED, /* tag */
    DHT_PEER_UP,       /* peer: a link to it stands */
    DHT_PEER_DOWN,     /* peer: its link broke, or cannot be made */
    DHT_PEER_GIVES,    /* peer: a part of a large message has come from it, ... */
    DHT_PEER_TAKES,    /* ... or has gone to it: it is slow, not silent.  Once a second is
                          often enough */
    DHT_MEMBERS,    /* members, member_count: the whole roster, this node in it.  One beyond
                       DHT_MEMBERS_MAX (or memory) is not taken: the last one stays */
    DHT_STORE_DONE, /* tag, code: HF_OK only when durable.  HF_NO_SPACE, HF_DENIED (quota),
                       HF_IO */
    DHT_LOADED,     /* tag, code, item: HF_OK, HF_NOT_FOUND, HF_CORRUPT, HF_IO;
                       HF_INCOMPLETE: a list, but there may be more; else no item */
    DHT_STORE_STATE, /* complete: the store has been refilled, or was found damaged */

    /* From local clients; each ends with DHT_ACTION_DONE under `tag`. */
    DHT_PUT,         /* put: put.h */
    DHT_GET,         /* vault, block: get.h; the block is action.block */
    DHT_HAVE_BLOCKS, /* vault, ids, id_count: have.h; the answers are action.payload */
    DHT_RECORD_PUT,  /* record: record_op.h */
    DHT_RECORDS_GET, /* vault: record_op.h; the list is action.payload */
    DHT_FLUSH        /* vault: flush.h; HF_OK, or HF_DEGRADED and action.degraded */
};

/* All pointers are borrowed for the step. */
struct dht_event {
    enum dht_event_kind kind;
    uint64_t tag; /* of an action, or chosen by the client (its operations' own) */
    enum hf_code code;
    struct hf_id peer, vault, block;
    const struct dht_message *message;
    const struct hf_id *ids;
    const uint32_t
        *away_ms; /* FOUND: the expected round trip to each, 0: not known; or NULL
                   */
    size_t id_count;
    const struct dht_member *members;
    size_t member_count;
    const struct dht_item *item; /* its buffers: what was asked for (action.h) */
    bool complete;
    struct {
        struct hf_buffer *manifest;         /* encoded and signed */
        struct hf_buffer *const *fragments; /* n, in order of index */
        uint32_t fragment_count;
    } put;
    struct hf_buffer *record; /* signed: base/record.h */
};

/* A node that knows no members yet.  NULL: no memory. */
struct dht_node *dht_node_new(const struct dht_config *config);
/* Releases it; operations and jobs that have not ended are forgotten.  NULL is allowed. */
void dht_node_free(struct dht_node *node);

/* now_ms: monotonic, never less than in the step before.  All actions of the step before
 * were taken out. */
void dht_step(struct dht_node *node, const struct dht_event *event, uint64_t now_ms);

/* Takes out the next action; false: there is none.  The caller releases it. */
bool dht_next(struct dht_node *node, struct dht_action *action);

/* When DHT_TICK is due; UINT64_MAX: not at all. */
uint64_t dht_deadline(const struct dht_node *node);

/* True when the store has half as much to do as is allowed: stop reading from peers' links
 * until this is false, so that they wait instead of being refused. */
bool dht_node_busy(const struct dht_node *node);

/* The redundancy of a block that this node writes now (placement.h). */
struct dht_redundancy dht_node_redundancy(const struct dht_node *node,
                                          struct dht_redundancy override);

#endif
