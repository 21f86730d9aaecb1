/* dht_net.h - a ring of dht nodes in virtual time, with faults; deterministic by seed.
 *
 * Every message goes through the codec; stores are in memory.  Node i's id is chosen so
 * that ids ascend with i.  Failures of the helper itself end the test. */
#ifndef HOLDFAST_TESTS_DHT_NET_H
#define HOLDFAST_TESTS_DHT_NET_H

#include "base/hash.h"
#include "dht/node.h"
#include "test.h"

#define NET_NODES_MAX     96u
#define NET_FRAGMENTS_MAX 192u
#define NET_TAGS_MAX      256u
#define NET_WARNINGS_MAX  64u

enum net_fault {
    NET_HONEST,
    NET_ALTERS,    /* flips a bit in each fragment that it loads */
    NET_DENIES,    /* says that it has nothing */
    NET_FULL,      /* no space for anything */
    NET_FORGETFUL, /* its store was wiped: empty, and it knows that */
    NET_SWAPS,     /* gives the right bytes under another index */
    NET_DAMAGED    /* says that its fragments are damaged, and that records may be */
};

struct net_fragment {
    struct hf_id vault, block;
    uint32_t generation, index;
    struct hf_buffer *manifest, *payload;
};

struct net_record {
    struct hf_id vault, host;
    struct hf_buffer *bytes;
};

struct net_node {
    struct hf_id id;
    struct dht_node *dht;
    bool dead;
    uint64_t slow_ms; /* added to the delay of what it sends */
    uint64_t rate;    /* bytes of payload that it can send in a ms; 0: any number */
    uint64_t line_ms; /* its line is busy until then */
    enum net_fault fault;
    struct net_fragment fragments[NET_FRAGMENTS_MAX];
    size_t fragment_count;
    struct net_record records[16];
    size_t record_count;
    uint64_t sent, timer_ms;
    uint64_t fetches;        /* FETCH that it sent */
    uint64_t asked;          /* FETCH that came to it */
    uint64_t open, open_max; /* fragments asked for and not yet there */
    uint64_t received;       /* bytes of fragments */
};

/* The end of an operation. */
struct net_outcome {
    unsigned times;
    uint64_t at_ms;
    struct dht_action action; /* the last one; owned */
};

struct net_warning {
    size_t by;
    struct hf_id peer;
    enum dht_warning warning;
};

struct net_event; /* one message, completion or timer on its way */

struct net {
    struct net_node nodes[NET_NODES_MAX];
    struct dht_member members[NET_NODES_MAX];
    size_t count;
    uint64_t now_ms, random, serial;
    unsigned loss, duplicates; /* of 1000 messages */
    uint64_t delay_min_ms, delay_max_ms;
    bool distances; /* lookups tell how far away each node is */
    bool links;     /* nodes are told when a link breaks or stands again */
    struct net_event *events;
    struct net_outcome outcomes[NET_TAGS_MAX];
    uint64_t next_tag;
    struct net_warning warnings[NET_WARNINGS_MAX];
    size_t warning_count;
    struct hf_sha256 trace;
    struct hf_signer *signer;
    struct coder *coder;
    struct hf_id vault;
};

struct net *net_new(size_t count, uint64_t seed);
void net_free(struct net *net);

/* Tells everybody net->members again. */
void net_tell_members(struct net *net);
void net_kill(struct net *net, size_t node);
void net_revive(struct net *net, size_t node);
/* Sets the fault; a forgetful node loses what it had. */
void net_fault(struct net *net, size_t node, enum net_fault fault);

/* Gives the event to a node and does what it asks. */
void net_step(struct net *net, size_t node, const struct dht_event *event);
/* Runs until nothing happens any more, or for at most `ms`. */
void net_run(struct net *net, uint64_t ms);
/* Runs until the operation has ended; fails after 30 minutes. */
const struct net_outcome *net_wait(struct net *net, uint64_t tag);

/* A coded and signed block. */
struct net_block {
    struct hf_id id;
    struct manifest manifest;
    struct hf_buffer *manifest_bytes;
    struct hf_buffer *fragments[CODE_FRAGMENTS_MAX];
    uint8_t *bytes;
    size_t size;
};

/* A block of 8 leaves, its content made from `content`, coded k of n. */
struct net_block *net_block_new(struct net *net, size_t source, uint32_t content,
                                uint32_t k, uint32_t n, uint32_t generation);
void net_block_free(struct net_block *block);

/* Start an operation at a node; return its tag. */
uint64_t net_put(struct net *net, size_t node, const struct net_block *block);
uint64_t net_get(struct net *net, size_t node, const struct net_block *block);
uint64_t net_flush(struct net *net, size_t node);
uint64_t net_have(struct net *net, size_t node, const struct hf_id *ids, size_t count);
uint64_t net_record_put(struct net *net, size_t node, struct hf_buffer *record);
uint64_t net_records_get(struct net *net, size_t node);

/* A signed record of host `host` (a byte), with a payload of one byte. */
struct hf_buffer *net_record(struct net *net, uint8_t host, uint32_t incarnation,
                             uint64_t seq, uint8_t payload);

/* Fails unless the get ended with the very bytes of the block. */
void net_check_block(struct net *net, const struct net_outcome *outcome,
                     const struct net_block *block);
/* How many nodes hold a fragment of the block, and how many distinct indices. */
size_t net_holders(const struct net *net, const struct net_block *block);
size_t net_indices(const struct net *net, const struct net_block *block);
/* How often node `by` warned so of `peer`. */
size_t net_warned(const struct net *net, size_t by, size_t peer, enum dht_warning warning);
/* Node that holds fragment `index` (the first), or SIZE_MAX. */
size_t net_holder_of(const struct net *net, const struct net_block *block, uint32_t index);

#endif
