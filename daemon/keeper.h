/* keeper.h - drives the dht node of this daemon: links, router and the segment log on one
 * side, local clients on the other.
 *
 *     links ---- keeper_frame, _up, _down ---->  +--------+  -- config.send ----> links
 *     router --- keeper_found ---------------->  | dht    |  -- config.lookup --> router
 *     clients -- keeper_start ---------------->  | node   |  -- config.busy ----> links
 *     holding -- what is stored and loaded --->  +--------+  -- jobs -----------> holding
 *
 * Loop thread only; disk work is done by workers (holding.h).  None of the functions of
 * keeper_config may call back into the keeper before it has returned. */
#ifndef HOLDFAST_DAEMON_KEEPER_H
#define HOLDFAST_DAEMON_KEEPER_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/id.h"
#include "blockstore/segment_log.h"
#include "daemon/loop.h"
#include "dht/node.h"

#include <stddef.h>
#include <stdint.h>

struct keeper; /* opaque */

#define KEEPER_OPERATIONS_MAX (DHT_OPERATIONS_MAX - DHT_RETRIES_MAX)

struct keeper_config {
    struct hf_id self;
    struct loop *loop;       /* borrowed */
    struct segment_log *log; /* fragments and records of others; borrowed, opened for
                                writing by the caller */
    bool store_complete;     /* dht/node.h */

    /* Queues a frame of LINK_DHT for a member; may drop it.  body is borrowed for the call,
     * of payload (may be NULL) a reference is taken.  send_bulk: fragments, which can wait
     * for all else. */
    void (*send)(void *arg, const struct hf_id *node, const uint8_t *body, size_t n,
                 struct hf_buffer *payload);
    void (*send_bulk)(void *arg, const struct hf_id *node, const uint8_t *body, size_t n,
                      struct hf_buffer *payload);
    /* Finds `wanted` successors of key; keeper_found follows, later. */
    void (*lookup)(void *arg, const struct hf_id *key, uint32_t wanted, uint64_t tag);
    /* While true, the links do well to read nothing from peers: they wait instead of being
     * refused.  Called at each change.  May be NULL. */
    void (*busy)(void *arg, bool busy);
    void *arg;
};

/* HF_NO_MEMORY (or no threads). */
HF_MUST_CHECK enum hf_code keeper_new(const struct keeper_config *config,
                                      struct keeper **keeper, struct hf_err *err);
/* Waits for the workers; what was acknowledged is on disk.  Operations under way end with
 * HF_CANCELLED, from inside this call.  NULL is allowed. */
void keeper_free(struct keeper *keeper);

/* From the links.  A frame that is none is logged, and false: the link is not worth
 * keeping.  body is borrowed, of payload (may be NULL) references are taken. */
bool keeper_frame(struct keeper *keeper, const struct hf_id *node, const uint8_t *body,
                  size_t n, struct hf_buffer *payload);
void keeper_up(struct keeper *keeper, const struct hf_id *node);
void keeper_down(struct keeper *keeper, const struct hf_id *node);
/* A part of something large came from it, or went to it. */
void keeper_moved(struct keeper *keeper, const struct hf_id *node, bool came);
/* From the router; count = 0: the lookup failed. */
void keeper_found(struct keeper *keeper, uint64_t tag, const struct hf_id *nodes,
                  const uint32_t *away_ms, size_t count);
/* The roster has changed, or somebody is missing for longer than the repair wait. */
void keeper_members(struct keeper *keeper, const struct dht_member *members, size_t count);

/* What was last told to config.busy. */
bool keeper_busy(const struct keeper *keeper);

/* Starts a client's operation (one of the client events of dht/node.h; its tag is ignored;
 * references to its buffers are taken).  done is called exactly once, never from inside
 * this call; the action is borrowed.  done may start further operations.  No more than
 * KEEPER_OPERATIONS_MAX at once: the callers' duty. */
typedef void keeper_done_fn(void *arg, const struct dht_action *done);
void keeper_start(struct keeper *keeper, const struct dht_event *event,
                  keeper_done_fn *done, void *arg);

const struct hf_id *keeper_self(const struct keeper *keeper);

/* The redundancy of a block that is written now (dht/placement.h). */
struct dht_redundancy keeper_redundancy(const struct keeper *keeper,
                                        struct dht_redundancy override);

/* Bytes kept for others, for status and announcements. */
uint64_t keeper_stored_bytes(const struct keeper *keeper);

#endif
