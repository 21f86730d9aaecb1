/* steward.h - what a member with the authority's key does: invite, admit, renew, evict.
 *
 * Decisions and files; no sockets, no clock.  Not thread-safe: one owner. */
#ifndef HOLDFAST_MEMBERSHIP_STEWARD_H
#define HOLDFAST_MEMBERSHIP_STEWARD_H

#include "membership/authority.h"
#include "membership/invitations.h"
#include "membership/join.h"
#include "membership/roster.h"

/* The parts, all borrowed by the functions below.  `ring` and `certificate` are what the
 * steward's own hello says; `key` is its own node key. */
struct steward {
    const struct authority *authority;
    struct invitations *invitations;
    struct roster *roster;
    struct hf_public_key key;
    struct fact_bytes ring;
};

/* A new code on these terms, to be answered at `address`. */
HF_MUST_CHECK enum hf_code steward_invite(struct steward *steward, const char *address,
                                          const struct invitation_terms *terms,
                                          char text[static CODE_TEXT_SIZE],
                                          struct hf_err *err);

/* Answers the JOIN_REQUEST of n bytes from a peer that TLS proved to hold `tls_key`:
 * *reply is the answer, refusal or not.  A new certificate is on the roster, which the
 * caller then saves before it sends the reply (a crash between costs one number, no
 * member); a machine that was admitted before gets its certificate again. */
void steward_admit(struct steward *steward, const void *request, size_t n,
                   const struct hf_public_key *tls_key, int64_t now_s,
                   struct join_reply *reply);

struct newcomer {
    struct hf_public_key key;
    const char *name;
    bool steward;
};

/* Issues a certificate, and puts it on the roster; *node is the newcomer's id.
 * HF_INVALID: the name.  HF_TOO_LARGE: the roster is full. */
HF_MUST_CHECK enum hf_code steward_certify(struct steward *steward,
                                           const struct newcomer *newcomer, int64_t now_s,
                                           struct hf_id *node, struct hf_err *err);

/* A member's certificate for another year, with the next serial.  HF_NOT_FOUND: not a
 * member.  HF_DENIED: it was evicted. */
HF_MUST_CHECK enum hf_code steward_renew(struct steward *steward, const struct hf_id *node,
                                         int64_t now_s, struct hf_err *err);

/* Revokes all certificates of a member.  HF_NOT_FOUND.  Evicting twice is success. */
HF_MUST_CHECK enum hf_code steward_evict(struct steward *steward, const struct hf_id *node,
                                         int64_t now_s, struct hf_err *err);

#endif
