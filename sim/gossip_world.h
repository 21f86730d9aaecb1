/* gossip_world.h - many nodes that gossip about a roster, in virtual time.
 *
 * The decisions are those of membership/spread.h: one state machine a node.  Owns them,
 * their links, the network between them and the queue of what is to happen.  What they
 * spread is the business of a table of functions: numbers (gossip_numbers.h), or real
 * rosters in a test.  Everything follows from the seed.
 *
 * Running out of memory is sticky: `broken` says so, and nothing happens any more.  Looks
 * may be taken at every field.  Not thread-safe: one owner. */
#ifndef HOLDFAST_SIM_GOSSIP_WORLD_H
#define HOLDFAST_SIM_GOSSIP_WORLD_H

#include "membership/spread.h"
#include "sim/network.h"
#include "sim/queue.h"
#include "sim/trace.h"

/* Facts on their way. */
struct gossip_bundle {
    uint8_t *bytes; /* malloc'd; whoever has the bundle frees them */
    size_t size;
    size_t count; /* of facts, where somebody counts them */
};

/* What the nodes know, by place. */
struct gossip_facts {
    void *context; /* owned: `free` releases it */
    struct spread_knowledge (*known)(const void *context, size_t at);
    /* What `at` took after revision `since`.  False: no memory, and no bytes. */
    bool (*encode)(void *context, size_t at, uint64_t since, struct gossip_bundle *bundle);
    void (*merge)(void *context, size_t at, const struct gossip_bundle *bundle);
    /* The seq of the newest announcement of `of` that `at` knows.  NULL: announcements
     * hold no addresses, and so need not be looked at when news are passed on. */
    uint64_t (*announced)(const void *context, size_t at, size_t of);
    void (*free)(void *context);
};

struct gossip_world_options {
    uint64_t seed;
    size_t nodes; /* up to 2^24 */
    struct network_options network;
    uint64_t round_us;   /* mean, jittered by half */
    uint64_t pass_on_us; /* news wait for more before they are passed on */
    uint64_t connect_us; /* until an attempt to reach nobody has failed */
};

struct gossip_node {
    struct hf_id id;
    struct spread *spread;
    bool alive;
    unsigned side;      /* only nodes of one side reach each other */
    size_t links;       /* that stand */
    uint64_t depth;     /* messages one after another that brought it what it knows */
    size_t readdressed; /* times that it was asked to try somebody's new address */
    uint64_t round_at_us, pass_at_us; /* the next; 0: no news wait */
};

struct gossip_world {
    struct gossip_world_options options;
    struct gossip_facts facts;
    struct gossip_node *nodes; /* in ascending order of id */
    size_t count;
    uint64_t now_us;
    const char *broken;
    struct network network; /* its losses may be changed at any time */
    struct trace trace;
    /* Sent since gossip_world_count. */
    uint64_t digests, bundles, told; /* `told` facts in all bundles */

    uint64_t count_number; /* of gossip_world_count */
    uint64_t depth;        /* of the message that is being delivered */
    uint8_t *linked;       /* bit [a * count + b] */
    struct queue queue;
    struct draw draw;
    size_t apart[2]; /* places that last knew different things */
};

/* Nodes with these ids (ascending, options->nodes of them), alive, none linked.  Takes the
 * facts over, released here when it fails: NULL, no memory. */
struct gossip_world *gossip_world_new(const struct gossip_world_options *options,
                                      const struct hf_id *ids,
                                      const struct gossip_facts *facts);
void gossip_world_free(struct gossip_world *world); /* NULL is allowed */

/* ---- what happens to nodes ---- */

/* The facts of the node at `at` were changed from outside: its spread is told. */
void gossip_world_told(struct gossip_world *world, size_t at);
/* Its links break, and it is silent; or it is there again, as it was. */
void gossip_world_sleep(struct gossip_world *world, size_t at);
void gossip_world_wake(struct gossip_world *world, size_t at);
/* All start anew with the facts that they have saved. */
void gossip_world_restart(struct gossip_world *world);
/* Breaks the links between sides. */
void gossip_world_cut(struct gossip_world *world);

/* ---- time ---- */

/* Counts of messages and depths start at 0. */
void gossip_world_count(struct gossip_world *world);
void gossip_world_run(struct gossip_world *world, uint64_t duration_us);
/* Until all that live know the same, to the event; returns how long that took, UINT64_MAX
 * when it took more than max_us or the world is broken. */
uint64_t gossip_world_until_agreed(struct gossip_world *world, uint64_t max_us);
/* Nothing happened meanwhile: the machines slept, say. */
void gossip_world_skip(struct gossip_world *world, uint64_t duration_us);

/* ---- looking at it ---- */

/* All that live know the same; so, as each knows its own newest announcement, they know
 * those of all that live. */
bool gossip_world_agrees(struct gossip_world *world);
/* The greatest depth of those that live. */
uint64_t gossip_world_depth(const struct gossip_world *world);

#endif
