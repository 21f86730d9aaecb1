/* router.h - drives the chord node of this daemon: links and clock on one side, lookups for
 * the keeper on the other.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_ROUTER_H
#define HOLDFAST_DAEMON_ROUTER_H

#include "base/id.h"
#include "chord/peer.h"

#include <stddef.h>
#include <stdint.h>

struct router; /* opaque */

/* Called once for each lookup, never from inside router_lookup: node ids in ring order from
 * the key; none: the lookup failed. */
typedef void router_found_fn(void *arg, uint64_t tag, const struct hf_id *nodes,
                             size_t count);

/* Finds `wanted` successors of key. */
void router_lookup(struct router *router, const struct hf_id *key, uint32_t wanted,
                   uint64_t tag);

#endif
