/* links.h - the TLS links to the other members.
 *
 * One link for each pair, opened by whoever needs it first and kept open; of more than
 * LINKS_KEPT_MAX those that were needed least lately are put aside.  Both ends show
 * their key in the handshake and their certificate in a HELLO (membership/join.h), and both
 * must be on the roster.  Whoever fails that, or is silent, sends half a frame or one
 * beyond the limits, is dropped within LINK_HELLO_MS with one line in the log; the others
 * are not affected.  A machine that is not on the roster may say one thing: JOIN_REQUEST.
 *
 * When both ends have opened one at the same time, that of the lower node id is used.  The
 * other is read for LINK_LINGER_MS more, until what was queued on it has arrived.
 *
 * Loop thread only. */
#ifndef HOLDFAST_DAEMON_LINKS_H
#define HOLDFAST_DAEMON_LINKS_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/id.h"
#include "daemon/loop.h"
#include "membership/join.h"
#include "membership/link_frame.h"
#include "membership/member_home.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_HELLO_MS   10000u /* handshake and hello; and the next byte of a frame */
#define LINK_PING_MS    3000u  /* a quiet link is asked ... */
#define LINK_SILENCE_MS 10000u /* ... and given up */
#define LINK_LINGER_MS  10000u
#define LINK_QUEUE_MAX                                                \
    ((size_t)64 << 20) /* bytes waiting for one peer; beyond: dropped \
                        */
#define LINK_STRANGERS_MAX                                                                \
    64u                          /* connections that have not said who they are; when one \
                                    more comes, the oldest of them is dropped */
#define LINKS_KEPT_MAX    256u   /* looked at twice a second */
#define LINK_RETRY_MIN_MS 500u   /* after a failed connection; doubles ... */
#define LINK_RETRY_MAX_MS 30000u /* ... up to this.  New addresses of a peer reset it. */

struct links; /* opaque */

/* What the links report, never from inside a function below. */
struct links_events {
    /* A frame of a member (of any kind but HELLO, JOIN_*, PING and PONG).  body and payload
     * are borrowed; payload may be NULL.  False: the link is not worth keeping. */
    bool (*frame)(void *arg, const struct hf_id *node, enum link_kind kind,
                  const uint8_t *body, size_t n, struct hf_buffer *payload);
    void (*up)(void *arg, const struct hf_id *node);   /* a link stands */
    void (*down)(void *arg, const struct hf_id *node); /* it broke, or could not be made */
    /* It was put aside, by this end or the other: the member is there, and the next frame
     * for it opens another link. */
    void (*rested)(void *arg, const struct hf_id *node);
    /* In the last half second a part of something large came from it, or went to it.  May
     * be NULL. */
    void (*moved)(void *arg, const struct hf_id *node, bool came);
    /* A valid certificate was shown, and put on the roster. */
    void (*learnt)(void *arg);
    /* A JOIN_REQUEST of a machine that proved to hold `key`: fills *reply, and returns its
     * payload (a reference), or NULL. */
    struct hf_buffer *(*join)(void *arg, const char *address,
                              const struct hf_public_key *key, const uint8_t *body,
                              size_t n, struct join_reply *reply);
    void *arg;
};

/* member is borrowed: its identity, hello and roster.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code links_new(struct loop *loop, struct member_home *member,
                                     const struct links_events *events,
                                     struct links **links, struct hf_err *err);
/* Closes everything; nobody is told.  NULL is allowed. */
void links_free(struct links *links);

/* Accepts connections at `listen` ("host:port"; port 0: any).  *port is the real one.
 * HF_INVALID: malformed or no such host.  HF_IO: in use, or not this machine's. */
HF_MUST_CHECK enum hf_code links_listen(struct links *links, const char *listen,
                                        uint16_t *port, struct hf_err *err);
/* Takes no new connections any more. */
void links_close_door(struct links *links);

/* Opens a link to a member unless there is one, or one was tried just before. */
void links_connect(struct links *links, const struct hf_id *node);
/* The member has announced new addresses: they may be tried at once. */
void links_readdress(struct links *links, const struct hf_id *node);

/* Queues a frame for a member, and connects if there is no link.  It is dropped when no
 * link can be made or too much waits already: the protocols above have timeouts.  Of
 * payload (may be NULL) a reference is taken. */
void links_send(struct links *links, const struct hf_id *node, enum link_kind kind,
                const uint8_t *body, size_t n, struct hf_buffer *payload);

/* The same for what is large and can wait: prompt frames go before it, and it alone waits
 * for the limits. */
void links_send_bulk(struct links *links, const struct hf_id *node, enum link_kind kind,
                     const uint8_t *body, size_t n, struct hf_buffer *payload);

bool links_is_up(const struct links *links, const struct hf_id *node);

/* Closes the link to a node (it was evicted), after this turn of the loop. */
void links_drop(struct links *links, const struct hf_id *node);

/* Keeps at most so many links from now on, instead of LINKS_KEPT_MAX. */
void links_keep(struct links *links, size_t max);

/* What all members' links together may carry from now on, in bytes a second with TLS; 0: no
 * limit.  Only bulk waits for that; all else is counted. */
void links_limit(struct links *links, uint64_t upload, uint64_t download);

struct links_traffic {
    uint64_t received, sent;   /* bytes since the start, TLS and strangers too */
    uint64_t upload, download; /* the limits */
};
struct links_traffic links_traffic(const struct links *links);

/* While paused, no member is read from (the keeper is busy). */
void links_pause(struct links *links, bool paused);

#endif
