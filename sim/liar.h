/* liar.h - what a member says that lies about its successors. */
#ifndef HOLDFAST_SIM_LIAR_H
#define HOLDFAST_SIM_LIAR_H

#include "sim/world.h"

/* Changes a STATE or NEXT that the node at `from` is about to send: leaves out the first
 * successors, names others, dead or alive, or claims the key for itself.  All that it
 * names are real places.  Other messages are left alone. */
void liar_change(const struct world *world, struct draw *draw, size_t from,
                 struct chord_message *message);

/* What one liar is after. */
enum liar_kind {
    LIAR_SELF,   /* to be named: claims each key that it is asked for */
    LIAR_LIARS,  /* names those that lie, as it does */
    LIAR_NOBODY, /* names the dead, and nodes that it makes up at the key */
    LIAR_STALLS, /* leaves questions unanswered, or sends the asker to other liars */
    LIAR_KINDS   /* how many kinds there are */
};

/* Changes the answer `message` to world->heard likewise, to what serves that end.  False:
 * it keeps silent. */
bool liar_answer(const struct world *world, struct draw *draw, enum liar_kind kind,
                 size_t from, struct chord_message *message);

#endif
