/* finger.h - shortcuts across the ring, the nearest of those that serve as well.
 *
 * Finger i is a member of [self + 2^(208 + i), self + 2^(209 + i)): of the first 16 there
 * the one with the shortest round trip; one that is known keeps its place until another is
 * a fifth shorter (Dabek et al., "Designing a DHT for low latency and high throughput",
 * NSDI 2004, section 3.3).  An interval without members has its start's successor.
 *
 * For the files of chord/ alone. */
#ifndef HOLDFAST_CHORD_FINGER_H
#define HOLDFAST_CHORD_FINGER_H

#include "chord/state.h"

/* Starts to look up the next finger. */
void finger_fix(struct chord_node *node);
/* The successors of finger's start are peers[0..count), count >= 1. */
void finger_found(struct chord_node *node, unsigned finger, const struct chord_peer *peers,
                  size_t count);

#endif
