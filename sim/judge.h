/* judge.h - Zave's invariant of a ring, judged from outside.
 *
 * Zave 2017: (1) every member has a live entry in its successor list; (2) at least r + 1
 * members are principals, skipped by no adjacent pair of any member's extended list.
 * What follows from the two is judged as well: first live entries lead everybody to one
 * cycle, and that goes round the circle once.
 *
 * It holds as long as the environment is that of her proof: founded with r + 1 members,
 * silence means failure, and no failure that judge_may_fail forbids.  Keeps a copy of each
 * member's list, so that a step costs a reading of one list and a pass over the copies:
 * for rings of up to some hundred members.  Looks inside nodes.  One owner. */
#ifndef HOLDFAST_SIM_JUDGE_H
#define HOLDFAST_SIM_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judge; /* opaque */
struct world;

/* Of a world of so many places and lists of `successors`.  NULL: no memory. */
struct judge *judge_new(size_t places, uint32_t successors);
/* NULL is allowed. */
void judge_free(struct judge *judge);

/* Reads again whether the node at `place` is a member, and its list. */
void judge_refresh(struct judge *judge, const struct world *world, size_t place);
/* From now on the invariant must hold. */
void judge_found(struct judge *judge);
/* NULL, or what is wrong (a constant string). */
const char *judge_check(struct judge *judge, const struct world *world);

/* The invariant would survive that the host falls silent now, with all its places.  An
 * operation takes effect, in Zave's sense, when the asked answers or is found dead; the
 * asker changes only when the answer arrives or its patience ends: what will come of the
 * questions that are out counts as done already. */
bool judge_may_fail(struct judge *judge, struct world *world, size_t host);

#endif
