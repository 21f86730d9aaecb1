/* keys.h - the vault secret and the keys that come from it (docs/design.md section 5,
 * Keys).
 *
 * One HKDF label per use; each label carries the role and the key epoch. */
#ifndef HOLDFAST_SNAPSHOT_KEYS_H
#define HOLDFAST_SNAPSHOT_KEYS_H

#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "base/sign.h"

#include <stdint.h>

#define VAULT_SECRET_SIZE 32u

struct vault_keys {
    struct hf_id vault;       /* SHA-256 of the owner's public key */
    struct hf_signer *signer; /* manifests and head records */
    struct hf_secret *keys;   /* locked: what the pointers below point into */
    const uint8_t *frame_kdf; /* 32 bytes: one-time frame keys */
    const uint8_t *record;    /* 32 bytes: sealing of head records */
    const uint8_t *chunker;   /* 32 bytes: the gear table */
    const uint8_t *quick;     /* 32 bytes: the index's quick hash */
};

/* Derives all of it from the secret (VAULT_SECRET_SIZE bytes).  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code vault_keys_init(struct vault_keys *keys,
                                           const struct hf_secret *secret,
                                           struct hf_err *err);
/* Wipes.  A zeroed struct is allowed. */
void vault_keys_done(struct vault_keys *keys);

#endif
