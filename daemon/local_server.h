/* local_server.h - the Unix socket for this home's own programs
 * (blockstore/local_protocol.h).
 *
 * Below the run directory (mode 0700); who connects must be the daemon's user or root.
 * Loop thread only. */
#ifndef HOLDFAST_DAEMON_LOCAL_SERVER_H
#define HOLDFAST_DAEMON_LOCAL_SERVER_H

#include "base/err.h"
#include "daemon/keeper.h"
#include "daemon/loop.h"

#include <jansson.h>

struct local_server; /* opaque */

/* Answers a request about the ring itself: `verb` is "invite", "status" or "peers" (and
 * others later), `arguments` a JSON object; both borrowed.  Returns the answer (the
 * caller's), or NULL and *err. */
typedef json_t *local_admin_fn(void *arg, const char *verb, const json_t *arguments,
                               struct hf_err *err);

/* Listens on `path`, replacing a dead socket.  `redundancy` is the ring's override (0/0:
 * auto). */
HF_MUST_CHECK enum hf_code
local_server_new(struct loop *loop, struct keeper *keeper, const char *path,
                 struct dht_redundancy redundancy, local_admin_fn *admin, void *admin_arg,
                 struct local_server **server, struct hf_err *err);
/* Takes no new requests; true when none is under way. */
bool local_server_quiesce(struct local_server *server);
void local_server_free(struct local_server *server); /* NULL is allowed */

#endif
