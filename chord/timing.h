/* timing.h - how long to wait for whom, and where this node stands (vivaldi.h).
 *
 * A peer that has answered is waited for by its own record (base/rtt.h); one that has not,
 * by its coordinate; one of which nothing is known, for rpc_timeout_ms.  For the files of
 * chord/ alone. */
#ifndef HOLDFAST_CHORD_TIMING_H
#define HOLDFAST_CHORD_TIMING_H

#include "chord/state.h"

/* An answer of `peer`'s node to what was asked once, at sent_ms. */
void timing_answered(struct chord_node *node, const struct chord_peer *peer,
                     uint64_t sent_ms);
/* An answer of the peer's node would count for this node's coordinate. */
bool timing_is_due(const struct chord_node *node, const struct chord_peer *peer);
/* It did not answer. */
void timing_silent(struct chord_node *node, const struct chord_peer *peer);

/* How long to wait for the answer to the attempt-th (1..) try: never longer than
 * rpc_timeout_ms, never shorter than a CHORD_PATIENCE-th of it, twice as long as for the
 * try before; for the last one rpc_timeout_ms. */
uint64_t timing_timeout_ms(const struct chord_node *node, const struct chord_peer *peer,
                           unsigned attempt);

/* The expected round trip; UINT64_MAX: nothing is known. */
uint64_t timing_expected_us(const struct chord_node *node, const struct chord_peer *peer);

#endif
