/* lookup_check.h - what a lookup was told, held against the roster.
 *
 * A member may leave out of its answer whom it likes.  Whoever the roster has among the
 * wanted successors and the answer has not is asked itself; those that answer as members
 * belong to the result.  So a liar hides nobody who lives, and costs one round trip.
 * (Castro et al., "Secure routing for structured peer-to-peer overlay networks", OSDI
 * 2002, test by density; a roster makes it exact.)
 *
 * For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_LOOKUP_CHECK_H
#define HOLDFAST_CHORD_LOOKUP_CHECK_H

#include "chord/state.h"

/* Asks the next members that lookup->found leaves out.  False: there is none left to ask,
 * or none that would fit.  Whoever is not on the roster makes room for those who are. */
bool lookup_check_next(struct chord_node *node, struct chord_lookup *lookup);
/* A PONG or REFUSED from one of them; true: it was, and was the last one. */
bool lookup_check_heard(struct chord_lookup *lookup, const struct chord_message *message);
/* As lookup_unreachable; true: that was the last answer to wait for. */
bool lookup_check_unreachable(struct chord_lookup *lookup, const struct chord_peer *peer,
                              enum chord_scope scope);
/* Time is up: takes over who has answered, suspects the others. */
void lookup_check_close(struct chord_node *node, struct chord_lookup *lookup);

#endif
