/* local_server.h - the Unix socket for this home's own programs
 * (blockstore/local_protocol.h).
 *
 *     reading -> queued -> reading -> running -> writing -> reading
 *     header     for room  parts      keeper     reply      the next
 *
 * One request at a time on a connection.  A request waits, in order of arrival, before its
 * parts are read, while others have LOCAL_BYTES_HELD_MAX of parts and blocks in the daemon
 * or LOCAL_OPERATIONS_MAX are under way; INFO and ADMIN never wait.  What is malformed is
 * logged, and its connection closed; so is one that stalls within a request or a reply.
 * When a program goes away its operation goes on, and the result is dropped.
 *
 * Who connects must be the daemon's user or root.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_LOCAL_SERVER_H
#define HOLDFAST_DAEMON_LOCAL_SERVER_H

#include "base/err.h"
#include "daemon/keeper.h"
#include "daemon/loop.h"

#include <jansson.h>

#define LOCAL_CLIENTS_MAX    64u /* connections; others wait to be accepted */
#define LOCAL_OPERATIONS_MAX (KEEPER_OPERATIONS_MAX - 16u) /* leaves some for repair */
/* Less than what a link may have waiting (links.h): one peer may get it all. */
#define LOCAL_BYTES_HELD_MAX ((size_t)48 << 20)
#define LOCAL_STALL_MS       30000u

struct local_server; /* opaque */

/* Answers a request about the ring itself: `verb` is "invite", "status" or "peers" (and
 * others later), `arguments` a JSON object; both borrowed.  Returns the answer (the
 * caller's), or NULL and *err. */
typedef json_t *local_admin_fn(void *arg, const char *verb, const json_t *arguments,
                               struct hf_err *err);

struct local_server_config {
    struct loop *loop; /* borrowed, and the next, too */
    struct keeper *keeper;
    const char *path;                 /* of the socket; copied */
    struct dht_redundancy redundancy; /* the ring's override; 0/0: auto */
    local_admin_fn *admin;
    void *admin_arg;
    uint32_t stall_ms; /* 0: LOCAL_STALL_MS */
};

/* Listens; codes of local_socket_open (local_socket.h), and HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code local_server_new(const struct local_server_config *config,
                                            struct local_server **server,
                                            struct hf_err *err);
/* Takes no new requests from now on; true when none is under way (ask again later). */
bool local_server_quiesce(struct local_server *server);
/* Closes all connections.  Before keeper_free, which ends their operations.  NULL is
 * allowed. */
void local_server_free(struct local_server *server);

#endif
