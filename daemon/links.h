/* links.h - the TLS links to the other members.
 *
 * One link for each pair, opened by whoever needs it first and kept open; both ends show
 * their key in the handshake and their certificate in a HELLO (membership/join.h), and both
 * must be on the roster.  Whoever fails that, or is silent, sends half a frame or one
 * beyond the limits, is dropped within LINK_HELLO_MS with one line in the log; the others
 * are not affected.  A machine that is not on the roster may say one thing: JOIN_REQUEST.
 *
 * Loop thread only. */
#ifndef HOLDFAST_DAEMON_LINKS_H
#define HOLDFAST_DAEMON_LINKS_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/id.h"
#include "daemon/loop.h"
#include "membership/link_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_HELLO_MS                                                                      \
    10000u                     /* handshake, hello, and any one frame, from its first byte \
                                */
#define LINK_PING_MS    10000u /* a quiet link is asked ... */
#define LINK_SILENCE_MS 30000u /* ... and given up */
#define LINK_QUEUE_MAX \
    (64u * 1024u * 1024u)         /* bytes waiting for one peer; beyond: dropped */
#define LINK_STRANGERS_MAX 64u    /* connections that have not said who they are */
#define LINK_RETRY_MIN_MS  500u   /* after a failed connection; doubles ... */
#define LINK_RETRY_MAX_MS  30000u /* ... up to this.  New addresses of a peer reset it. */

struct links; /* opaque */

/* What the links report, never from inside a call of links_send. */
struct links_events {
    /* A frame of a member.  body and payload are borrowed; payload may be NULL. */
    void (*frame)(void *arg, const struct hf_id *node, enum link_kind kind,
                  const uint8_t *body, size_t n, struct hf_buffer *payload);
    void (*up)(void *arg, const struct hf_id *node);   /* a link stands */
    void (*down)(void *arg, const struct hf_id *node); /* it broke, or could not be made */
    void *arg;
};

/* Queues a frame for a member, and connects if there is no link.  It is dropped when no
 * link can be made or too much waits already: the protocols above have timeouts. */
void links_send(struct links *links, const struct hf_id *node, enum link_kind kind,
                const uint8_t *body, size_t n, struct hf_buffer *payload);

bool links_is_up(const struct links *links, const struct hf_id *node);

/* Closes the link to a node (it was evicted). */
void links_drop(struct links *links, const struct hf_id *node);

#endif
