/* daemon.h - one node of a ring: its parts, and how they hang together.
 *
 *     strangers --- admission
 *     peers ------- links --+-- gossip --- member_home
 *                           +-- router --- chord node
 *     programs -- server ---+-- keeper --- dht node, segment log
 *                  admin
 *
 * Loop thread only, but for daemon_open and daemon_close, which are called when no loop
 * runs. */
#ifndef HOLDFAST_DAEMON_DAEMON_H
#define HOLDFAST_DAEMON_DAEMON_H

#include "base/home.h"
#include "daemon/gossip.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/links.h"
#include "daemon/local_server.h"
#include "daemon/log_limit.h"
#include "daemon/loop.h"
#include "daemon/router.h"
#include "membership/member_home.h"

#include <stdbool.h>
#include <stdint.h>

#define DAEMON_FRAGMENTS      "fragments" /* the segment log, in the state directory */
#define DAEMON_REPAIR_WAIT_MS (UINT64_C(72) * 3600 * 1000)
/* The router is told who is there when all are linked, or after so long. */
#define DAEMON_SETTLE_MS 3000u
#define DAEMON_STOP_MS   10000u /* for what is under way when the daemon is to end */

/* Its parts are owned; those that are not open are NULL. */
struct daemon {
    struct hf_home home;
    struct member_home member;
    struct loop *loop;
    struct segment_log *log;
    struct links *links;
    struct gossip *gossip;
    struct router *router;
    struct keeper *keeper;
    struct local_server *server;
    struct event *members;  /* tells keeper and router who is there */
    struct event *stopping; /* looks whether all is done */
    struct event *minute;   /* the limits may be others now */
    struct limits limits;
    uint64_t started_ms, stop_ms; /* stop_ms: by when; 0: it goes on */
    uint16_t port;
    bool store_complete; /* as the keeper was told */
    bool settled, left;
    struct log_limit refusals; /* of strangers who wanted to join */
};

/* Opens all parts and listens.  HF_NOT_FOUND: this home is in no ring.  HF_LOCKED: another
 * daemon runs here.  Other codes: of the parts.  On failure what was opened stays for
 * daemon_close. */
HF_MUST_CHECK enum hf_code daemon_open(struct daemon *daemon, const char *home_option,
                                       struct hf_err *err);
/* Zeroed is allowed. */
void daemon_close(struct daemon *daemon);

/* Takes nothing new, finishes what is under way, and stops the loop within
 * DAEMON_STOP_MS. */
void daemon_stop(struct daemon *daemon);

/* Takes over what has changed of limit-upload and limit-download in holdfast.conf; what is
 * malformed is logged, and all stays as it was. */
void daemon_reload(struct daemon *daemon);

/* Members that can be reached now, this one included. */
size_t daemon_up_count(const struct daemon *daemon);

#endif
