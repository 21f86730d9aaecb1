/* local_conn.h - one connection of a local program: reads requests, writes answers.
 *
 *     header() -> request() -> local_conn_reply -> replied() -> header() ...
 *
 * Parts are read into buffers of their own; answers are written from the buffers they are
 * in.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_LOCAL_CONN_H
#define HOLDFAST_DAEMON_LOCAL_CONN_H

#include "daemon/local_answer.h"
#include "daemon/local_reader.h"

#include <event2/event.h>

struct local_conn; /* opaque */

/* Of the owner.  Each but `header` may free the connection, and is the last thing that
 * happens before the loop goes on; but for `replied`, see there. */
struct local_conn_events {
    /* A request's header is there.  False: its parts are to be read later, after
     * local_conn_go_on. */
    bool (*header)(void *arg);
    /* The request is whole; local_conn_reply follows, now or later. */
    void (*request)(void *arg);
    /* The answer is out.  True: read the next request.  False: it was freed. */
    bool (*replied)(void *arg);
    /* It broke, stalled, or sent what is no request (logged): free it. */
    void (*closed)(void *arg);
    void *arg;
};

/* Takes over fd (not blocking), also on failure: NULL, no memory.  One that makes no
 * progress for *stall within a request or an answer is closed. */
struct local_conn *local_conn_new(struct event_base *base, int fd,
                                  const struct timeval *stall,
                                  const struct local_conn_events *events);
void local_conn_free(struct local_conn *conn); /* NULL is allowed */

/* The request; its parts may be taken or dropped (local_reader_done) once it is whole. */
struct local_reader *local_conn_reader(struct local_conn *conn);

void local_conn_go_on(struct local_conn *conn);

/* Answers the request: *answer is released.  May end in `replied` or `closed`. */
void local_conn_reply(struct local_conn *conn, struct local_answer *answer);

#endif
