/* resolver.h - addresses of host names, looked up by worker threads: the loop never waits
 * for a name server.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_RESOLVER_H
#define HOLDFAST_DAEMON_RESOLVER_H

#include "daemon/loop.h"

#include <sys/socket.h>

#define RESOLVER_THREADS     2u
#define RESOLVER_PENDING_MAX 64u /* names asked for at once */

struct resolver; /* opaque */

/* Called once, never from inside resolver_start: size = 0: no such address, or too many
 * questions.  The address is borrowed. */
typedef void resolver_done_fn(void *arg, const struct sockaddr *address, int size);

struct resolver *resolver_new(struct loop *loop); /* NULL: no memory, no threads */
/* Waits for the lookups that have begun; nobody is told of them.  NULL is allowed. */
void resolver_free(struct resolver *resolver);

/* `address` as in membership/text.h, "host:port". */
void resolver_start(struct resolver *resolver, const char *address, resolver_done_fn *done,
                    void *arg);
/* Nothing will be told to this arg any more. */
void resolver_forget(struct resolver *resolver, const void *arg);

#endif
