/* keeper.h - drives the dht node of this daemon: links, router and the segment log on one
 * side, local clients on the other.  Loop thread only; disk work is done by workers. */
#ifndef HOLDFAST_DAEMON_KEEPER_H
#define HOLDFAST_DAEMON_KEEPER_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/id.h"
#include "base/pool.h"
#include "blockstore/segment_log.h"
#include "daemon/links.h"
#include "daemon/loop.h"
#include "daemon/router.h"
#include "dht/node.h"

#include <stddef.h>
#include <stdint.h>

struct keeper; /* opaque */

struct keeper_config {
    struct hf_id self;
    struct loop *loop; /* all borrowed */
    struct links *links;
    struct router *router;
    struct segment_log *log; /* fragments and records of others, opened by the caller */
};

HF_MUST_CHECK enum hf_code keeper_new(const struct keeper_config *config,
                                      struct keeper **keeper, struct hf_err *err);
/* Waits for the workers; what was acknowledged is on disk.  NULL is allowed. */
void keeper_free(struct keeper *keeper);

/* From the links and the router. */
void keeper_frame(struct keeper *keeper, const struct hf_id *node, const uint8_t *body,
                  size_t n, struct hf_buffer *payload);
void keeper_up(struct keeper *keeper, const struct hf_id *node);
void keeper_down(struct keeper *keeper, const struct hf_id *node);
void keeper_found(struct keeper *keeper, uint64_t tag, const struct hf_id *nodes,
                  size_t count);
/* The roster has changed, or somebody is missing for longer than the repair wait. */
void keeper_members(struct keeper *keeper, const struct dht_member *members, size_t count);

/* Starts a client's operation (one of the client events of dht/node.h; its tag is ignored).
 * done is called exactly once, never from inside this call; the action is borrowed. */
typedef void keeper_done_fn(void *arg, const struct dht_action *done);
void keeper_start(struct keeper *keeper, const struct dht_event *event,
                  keeper_done_fn *done, void *arg);

/* The redundancy of a block that is written now (dht/placement.h). */
struct dht_redundancy keeper_redundancy(const struct keeper *keeper,
                                        struct dht_redundancy override);

/* Bytes kept for others, for status and announcements. */
uint64_t keeper_stored_bytes(const struct keeper *keeper);

#endif
