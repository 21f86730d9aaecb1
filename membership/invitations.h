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

/* A new secret, good for `uses` machines (1..INVITATION_USES_MAX) until expires_s, saved.
 * Those expired at now_s are forgotten.  HF_NO_SPACE: INVITATIONS_MAX are open. */
HF_MUST_CHECK enum hf_code invitations_add(struct invitations *table, unsigned uses,
                                           int64_t now_s, int64_t expires_s,
                                           uint8_t secret[static INVITATION_SECRET_SIZE],
                                           struct hf_err *err);

/* HMAC-SHA256(invitation_key(secret), "hf1/join" || joiner || steward): good for this
 * joiner towards this steward only. */
void invitation_prove(const uint8_t secret[static INVITATION_SECRET_SIZE],
                      const struct hf_public_key *joiner,
                      const struct hf_public_key *steward, struct hf_id *proof);

/* Takes one use of the invitation that `proof` shows, for `joiner`, and saves that; a
 * joiner that it already served costs no further use (*again).  HF_DENIED: no such
 * invitation.  HF_TIMED_OUT: expired.  HF_NO_SPACE: used up. */
HF_MUST_CHECK enum hf_code
invitations_redeem(struct invitations *table, const struct hf_id *proof,
                   const struct hf_public_key *joiner, const struct hf_public_key *steward,
                   int64_t now_s, bool *again, struct hf_err *err);

#endif
