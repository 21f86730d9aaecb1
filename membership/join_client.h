/* join_client.h - a new machine's side of joining: blocking, over plain sockets.
 *
 * The program ignores SIGPIPE. */
#ifndef HOLDFAST_MEMBERSHIP_JOIN_CLIENT_H
#define HOLDFAST_MEMBERSHIP_JOIN_CLIENT_H

#include "membership/code.h"
#include "membership/identity.h"
#include "membership/join.h"
#include "membership/roster.h"

#define JOIN_TIMEOUT_MS 10000 /* to connect, and for each read and write */

/* What a machine is a member with.  The roster is the caller's, to be freed. */
struct joined {
    struct ring_parameters ring;
    struct certificate certificate;
    struct fact_bytes ring_bytes, certificate_bytes;
    struct roster *roster;
};

/* What the machine says of itself; .node and .seq are filled in. */
struct join_wish {
    const char *name;
    struct announcement announcement;
};

/* Joins by the code: connects to its steward, verifies ring and steward before it proves
 * the invitation, takes certificate and roster, and announces itself.
 * HF_UNAVAILABLE, HF_TIMED_OUT: nobody answers there, or, five times, hangs up.  HF_DENIED:
 * not the steward of that ring, or it refuses; the message has its words.  HF_WRONG_KEY:
 * code unknown there, used up or expired.  HF_CORRUPT: the other side does not keep to the
 * protocol.  Blocks; any thread. */
HF_MUST_CHECK enum hf_code join_ring(const struct invitation_code *code,
                                     const struct identity *identity,
                                     const struct join_wish *wish, struct joined *joined,
                                     struct hf_err *err);

/* The same over a connected stream socket, which stays the caller's. */
HF_MUST_CHECK enum hf_code join_over_socket(int fd, const struct invitation_code *code,
                                            const struct identity *identity,
                                            const struct join_wish *wish,
                                            struct joined *joined, struct hf_err *err);

#endif
