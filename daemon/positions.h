/* positions.h - on how many positions of the ring a member stands: in proportion to the
 * space that it offers (CFS, SOSP 2001, section 4.4; docs/design.md section 7, Routing).
 *
 * Every member computes the same from the roster.  In a ring of few members everybody
 * holds of everything, and a host with many positions would only put more eggs into one
 * basket: there each has one.  Pure. */
#ifndef HOLDFAST_DAEMON_POSITIONS_H
#define HOLDFAST_DAEMON_POSITIONS_H

#include "membership/roster.h"

#include <stddef.h>
#include <stdint.h>

#define POSITIONS_MEMBERS_MIN 34u /* 2 (r + 1) of the longest list */
#define POSITIONS_TYPICAL     4u  /* of a member that offers the median */

/* What one position stands for, in bytes, by the members that are not evicted; 0: each
 * has one position.  HF_NO_MEMORY gives 0, too: too few positions harm nobody. */
uint64_t positions_unit(const struct roster *roster);

/* The member's: a power of two (small changes change nothing), at most what its
 * certificate allows. */
uint32_t positions_of(const struct roster_member *member, uint64_t unit);

#endif
