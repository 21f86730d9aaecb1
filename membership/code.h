/* code.h - an invitation code: one word with which a new machine joins a ring.
 *
 * "hf1-" and base64url of {where a steward answers, who the ring is, a secret, until
 * when}, with a checksum.  Any thread. */
#ifndef HOLDFAST_MEMBERSHIP_CODE_H
#define HOLDFAST_MEMBERSHIP_CODE_H

#include "base/err.h"
#include "base/id.h"
#include "membership/text.h"

#define INVITATION_PREFIX      "hf1-"
#define INVITATION_SECRET_SIZE 16u

struct invitation_code {
    char address[ADDRESS_SIZE]; /* of the steward's daemon */
    struct hf_id fingerprint;   /* of the ring's authority */
    uint8_t secret[INVITATION_SECRET_SIZE];
    int64_t expires_s; /* since 1970, UTC */
};

/* HF_INVALID: the address is malformed. */
HF_MUST_CHECK enum hf_code invitation_code_put(const struct invitation_code *code,
                                               char text[static CODE_TEXT_SIZE],
                                               struct hf_err *err);

/* HF_WRONG_KEY: mistyped, or no invitation code.  An expired one parses. */
HF_MUST_CHECK enum hf_code
invitation_code_parse(const char *text, struct invitation_code *code, struct hf_err *err);

/* HF_WRONG_KEY, and the message says so, when the code has expired at now_s. */
HF_MUST_CHECK enum hf_code invitation_code_check(const struct invitation_code *code,
                                                 int64_t now_s, struct hf_err *err);

/* What proofs are keyed with and stewards keep: SHA-256("hf1/invitation" || secret). */
void invitation_key(const uint8_t secret[static INVITATION_SECRET_SIZE], struct hf_id *key);

#endif
