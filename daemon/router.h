/* router.h - drives the chord nodes of this daemon, one for each of its positions: links
 * and clock on one side, lookups for the keeper on the other.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_ROUTER_H
#define HOLDFAST_DAEMON_ROUTER_H

#include "base/id.h"
#include "chord/node.h"
#include "daemon/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct router; /* opaque */

#define ROUTER_LOOKUPS_MAX 512u /* waiting or under way; one more fails */
#define ROUTER_AT_ONCE     (CHORD_LOOKUPS_MAX / 4 * 3) /* fingers have the other places */

/* Of a network with round trips up to a second. */
#define ROUTER_STABILISE_MS 2000u
#define ROUTER_RPC_MS       1500u
#define ROUTER_LOOKUP_MS    12000u /* less than DHT_LOOKUP_MAX_MS */

struct router_config {
    struct hf_id self;
    struct loop *loop;   /* borrowed */
    uint32_t successors; /* r, of the ring */

    /* Sends a frame of LINK_CHORD; may drop it. */
    void (*send)(void *arg, const struct hf_id *node, const uint8_t *body, size_t n);
    /* Called once for each lookup, never from inside router_lookup: distinct node ids in
     * ring order from the key, and how far away they are in ms (0: not known); none: the
     * lookup failed. */
    void (*found)(void *arg, uint64_t tag, const struct hf_id *nodes,
                  const uint32_t *away_ms, size_t count);
    void *arg;
};

struct router *router_new(const struct router_config *config); /* NULL: no memory */
/* Tells the neighbours that this node goes, as far as they can still be reached. */
void router_leave(struct router *router);
void router_free(struct router *router); /* NULL is allowed */

/* A frame of a member.  False: it does not parse. */
bool router_frame(struct router *router, const struct hf_id *node, const uint8_t *body,
                  size_t n);
/* The link to a node broke, or cannot be made. */
void router_down(struct router *router, const struct hf_id *node);

/* A member that is believed to be there, and on how many positions it stands. */
struct router_member {
    struct hf_id node;
    uint32_t positions; /* 1..CHORD_POSITIONS_MAX */
};

/* All of them, this node included, which takes or leaves positions accordingly.  False: no
 * memory, the last ones stay. */
bool router_members(struct router *router, const struct router_member *members,
                    size_t count);
/* The ring's r has changed. */
void router_successors_wanted(struct router *router, uint32_t successors);

/* Finds `wanted` successors of key. */
void router_lookup(struct router *router, const struct hf_id *key, uint32_t wanted,
                   uint64_t tag);

/* For status: how the positions stand, by index (< router_positions). */
size_t router_positions(const struct router *router);
const struct chord_node *router_node(const struct router *router, size_t index);
const char *router_mode(const struct router *router,
                        size_t index);                 /* "ring", "order", ... */
size_t router_table_size(const struct router *router); /* positions of all members */

#endif
