/* lookup.h - iterative lookups, and the fingers that they keep right.
 *
 * Stoica 2003, IV-D, iterative: the asker walks from peer to peer, so that it can see that
 * every hop comes strictly closer to the key.  For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_LOOKUP_H
#define HOLDFAST_CHORD_LOOKUP_H

#include "chord/state.h"

/* A lookup for the caller of chord_step. */
void lookup_start_user(struct chord_node *node, uint64_t tag, const struct hf_id *key,
                       uint32_t wanted);
/* A lookup of this node's predecessor-to-be, by way of `contact`.  Ends in join_found or
 * join_contact_failed.  The node is JOINING, so no other lookup is under way. */
void lookup_start_join(struct chord_node *node, const struct chord_peer *contact);
/* Looks up the successors of a finger's start: ends in finger_found, or in nothing. */
void lookup_start_finger(struct chord_node *node, unsigned finger, const struct hf_id *key);

/* An answer (NEXT, REFUSED) that may belong to a lookup.  False: to none. */
bool lookup_answer(struct chord_node *node, const struct chord_message *message);
/* A PONG or REFUSED of a member that an answer had left out.  False: of none. */
bool lookup_pong(struct chord_node *node, const struct chord_message *message);
/* The link layer gave up the peer's node, or the peer stops. */
void lookup_unreachable(struct chord_node *node, const struct chord_peer *peer,
                        enum chord_scope scope);
/* Acts on deadlines that have passed. */
void lookup_tick(struct chord_node *node);
uint64_t lookup_deadline(const struct chord_node *node);
/* Ends all lookups without an answer. */
void lookup_fail_all(struct chord_node *node);

#endif
