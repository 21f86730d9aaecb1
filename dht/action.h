/* action.h - what a node asks its driver to do, and the queue it waits in. */
#ifndef HOLDFAST_DHT_ACTION_H
#define HOLDFAST_DHT_ACTION_H

#include "dht/message.h"
#include "erasure/manifest.h"

enum dht_item_kind {
    DHT_ITEM_FRAGMENT = 1, /* a fragment with its manifest */
    DHT_ITEM_RECORD = 2,   /* the record in one slot */
    DHT_ITEM_RECORDS = 3,  /* all records of a vault (only loaded) */
    DHT_ITEM_PRESENCE = 4  /* which of some blocks are here (only loaded) */
};

/* A thing in this node's own store.  Buffers are counted references. */
struct dht_item {
    enum dht_item_kind kind;
    struct hf_id vault;
    struct hf_id block;  /* FRAGMENT */
    struct hf_id host;   /* RECORD: the slot */
    uint32_t generation; /* FRAGMENT; to load, 0: the newest */
    uint32_t index;      /* FRAGMENT */
    struct hf_buffer *manifest;
    struct hf_buffer *payload; /* FRAGMENT: its bytes; RECORD: the record; RECORDS: a list
                                  of records; PRESENCE: to load, a list of ids; loaded, a
                                  list of presences (lists.h) */
};

/* A block as it was gathered: k verified fragments of one coding. */
struct dht_block {
    struct manifest manifest;
    struct hf_buffer *manifest_bytes; /* as signed */
    uint32_t piece_count;             /* manifest.shape.k */
    struct {
        struct hf_buffer *payload;
        uint32_t index;
    } pieces[CODE_FRAGMENTS_MAX];
};

void dht_block_free(struct dht_block *block); /* NULL is allowed */

/* How the holders of a block or a record answered. */
struct dht_tally {
    uint32_t wanted;   /* n of a block; holders of a record */
    uint32_t accepted; /* answers that suffice */
    uint32_t answered; /* PUT, RECORD_PUT: durable at; GET: fragments; RECORDS_GET: lists */
    uint32_t no_space, denied, silent, absent, unsure, bad;
};

/* Per block id in the answer to HAVE. */
enum dht_have { DHT_HAVE_LOST = 0, DHT_HAVE_UNKNOWN = 1, DHT_HAVE_ENOUGH = 2 };

enum dht_action_kind {
    DHT_ACTION_SEND = 1,   /* message to peer; loss is allowed */
    DHT_ACTION_LOOKUP = 2, /* the successors of key, `wanted` of them; answer: DHT_FOUND or
                              DHT_LOOKUP_FAILED with tag */
    DHT_ACTION_LOAD = 3,   /* read item; answer: DHT_LOADED with tag */
    DHT_ACTION_STORE = 4,  /* store item durably; answer: DHT_STORE_DONE with tag */
    DHT_ACTION_DONE = 5,   /* the operation that was started under tag ended with code */
    DHT_ACTION_WARN = 6    /* a human should know */
};

enum dht_warning {
    DHT_WARN_BAD_FRAGMENT =
        1, /* peer sent bytes that are not the fragment of block `key` */
    DHT_WARN_BAD_MANIFEST =
        2,                    /* peer sent a manifest of block `key` that does not verify */
    DHT_WARN_BAD_RECORD = 3,  /* peer sent a record of vault `key` that does not verify */
    DHT_WARN_RECORD_FORK = 4, /* two records of vault `key` under the same numbers; one of
                                 them came from peer */
    DHT_WARN_BAD_ANSWER = 5,  /* peer's answer makes no sense */
    DHT_WARN_DAMAGED_FRAGMENT =
        6 /* peer says that its fragment of block `key` is damaged on its disk */
};

/* Owned by whoever holds it: dht_action_done releases what is in it. */
struct dht_action {
    enum dht_action_kind kind;
    uint64_t tag;               /* LOOKUP, LOAD, STORE, DONE */
    struct hf_id peer;          /* SEND, WARN */
    struct hf_id key;           /* LOOKUP, WARN */
    uint32_t wanted;            /* LOOKUP */
    enum dht_warning warning;   /* WARN */
    struct dht_message message; /* SEND */
    struct dht_item item;       /* LOAD, STORE */

    /* DONE */
    enum hf_code code;
    struct dht_tally tally;    /* PUT, GET, RECORD_PUT, RECORDS_GET */
    uint64_t degraded;         /* FLUSH: blocks below their target */
    struct dht_block *block;   /* GET */
    struct hf_buffer *payload; /* HAVE: an enum dht_have in a byte for each id; RECORDS_GET:
                                  the list of records; RECORD_PUT: with HF_EXISTS the record
                                  that stands there */
};

void dht_action_done(struct dht_action *action);

/* A bounded queue.  Its last DHT_ACTIONS_RESERVED places are for what must not be lost. */
#define DHT_ACTIONS_RESERVED (DHT_OPERATIONS_MAX + DHT_JOBS_MAX)

struct dht_actions {
    struct dht_action *items; /* DHT_ACTIONS_MAX, a ring */
    size_t first, count;
};

HF_MUST_CHECK enum hf_code dht_actions_init(struct dht_actions *actions,
                                            struct hf_err *err);
void dht_actions_done(struct dht_actions *actions);

/* Takes over what is in *action.  Sends, lookups and warnings are dropped (and released)
 * when only the reserve is left: their operations notice by their timeouts. */
void dht_actions_push(struct dht_actions *actions, struct dht_action *action);
/* False: empty. */
bool dht_actions_pop(struct dht_actions *actions, struct dht_action *action);

#endif
