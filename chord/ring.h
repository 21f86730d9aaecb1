/* ring.h - keeping the ring: stabilise, stabilise from predecessor, rectify.
 *
 * Zave 2017.  For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_RING_H
#define HOLDFAST_CHORD_RING_H

#include "chord/state.h"

/* Starts the operation of `kind` with a question to `to`; none is under way. */
void ring_ask(struct chord_node *node, enum chord_query_kind kind,
              const struct chord_peer *to);

/* list[0..count) := head followed by those of peers that continue it clockwise, up to r
 * entries and not beyond this node.  Returns the count.  A list is always copied from one
 * answer: merging lists is what made the Chord of 2001 wrong. */
size_t ring_copy_list(const struct chord_node *node, const struct chord_peer *head,
                      const struct chord_peer *peers, size_t peer_count,
                      struct chord_peer list[static CHORD_SUCCESSORS_MAX]);

/* An answer (STATE, PONG, BUSY, REFUSED) that may belong to the question that is out.
 * False: it does not. */
bool ring_answer(struct chord_node *node, const struct chord_message *message);
/* `peer` believes that it is this node's predecessor. */
void ring_notified(struct chord_node *node, const struct chord_peer *peer);
/* `peer` says that its list has changed: when it is the successor, this node's is to be
 * copied again, and so on back to all whose lists hold the change.  Without that, news
 * would go back one entry in a period. */
void ring_changed(struct chord_node *node, const struct chord_peer *peer);
/* The link layer gave up the peer's node. */
void ring_unreachable(struct chord_node *node, const struct chord_peer *peer);
/* The peer says that it stops. */
void ring_left(struct chord_node *node, const struct chord_peer *peer);
/* Acts on deadlines that have passed and on what was queued. */
void ring_tick(struct chord_node *node);
uint64_t ring_deadline(const struct chord_node *node);

#endif
