/* table.h - whom a node knows beside its neighbours, and what that says about a key.
 *
 * Roster (location table, or the whole order of a small ring), fingers, and the peers
 * that were silent just now. For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_TABLE_H
#define HOLDFAST_CHORD_TABLE_H

#include "chord/state.h"

/* Members from which on a roster gives a ring that Zave's proof covers: 2(r + 1). */
size_t table_ring_min(const struct chord_node *node);
/* The roster is large enough to serve as a location table. */
bool table_has_roster(const struct chord_node *node);

/* Takes the event's roster. False: unordered, or without this node; there is none then. */
bool table_set_roster(struct chord_node *node, const struct chord_peer *peers,
                      size_t count);
/* Index of the first member at or clockwise after key; the roster is not empty. */
size_t table_roster_at(const struct chord_node *node, const struct hf_id *key);
/* Sets predecessor and successor list from the roster's order. */
void table_take_order(struct chord_node *node);
/* The whole roster clockwise from key, at most max; returns the count. */
size_t table_order(const struct chord_node *node, const struct hf_id *key,
                   struct chord_peer *peers, size_t max);
/* The first member strictly between this node and `end` that is not suspected. */
const struct chord_peer *table_between(const struct chord_node *node,
                                       const struct hf_id *end);

/* Remembers for a while that `peer`, or all of its node, is no member to count on, and
 * drops it from the fingers; trust takes that back for what has been heard from. */
void table_suspect(struct chord_node *node, const struct chord_peer *peer,
                   enum chord_scope scope);
void table_trust(struct chord_node *node, const struct chord_peer *peer);
bool table_is_suspect(const struct chord_node *node, const struct chord_peer *peer);

/* Adds peer to list[0..*count), ordered by distance to key, closest first; keeps at most
 * max.  Doubles and this node itself are left out. */
void table_add_closer(const struct chord_node *node, const struct hf_id *key,
                      struct chord_peer *list, size_t *count, size_t max,
                      const struct chord_peer *peer);

/* The peers that most closely precede key, unsuspected, to out[0..max), closest first;
 * returns their count.  Successors and fingers, of which this node has heard; with `guess`,
 * half of the room is for members of the roster, which may be long gone. */
size_t table_closest(const struct chord_node *node, const struct hf_id *key, bool guess,
                     size_t max, struct chord_peer *out);

/* What this node can say of key by itself.  True: peers[0..*count) are its successors, as
 * many of `wanted` as it knows (it is their immediate predecessor, or knows all that is
 * wanted).  False: they are closer to the key.  With `own`, a key that is this node's own
 * (after its predecessor) counts as known.  peers has room for CHORD_MESSAGE_PEERS_MAX. */
bool table_route(const struct chord_node *node, const struct hf_id *key, uint32_t wanted,
                 bool own, struct chord_peer *peers, size_t *count);

#endif
