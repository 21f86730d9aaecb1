/* join.h - a node's way into a ring, the first time and again.
 *
 * Zave 2017, Join: look up the predecessor m, copy m's whole list from one answer, hear
 * from its first entry, and only then become a member.  For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_JOIN_H
#define HOLDFAST_CHORD_JOIN_H

#include "chord/state.h"

/* After this many rounds in which no contact was a member of a ring, a node that may do
 * so founds it anew (join_start). */
#define CHORD_JOIN_ROUNDS 3u

/* A node that has just been started, or woke up, waits so many rpc_timeout_ms before it
 * joins.  Its neighbours may be about to give up what it was before: the last try of each
 * waits for one, and a try that comes later is answered (REFUSED).  So nobody drops a node
 * that is a member again, even when one question gets lost. */
#define CHORD_JOIN_WAIT 2u

/* One more contact; the oldest makes room. */
void join_add_contact(struct chord_node *node, const struct chord_peer *peer);

/* Fills join.contacts with unsuspected peers: neighbours, fingers, some of the roster. */
void join_collect_contacts(struct chord_node *node);

/* Drops all state and begins to join through join.contacts, over and over.  When none is
 * a member (a ring all of whose nodes were restarted or suspended at once), a node with a
 * large enough roster takes its place in the roster's order; one without that
 * `was_member` takes the contacts that live for its neighbours, or is alone when there
 * are none; any other goes on trying. */
void join_start(struct chord_node *node, bool was_member);

/* What became of the lookup: m is the predecessor-to-be; or the contact was of no use
 * (with `again`: it will be, in a moment). */
void join_found(struct chord_node *node, const struct chord_peer *m);
void join_contact_failed(struct chord_node *node, bool again);
/* `peer` lives, but is no member. */
void join_refused(struct chord_node *node, const struct chord_peer *peer);

/* What became of the questions that follow. */
void join_state_arrived(struct chord_node *node, const struct chord_message *state);
void join_query_failed(struct chord_node *node, bool again);
void join_finish(struct chord_node *node);

void join_tick(struct chord_node *node);
uint64_t join_deadline(const struct chord_node *node);

#endif
