/* gossip.h - the roster's spreading: the decisions of membership/spread.h, carried out with
 * timers, links and files.
 *
 *     on link up, after news, and now and then to one at random:
 *         ROSTER_DIGEST ------------>   equal: nothing
 *                       <------------   ROSTER (what was not told on this link before),
 *                                       ROSTER_DIGEST
 *     and so on until both know the same; merging only ever adds.
 *
 * Loop thread only. */
#ifndef HOLDFAST_DAEMON_GOSSIP_H
#define HOLDFAST_DAEMON_GOSSIP_H

#include "daemon/links.h"
#include "daemon/loop.h"
#include "membership/member_home.h"
#include "membership/spread.h"

#define GOSSIP_ROUND_MS  2000u /* mean; jittered by half */
#define GOSSIP_SPREAD_MS 50u   /* news waits for more before it is saved and passed on */

struct gossip; /* opaque */

struct gossip_config {
    struct loop *loop;          /* borrowed, as are the next two */
    struct member_home *member; /* its roster is this module's to change while it lives */
    struct links *links;
    struct hf_id store; /* to be announced */
    /* The roster has changed and is saved. */
    void (*changed)(void *arg);
    void *arg;
};

/* Announces this node anew, and begins to connect.  HF_NO_MEMORY; or of member_home.h. */
HF_MUST_CHECK enum hf_code gossip_new(const struct gossip_config *config,
                                      struct gossip **gossip, struct hf_err *err);
void gossip_free(struct gossip *gossip); /* NULL is allowed */

/* From the links.  False: the frame is malformed. */
bool gossip_frame(struct gossip *gossip, const struct hf_id *node, enum link_kind kind,
                  const uint8_t *body, size_t n, const struct hf_buffer *payload);
void gossip_up(struct gossip *gossip, const struct hf_id *node);
void gossip_down(struct gossip *gossip, const struct hf_id *node);
void gossip_rested(struct gossip *gossip, const struct hf_id *node);

/* Somebody else has put a fact on the roster. */
void gossip_news(struct gossip *gossip);

/* How a member was seen.  NULL: no member, or this node itself.  Borrowed until the roster
 * changes. */
const struct spread_peer *gossip_peer(const struct gossip *gossip,
                                      const struct hf_id *node);
/* As spread_believes. */
bool gossip_believes(const struct gossip *gossip, const struct hf_id *node);

#endif
