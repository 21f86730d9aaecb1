/* witness.h - looking for a peer on behalf of another member that hears nothing from it.
 *
 * For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_WITNESS_H
#define HOLDFAST_CHORD_WITNESS_H

#include "chord/state.h"

/* Tries of the witness; the asker waits for CHORD_WITNESS_WAIT times rpc_timeout_ms. */
#define CHORD_WITNESS_TRIES 2u
#define CHORD_WITNESS_WAIT  3u

/* Another member's question.  With too many under way it gets no answer. */
void witness_asked(struct chord_node *node, const struct chord_message *question);
/* A PONG or REFUSED that may be for one of them.  False: it is not. */
bool witness_heard(struct chord_node *node, const struct chord_message *message);
/* The link layer gave up `peer`, or it said that it stops. */
void witness_unreachable(struct chord_node *node, const struct chord_peer *peer,
                         enum chord_scope scope);
void witness_tick(struct chord_node *node);
uint64_t witness_deadline(const struct chord_node *node);

#endif
