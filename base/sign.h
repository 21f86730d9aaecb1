/* sign.h - Ed25519 signatures over labelled bytes.
 *
 * What is signed is label || 0x00 || SHA-256(bytes), so that a signature made for
 * one kind of structure never verifies for another.  Signed structures travel as
 * a CBOR array [body, signature] of two byte strings: verify first, parse second. */
#ifndef HOLDFAST_BASE_SIGN_H
#define HOLDFAST_BASE_SIGN_H

#include "base/cbor.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_SEED_SIZE       32u
#define HF_PUBLIC_KEY_SIZE 32u
#define HF_SIGNATURE_SIZE  64u
#define HF_SIGNED_OVERHEAD 72u /* most bytes that hf_put_signed adds to a body */

struct hf_public_key {
    uint8_t b[HF_PUBLIC_KEY_SIZE];
};
struct hf_signature {
    uint8_t b[HF_SIGNATURE_SIZE];
};

struct hf_signer; /* opaque; a private key, any thread may sign with it */

/* NULL when out of memory.  The seed is copied; wipe yours. */
struct hf_signer *hf_signer_new(const uint8_t seed[static HF_SEED_SIZE]);
void hf_signer_free(struct hf_signer *signer);
const struct hf_public_key *hf_signer_public(const struct hf_signer *signer);

/* HF_NO_MEMORY is the only failure. */
HF_MUST_CHECK enum hf_code hf_sign(const struct hf_signer *signer, const char *label,
                                   const void *bytes, size_t n, struct hf_signature *sig,
                                   struct hf_err *err);

/* False for a wrong signature, a malformed key, and when out of memory. */
HF_MUST_CHECK bool hf_verify(const struct hf_public_key *key, const char *label,
                             const void *bytes, size_t n, const struct hf_signature *sig);

/* Writes [body, signature] for the `n` bytes of body. */
HF_MUST_CHECK enum hf_code hf_put_signed(struct hf_writer *w,
                                         const struct hf_signer *signer, const char *label,
                                         const void *body, size_t n, struct hf_err *err);

/* Reads [body, signature] in place without verifying it (the key may be in the body:
 * then parse the key alone, verify, and only then use the rest).  NULL on failure. */
const uint8_t *hf_get_signed(struct hf_reader *r, size_t body_max, size_t *n,
                             struct hf_signature *sig);

/* A 32-byte key as the id of what it belongs to: SHA-256(key). */
void hf_public_key_id(const struct hf_public_key *key, struct hf_id *id);

#endif
