/* invitations.h - the invitations that a steward has given out and not yet forgotten.
 *
 * A table in the steward's home.  It is on disk before an answer goes out, so that a code
 * never serves more machines than it is good for; a machine that asks again is served
 * again.  Not thread-safe: one owner. */
#ifndef HOLDFAST_MEMBERSHIP_INVITATIONS_H
#define HOLDFAST_MEMBERSHIP_INVITATIONS_H

#include "base/file.h"
#include "base/sign.h"
#include "membership/code.h"

#define INVITATIONS_FILE    "invitations"
#define INVITATIONS_MAX     256u
#define INVITATION_USES_MAX 64u

struct invitations; /* opaque */

/* Reads dir/invitations; none there is an empty table.  `files` and dir_fd are borrowed
 * for its life.  HF_CORRUPT, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code invitations_open(struct hf_files *files, int dir_fd,
                                            struct invitations **table, struct hf_err *err);
void invitations_close(struct invitations *table); /* NULL is allowed */

struct invitation_terms {
    unsigned uses; /* machines it is good for, 1..INVITATION_USES_MAX */
    int64_t now_s, expires_s;
};

/* A new secret on these terms, saved.  Those long expired are forgotten.  HF_INVALID: the
 * terms.  HF_NO_SPACE: INVITATIONS_MAX are open. */
HF_MUST_CHECK enum hf_code invitations_add(struct invitations *table,
                                           const struct invitation_terms *terms,
                                           uint8_t secret[static INVITATION_SECRET_SIZE],
                                           struct hf_err *err);

/* HMAC-SHA256(invitation_key(secret), "hf1/join" || joiner || steward): good for this
 * joiner towards this steward only. */
void invitation_prove(const uint8_t secret[static INVITATION_SECRET_SIZE],
                      const struct hf_public_key *joiner,
                      const struct hf_public_key *steward, struct hf_id *proof);

/* "I, joiner, was invited to you, steward." */
struct invitation_claim {
    const struct hf_id *proof;
    const struct hf_public_key *joiner, *steward;
};

/* Takes one use of the invitation that the claim proves, and saves that; a joiner that it
 * already served costs no further use (*again).  HF_DENIED: no such invitation.
 * HF_TIMED_OUT: expired.  HF_NO_SPACE: used up. */
HF_MUST_CHECK enum hf_code invitations_redeem(struct invitations *table,
                                              const struct invitation_claim *claim,
                                              int64_t now_s, bool *again,
                                              struct hf_err *err);

#endif
