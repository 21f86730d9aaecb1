/* node.h - one node of the Chord ring, as a state machine without I/O.
 *
 * The caller owns sockets, clock and randomness.  It reports what happened with
 * chord_step and then does what `struct chord_output` asks.  The daemon and the
 * simulator drive the very same code.
 *
 * Join, stabilise, rectify: Zave, "Reasoning about identifier spaces: how to make Chord
 * correct", IEEE TSE 43(12), 2017.  Lookup and fingers: Stoica et al., "Chord", IEEE/ACM
 * ToN 11(1), 2003, sections IV-B to IV-E.
 *
 * How a node stands to its ring:
 *
 *   ALONE    a ring of its own.  A node that joins through it makes it a ring of two:
 *            its notification is taken as predecessor and, being all there is, as
 *            successor.  Rings of up to r members without a roster hold lists of all the
 *            others; Zave's proof begins at r + 1 members.
 *   JOINING  looking for its place; answers REFUSED, its lookups fail.
 *   RING     Zave's ring: successor list, predecessor, fingers.
 *   ORDER    the roster has fewer than 2(r + 1) members, too few for her proof: the
 *            roster's own order gives neighbours and every lookup, without a message.
 *   LEFT     silent for ever.
 *
 * With a roster of at least 2(r + 1) members it is Zave's ring, and the roster is its
 * location table: the first member at or after a key is asked and confirms, so the usual
 * lookup is one hop; a live member that stands between this node and its successor is
 * tried as a better successor (which heals rings that were split).  A node that passes
 * from ORDER to RING takes its first lists from the roster; one that is ALONE when it
 * first gets so large a roster joins through the members on it.  All this works without
 * any roster too, by successor lists and fingers.
 *
 * Before a silent neighbour counts as dead, another member is asked whether it can reach it
 * (WITNESS); three times at most, for a neighbour that only others can reach is of no use.
 *
 * What the proof asks of the caller: a node that fails stays silent until it joins again
 * (a restarted process is a new chord_node, which joins when nobody can still be about to
 * give up the old one: join.h); fewer than r successive members fail within
 * one failure timeout; more than r + 1 members remain.  A node that was not stepped for
 * longer than CHORD_FAILURE_MS (it was suspended: the clock must go on meanwhile) may have
 * been given up by its neighbours: it drops its state and joins again.
 *
 * Fingers are chosen among the up to 16 first members of their interval, the nearest by
 * round trip or coordinate (Gummadi et al., SIGCOMM 2003; Dabek et al., NSDI 2004).
 *
 * With a roster, what a lookup is told is compared with it: members that stand among the
 * wanted successors and are not named are asked themselves (PING), so that a member that
 * lies about its successors hides nobody.
 *
 * Not thread-safe: one owner.  Allocates only in chord_node_new. */
#ifndef HOLDFAST_CHORD_NODE_H
#define HOLDFAST_CHORD_NODE_H

#include "base/id.h"
#include "chord/message.h"
#include "chord/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHORD_ATTEMPTS    4u  /* tries of a question before its silence means failure */
#define CHORD_MISSES_MAX  48u /* hops of one lookup that may fail or be rejected */
#define CHORD_HOPS_MAX    64u /* questions of one lookup */
#define CHORD_LOOKUPS_MAX 32u /* lookups under way at once */
#define CHORD_FOUND_MAX   34u /* peers of one CHORD_FOUND: 2 * (CHORD_SUCCESSORS_MAX + 1) */
#define CHORD_OUTPUT_MAX  384u /* actions that one step can ask for */
#define CHORD_FINGERS_MAX 48u  /* over the 48 largest intervals: rings of up to 2^48 */

/* The shortest time in which a silent node is given up: tries of a fifth, two fifths, four
 * fifths and the whole of rpc_timeout_ms. */
#define CHORD_FAILURE_MS(rpc_timeout_ms) ((rpc_timeout_ms)*12 / 5)

struct chord_node; /* opaque */

struct chord_config {
    uint64_t stabilise_ms;      /* mean interval, >= 20; each one is jittered by half; a
                                   twentieth of it after a change */
    uint64_t rpc_timeout_ms;    /* of one attempt at most, >= 10: peers whose round trips
                                   are known are waited for by them (timing.h) */
    uint64_t lookup_timeout_ms; /* of a whole lookup, > 0 */
    uint32_t successors;        /* r: 2..CHORD_SUCCESSORS_MAX */
    uint32_t lookups;           /* room for lookups under way: 2..CHORD_LOOKUPS_MAX; a
                                   quarter (at least one) may go to fingers */
    uint64_t seed;              /* of the node's own generator */
};

enum chord_mode {
    CHORD_MODE_ALONE,
    CHORD_MODE_JOINING,
    CHORD_MODE_RING,
    CHORD_MODE_ORDER,
    CHORD_MODE_LEFT
};

enum chord_event_kind {
    CHORD_MESSAGE,    /* .message arrived over a link authenticated as .peer's node */
    CHORD_TICK,       /* the deadline from the last step has passed */
    CHORD_LOOKUP,     /* find .wanted successors of .key, to be reported under .tag */
    CHORD_JOIN,       /* join the ring that .peer is a member of.  JOINING: one more
                          contact; other modes than that and ALONE take no notice */
    CHORD_LEAVE,      /* tell the neighbours and stop */
    CHORD_ROSTER,     /* .peers[0..peer_count) are the members believed live */
    CHORD_LENGTH,     /* the ring's r is .wanted now, at most CHORD_SUCCESSORS_MAX; one
                          that is not longer has no effect: lists that shrink at any
                          moment break the invariant (tests/model) */
    CHORD_UNREACHABLE /* the link layer gives .peer's node up for now */
};

struct chord_event {
    enum chord_event_kind kind;
    uint64_t now_ms;               /* monotonic; never earlier than in the last event */
    const struct chord_peer *peer; /* borrowed for the step, as is .message */
    const struct chord_message *message;
    struct hf_id key;
    uint64_t tag;
    uint32_t wanted; /* 1..CHORD_SUCCESSORS_MAX; beyond r it gives r or r + 1 */
    /* CHORD_ROSTER: in ascending order of position, this node included; borrowed until the
     * next CHORD_ROSTER or chord_node_free.  None: there is no roster (any longer). */
    const struct chord_peer *peers;
    size_t peer_count;
};

enum chord_action_kind {
    CHORD_SEND,       /* transmit .message to .peer; loss is allowed */
    CHORD_FOUND,      /* lookup .tag ended: .peers are key's successors, nearest first.  In
                         roster order they are the whole roster, clockwise from the key */
    CHORD_FAILED,     /* lookup .tag ended without an answer */
    CHORD_NEIGHBOURS, /* predecessor or successor list changed: placement may too */
    CHORD_WRONG       /* .peer's answer to a lookup cannot be true */
};

struct chord_action {
    enum chord_action_kind kind;
    uint64_t tag;
    struct chord_peer peer;
    uint32_t hops, timeouts, rejected; /* FOUND, FAILED: questions; of them unanswered; and
                                          answers that could not be true */
    const struct chord_peer *peers;    /* in the output; valid until its next use */
    size_t peer_count;
    const struct chord_message *message; /* in the output, likewise */
};

/* The caller's, about 800 KiB: one for all nodes that one thread drives. */
struct chord_output {
    struct chord_action actions[CHORD_OUTPUT_MAX];
    size_t action_count;
    uint64_t deadline_ms; /* send CHORD_TICK no later than this; UINT64_MAX: none */
    struct chord_message messages[CHORD_OUTPUT_MAX];
    struct chord_peer found[CHORD_FOUND_MAX];
};

/* A node that is alone in its ring, or NULL when out of memory.  `self` and `config` are
 * copied. */
struct chord_node *chord_node_new(const struct chord_peer *self,
                                  const struct chord_config *config);

/* Never fails: a message that makes no sense is counted and ignored.  A lookup ends in
 * exactly one CHORD_FOUND or CHORD_FAILED, perhaps in the step that starts it. */
void chord_step(struct chord_node *node, const struct chord_event *event,
                struct chord_output *out);

/* False when this node's own state breaks the ring's rules (tests, simulator): lists
 * ordered clockwise, without itself, without doubles, at most r long; a member has a
 * successor. */
bool chord_node_check(const struct chord_node *node);

enum chord_mode chord_node_mode(const struct chord_node *node);
/* False: it has none. */
bool chord_node_predecessor(const struct chord_node *node, struct chord_peer *predecessor);
/* The successor list, nearest first; returns its length. */
size_t chord_node_successors(const struct chord_node *node,
                             struct chord_peer successors[static CHORD_SUCCESSORS_MAX]);
/* Its distinct fingers, nearest first; returns their count. */
size_t chord_node_fingers(const struct chord_node *node,
                          struct chord_peer fingers[static CHORD_FINGERS_MAX]);
/* Where it stands in the network. */
struct chord_coordinate chord_node_coordinate(const struct chord_node *node);

/* The expected round trip to a peer, by its own record or by coordinates; UINT64_MAX:
 * nothing is known. */
uint64_t chord_node_expected_us(const struct chord_node *node,
                                const struct chord_peer *peer);

/* Since chord_node_new. */
struct chord_statistics {
    uint64_t ignored;                  /* messages that made no sense */
    uint64_t lookups, lookups_failed;  /* of the caller, ended */
    uint64_t hops, timeouts, rejected; /* of those: questions; of them unanswered; answers
                                          that could not be true */
    uint64_t silences;                 /* neighbours that were believed dead */
    uint64_t pardons;                  /* neighbours that only a witness still reached */
};

void chord_node_statistics(const struct chord_node *node,
                           struct chord_statistics *statistics);

/* NULL is allowed. */
void chord_node_free(struct chord_node *node);

#endif
