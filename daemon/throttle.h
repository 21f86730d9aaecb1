/* throttle.h - for the files of the links alone: the limits of what goes over all links
 * together, in bytes a second, with TLS and without what IP adds.
 *
 * Up: prompt frames go out at once and are counted; bulk goes out in parts, each link in
 * turn, when the bucket is open.  Down: when the bucket is closed nothing is read from any
 * member, and the members' kernels wait.  (Not by libevent's groups, which hold back what
 * is prompt together with the bulk of its link.) */
#ifndef HOLDFAST_DAEMON_THROTTLE_H
#define HOLDFAST_DAEMON_THROTTLE_H

#include "daemon/bucket.h"
#include "daemon/link.h"

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct links;

struct throttle {
    struct bucket up, down;
    struct event *up_timer, *down_timer;
    struct conn *next;      /* whose turn it is; NULL: the first */
    bool held;              /* nothing is read */
    uint32_t slack_ms;      /* that members are quiet for because of it */
    struct link_bytes past; /* of connections that are closed */
};

/* No limits.  False: no memory. */
bool throttle_init(struct links *links);
void throttle_done(struct links *links);

/* From now on, in bytes a second; 0: no limit. */
void throttle_set(struct links *links, uint64_t upload, uint64_t download);

/* A connection has become a member's. */
void throttle_adopt(struct conn *conn);
/* It is about to be freed. */
void throttle_forget(struct conn *conn);
/* So much was queued on its prompt lane, with its payload. */
void throttle_prompt(struct conn *conn, size_t bytes);
/* There is new bulk. */
void throttle_bulk(struct links *links);
/* Bulk waits, and not for the other end. */
bool throttle_holds_back(const struct conn *conn);
/* So much has come over its line. */
void throttle_received(struct conn *conn, uint64_t bytes);

#endif
