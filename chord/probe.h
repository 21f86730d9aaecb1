/* probe.h - questions of which only the round trip matters: where this node stands.
 *
 * What a ring says to keep itself goes to few and mostly near peers.  Coordinates that know
 * only those say little of everybody else, and a new member would need a hundred answers to
 * be as well placed as the others.  So a node whose coordinate is young pings members at
 * random, one after the other, each of them once; a settled one does so now and then, which
 * keeps the far ones in the mix (Dabek et al., SIGCOMM 2004, section 4.2).  Members at
 * random are those of the roster; or, as positions are random, whoever follows a finger.
 *
 * For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_PROBE_H
#define HOLDFAST_CHORD_PROBE_H

#include "chord/state.h"

#define PROBE_YOUNG   32u /* samples of a coordinate until it is settled */
#define PROBE_PERIODS 8u  /* of stabilisation, between probes of a settled node */

/* An answer named these members. */
void probe_named(struct chord_node *node, const struct chord_peer *peers, size_t count);
/* A PONG or REFUSED that may be for this node's probe.  False: it is not. */
bool probe_heard(struct chord_node *node, const struct chord_message *message);
void probe_tick(struct chord_node *node);
uint64_t probe_deadline(const struct chord_node *node);

#endif
