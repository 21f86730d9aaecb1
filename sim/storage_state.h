/* storage_state.h - what storage is made of, for sim/storage*.c alone. */
#ifndef HOLDFAST_SIM_STORAGE_STATE_H
#define HOLDFAST_SIM_STORAGE_STATE_H

#include "sim/storage.h"

enum arrival_kind {
    ARRIVAL_MESSAGE, /* from peer */
    ARRIVAL_BROKEN,  /* the link to peer */
    ARRIVAL_RETRY,   /* of that link */
    ARRIVAL_LOADED,
    ARRIVAL_STORED,
    ARRIVAL_FOUND,
    ARRIVAL_TICK
};

/* A lookup's answer: distinct nodes. */
struct found {
    struct hf_id ids[CHORD_FOUND_MAX];
    uint32_t away_ms[CHORD_FOUND_MAX];
    size_t count;
};

/* What a host is told in a moment. */
struct arrival {
    enum arrival_kind kind;
    uint32_t peer;
    uint64_t incarnation; /* of the host, but for messages: of no other is it */
    uint64_t tag;
    uint64_t at_us; /* RETRY, TICK: another may have taken its place */
    enum hf_code code;
    struct dht_message message;
    struct dht_item item;
    struct found *found; /* owned */
};

/* A link that the host believes broken; all zero: it does not. */
struct broken_link {
    uint64_t wait_us, retry_us;
};

struct host {
    struct dht_node *dht; /* NULL: it was neither asked nor did it ask since it started */
    bool has_members;
    bool wiped;
    uint64_t incarnation;
    uint64_t tick_us;          /* the tick in the queue; WORLD_NEVER: none */
    struct broken_link *links; /* by host; NULL: none ever broke */
    struct disk disk;
};

struct storage {
    struct world *world;
    struct storage_options options;
    struct storage_client client;
    struct host *hosts;
    struct dht_member *members;
    size_t count;
    struct draw draw;
};

/* Gives the event to the host's dht_node and does what it asks; makes the node first where
 * there is none. */
void storage_handle(struct storage *storage, size_t host, const struct dht_event *event);

/* For world_post; all but the kind and the incarnation are zero.  NULL: no memory, and the
 * world is broken. */
struct arrival *storage_arrival_new(struct storage *storage, enum arrival_kind kind,
                                    size_t host);
/* A struct arrival. */
void storage_arrival_free(void *body);

#endif
