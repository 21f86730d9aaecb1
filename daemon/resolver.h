/* resolver.h - addresses of host names, looked up by worker threads: the loop never waits
 * for a name server.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_RESOLVER_H
#define HOLDFAST_DAEMON_RESOLVER_H

#include "daemon/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define RESOLVER_THREADS     2u
#define RESOLVER_PENDING_MAX 64u /* names asked for at once */
#define RESOLVER_RECORDS_MAX 8u  /* of one name; what is more is left out */

struct resolver; /* opaque */

/* Where a name leads. */
struct resolver_record {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    int size;
};

/* In the order in which they are to be tried (RFC 6724); none: there is no such name, or
 * there are too many questions. */
struct resolver_records {
    struct resolver_record list[RESOLVER_RECORDS_MAX];
    size_t count;
};

/* Called once, never from inside resolver_start.  The records are borrowed. */
typedef void resolver_done_fn(void *arg, const struct resolver_records *records);

struct resolver *resolver_new(struct loop *loop); /* NULL: no memory, no threads */
/* Waits for the lookups that have begun; nobody is told of them.  NULL is allowed. */
void resolver_free(struct resolver *resolver);

/* `address` as in membership/text.h, "host:port". */
void resolver_start(struct resolver *resolver, const char *address, resolver_done_fn *done,
                    void *arg);

#endif
