/* world.h - a ring of production chord_nodes in virtual time.
 *
 * Owns the nodes, their clocks, the network between them and the queue of what is to
 * happen.  Everything follows from the seed.  A host stands on one position or several;
 * hosts are numbered in ascending order of their ids, places of their positions (so where
 * each host has one position, it and its place have one number).  A place holds one node,
 * or none; a host starts, fails, is suspended and is reached as a whole.
 *
 * A failure of the simulator itself (no memory) and a broken promise both end the run:
 * `broken` says which.  Not thread-safe: one owner. */
#ifndef HOLDFAST_SIM_WORLD_H
#define HOLDFAST_SIM_WORLD_H

#include "chord/node.h"
#include "sim/network.h"
#include "sim/queue.h"
#include "sim/trace.h"

#define WORLD_SECOND UINT64_C(1000000) /* microseconds */
#define WORLD_MINUTE (60 * WORLD_SECOND)
#define WORLD_HOUR   (60 * WORLD_MINUTE)
#define WORLD_NEVER  UINT64_MAX

struct judge;
struct world;

struct world_options {
    uint64_t seed;
    size_t hosts;
    const uint32_t *positions; /* of each host, 1..CHORD_POSITIONS_MAX, borrowed for
                                  world_new; NULL: one each */
    struct chord_config chord; /* of every node; its seed is drawn */
    struct network_options network;
    bool encode;       /* messages are encoded and parsed again on their way */
    bool count_bytes;  /* world.bytes counts what encoding takes */
    bool judged;       /* Zave's invariant holds after every event, from world_found on */
    unsigned skew_max; /* clocks run up to so many parts of 1000 too fast or slow */
    unsigned reset;    /* of 1000 messages to a place without a node: refused aloud */
    unsigned backlog;  /* of 1000 messages to a frozen node: arrive when it thaws */
};

struct world_host {
    struct hf_id id;
    uint32_t *places; /* by index of its positions */
    uint32_t place_count;
    uint64_t started_us;
    uint64_t frozen_us; /* suspended until then; 0: it runs */
    uint64_t clock_ms;  /* added to its clock, which so starts anywhere */
    int32_t skew;       /* its clock gains so many parts of 1000 */
    bool liar;          /* world_client.tamper sees what it sends */
};

struct world_node {
    struct chord_node *node; /* NULL: there is none */
    uint32_t host;           /* whose */
    uint64_t deadline_us;    /* it wants to be ticked */
    uint64_t tick_us;        /* the tick in the queue; WORLD_NEVER: none */
};

/* How a lookup ended. */
struct world_answer {
    size_t asker;
    uint64_t user; /* as given to world_lookup */
    struct hf_id key;
    uint64_t started_us;
    unsigned questions; /* asked on the way */
    unsigned answers;   /* of those, answered */
    unsigned hops;      /* questions, those that check the answer against a roster too */
    unsigned timeouts;  /* of those, unanswered */
    unsigned path;      /* peers visited, the owner included (Stoica 2001) */
    bool found;
    const struct chord_peer *peers; /* the key's successors; for the call only */
    size_t peer_count;
};

/* The scenario's side.  None of these may step a node: world_after(world, 0, ...) is for
 * that.  Each may be NULL. */
struct world_client {
    void *context;
    void (*on_timer)(struct world *world, void *context, uint64_t what);
    void (*on_answer)(struct world *world, void *context, const struct world_answer *);
    /* world.heard is what the liar answers.  False: it says nothing. */
    bool (*tamper)(struct world *world, void *context, size_t from,
                   struct chord_message *message);
};

/* What becomes of a host. */
enum world_change { WORLD_STARTED, WORLD_CRASHED, WORLD_THAWED };

/* What else runs on the hosts, beside routing (storage.h): told of what happens to them,
 * and of what it has posted. */
struct world_service {
    void *context;
    void (*on_host)(struct world *world, void *context, size_t host,
                    enum world_change change);
    void (*on_parcel)(struct world *world, void *context, size_t host, void *body);
    void (*release)(void *body); /* one that is not delivered any more */
};

struct world_lookup {
    uint32_t asker; /* WORLD_NOBODY: free */
    uint32_t next_free;
    uint32_t last; /* who answered last */
    unsigned questions, answers;
    uint64_t user, started_us;
    struct hf_id key;
};

#define WORLD_NOBODY UINT32_MAX

struct world {
    struct world_options options;
    struct world_client client;
    struct world_service service; /* all zero: there is none */
    struct chord_peer *peers;     /* of all places, ascending: a roster of everybody */
    struct world_node *nodes;
    struct world_host *hosts;
    uint32_t *host_places;
    size_t host_count;
    size_t count, live;    /* places; of them with a node, frozen or not */
    uint32_t *by_position; /* hash table */
    size_t by_position_size;
    struct network network;
    struct queue queue;
    struct draw draw;
    uint64_t now_us;
    struct world_lookup *lookups;
    size_t lookup_count, lookup_capacity;
    uint32_t lookup_free;
    struct judge *judge; /* NULL: not judged */
    struct trace trace;  /* of all that was delivered, and when */
    uint64_t steps, messages, bytes;
    const struct chord_message *heard; /* what the step under way is about, or NULL */
    const char *broken;                /* NULL: all is well; else why the run ended */
    size_t broken_place;               /* whose step it was; WORLD_NOBODY: nobody's */
    struct chord_output *out;
};

/* Hosts with ids drawn from the seed, no node anywhere.  NULL: no memory. */
struct world *world_new(const struct world_options *options,
                        const struct world_client *client);
void world_free(struct world *world);

/* ---- time ---- */

/* Runs for so long, or until the world breaks. */
void world_run(struct world *world, uint64_t duration_us);
/* client.on_timer(what) in so long. */
void world_after(struct world *world, uint64_t delay_us, uint64_t what);
/* service.on_parcel(host, body) in so long, whatever became of the host; it owns the body
 * then. */
void world_post(struct world *world, uint64_t delay_us, size_t host, void *body);
/* What the clock of a live host shows; and the first moment at which it shows that. */
uint64_t world_local_ms(const struct world *world, size_t host);
uint64_t world_true_us(const struct world *world, size_t host, uint64_t local_ms);
/* Ends the run; the first reason counts.  `why` is a constant string. */
void world_break(struct world *world, const char *why);

/* From now on Zave's invariant may break. */
void world_judge_no_more(struct world *world);

/* ---- what happens to hosts ---- */

/* Nodes of its own at its places, where there are none, with a clock of its own; they are
 * ALONE. */
void world_start(struct world *world, size_t host);
/* Tells them of a contact, a place, to join through. */
void world_join(struct world *world, size_t host, size_t contact);
/* `peers` stay the caller's and must live as long as the nodes have them. */
void world_roster(struct world *world, size_t host, const struct chord_peer *peers,
                  size_t count);
/* It is gone without a word. */
void world_crash(struct world *world, size_t host);
/* It says that it stops, and is gone. */
void world_leave(struct world *world, size_t host);
/* Nothing reaches it and it does nothing for so long. */
void world_freeze(struct world *world, size_t host, uint64_t duration_us);
/* It runs again, from now on. */
void world_thaw(struct world *world, size_t host);
/* Gives the node at `place` an event; now_ms is filled in. */
void world_step(struct world *world, size_t place, struct chord_event *event);

/* Ends in one client.on_answer with this `user`, unless the asker crashes before. */
void world_lookup(struct world *world, size_t asker, const struct hf_id *key,
                  uint32_t wanted, uint64_t user);

/* ---- looking at it ---- */

/* Whose place it is. */
size_t world_host_of(const struct world *world, size_t place);
bool world_host_is_live(const struct world *world, size_t host);
/* Of a host's places the one whose node knows most about the key: where the daemon begins.
 */
size_t world_nearest(const struct world *world, size_t host, const struct hf_id *key);
bool world_is_live(const struct world *world, size_t place);
/* Live, not frozen, and a member of a ring. */
bool world_is_member(const struct world *world, size_t place);
/* WORLD_NOBODY: no place is there. */
size_t world_place_of(const struct world *world, const struct hf_id *position);
/* First place at or clockwise after key. */
size_t world_place_at(const struct world *world, const struct hf_id *key);
/* The first live place at or after key; there is one. */
size_t world_owner(const struct world *world, const struct hf_id *key);
/* A live place; there is one. */
size_t world_random_live(struct world *world);
/* All live nodes are members with exactly the right predecessor and successor list. */
bool world_is_ideal(const struct world *world);
/* Of an answer: its first peer that is live, or WORLD_NOBODY. */
size_t world_first_live(const struct world *world, const struct world_answer *answer);

/* Calls `see` with every message that is under way. */
void world_each_message(const struct world *world, void *context,
                        void (*see)(void *context, size_t to,
                                    const struct chord_message *message));

#endif
