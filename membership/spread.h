/* spread.h - whom to tell what of the roster, and whom to call: the decisions of gossip.
 *
 * Push and pull (Demers 1987, anti-entropy): on link up, after news, and each round with
 * one at random, two members compare the digests of all that they know; who sees a
 * difference tells what the other was not told before.  Facts are only ever added, so that
 * ends when both know the same, and news reach everybody in O(log N) steps.
 *
 * Rings of up to SPREAD_LINKED_MAX members keep links between all.  In larger ones each
 * calls others at random until it has so many; from then on those alone that it has
 * missed, by which the parts of a ring that was cut find one another again.  There who has
 * not been called is believed to be there until a call fails: the protocols above open a
 * link to whomever they need.
 *
 * A state machine: it is told what happened, and asks for actions.  No I/O, no clock, no
 * randomness of its own; it knows of facts only how many there are (a revision) and their
 * digest, and holds no more than a line for each member.  One owner. */
#ifndef HOLDFAST_MEMBERSHIP_SPREAD_H
#define HOLDFAST_MEMBERSHIP_SPREAD_H

#include "base/err.h"
#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPREAD_LINKED_MAX 64u
#define SPREAD_CALLS_MAX  4u  /* in a larger ring, called in one round */
#define SPREAD_FANOUT     16u /* in a larger ring, of those linked, told of news at once */
#define SPREAD_WHOLE_MAX  4u  /* in a larger ring, told everything in one round */
#define SPREAD_AGAIN_MS   10000u /* before one who still differs is told everything */

struct spread; /* opaque */

/* What a node knows: the revision is larger after each piece of news, the digest the same
 * for two nodes exactly when they know the same. */
struct spread_knowledge {
    uint64_t revision;
    struct hf_id digest;
};

/* A member, as the roster has it. */
struct spread_member {
    struct hf_id node;
    bool evicted;
    bool up;            /* a link to it stands */
    uint64_t announced; /* seq of its announcement; 0: none */
};

/* How a member was seen. */
struct spread_peer {
    struct hf_id node;
    bool up;
    bool missed;       /* the last attempt to reach it failed, or its link broke */
    uint64_t since_ms; /* of the last change of `up`, and where not all are linked of
                          `missed`; at first: when it became known */
    uint64_t told_revision, told_ms; /* on this link: it knows all up to that; 0: nothing */
    struct hf_id heard;              /* the last digest that it sent */
    bool evicted;
    uint64_t announced;
};

enum spread_action_kind {
    SPREAD_DIGEST,    /* send spread_known's digest to .node */
    SPREAD_ROSTER,    /* send .node the facts taken after revision .since */
    SPREAD_CONNECT,   /* open a link to .node, unless one was tried just before */
    SPREAD_READDRESS, /* .node has announced anew: its addresses may be tried at once */
    SPREAD_DROP,      /* close the link to .node: it was evicted */
    SPREAD_NEWS       /* save what is known and call spread_pass_on, in a moment */
};

struct spread_action {
    enum spread_action_kind kind;
    struct hf_id node;
    uint64_t since;
};

/* The node `self`, which knows `known` and no member yet.  NULL: no memory. */
struct spread *spread_new(const struct hf_id *self, const struct spread_knowledge *known);
void spread_free(struct spread *spread); /* NULL is allowed */

/* The next action that the last event asks for; all are to be taken before the next event
 * (what does not fit is lost then).  NULL: none.  Borrowed until the next call of any
 * function. */
const struct spread_action *spread_next(struct spread *spread);

/* ---- events; now_ms is monotonic, random is drawn for the event ---- */

/* All members, in ascending order of node id, this node and the evicted included; who was
 * there before keeps its history.  HF_NO_MEMORY: the old ones stay. */
HF_MUST_CHECK enum hf_code spread_set_members(struct spread *spread,
                                              const struct spread_member *members,
                                              size_t count, uint64_t now_ms,
                                              struct hf_err *err);
/* What this node knows now; news when the revision is larger. */
void spread_knows(struct spread *spread, const struct spread_knowledge *known);
/* The news are saved: they may be told. */
void spread_pass_on(struct spread *spread, uint64_t random);
/* A link to `node` stands (anew), broke, or could not be made. */
void spread_up(struct spread *spread, const struct hf_id *node, uint64_t now_ms);
void spread_down(struct spread *spread, const struct hf_id *node, uint64_t now_ms);
/* The link to `node` was put aside, because others are needed more; it is there. */
void spread_rest(struct spread *spread, const struct hf_id *node, uint64_t now_ms);
/* `node` says that this is the digest of all that it knows. */
void spread_compare(struct spread *spread, const struct hf_id *node,
                    const struct hf_id *digest, uint64_t now_ms);
/* Every two seconds or so, not in step with the others. */
void spread_round(struct spread *spread, uint64_t random);

/* ---- looking at it ---- */

const struct spread_knowledge *spread_known(const struct spread *spread);
/* NULL: no member, or this node itself.  Borrowed until spread_set_members. */
const struct spread_peer *spread_peer(const struct spread *spread,
                                      const struct hf_id *node);
/* `node` is a member that is believed to be there: linked, or, where not all are linked,
 * announced and not missed.  False for this node itself. */
bool spread_believes(const struct spread *spread, const struct hf_id *node);

#endif
