#include "snapshot/keys.h"

#include "base/hash.h"

#include <string.h>

static const char label_owner[] = "hf1/owner-signing/0";
static const char label_frame[] = "hf1/frame-kdf/0";
static const char label_record[] = "hf1/record-sealing/0";
static const char label_chunker[] = "hf1/chunker-gear/0";
static const char label_quick[] = "hf1/quick-hash/0";

enum hf_code vault_keys_init(struct vault_keys *keys, const struct hf_secret *secret,
                             struct hf_err *err)
{
    uint8_t seed[HF_SEED_SIZE];

    memset(keys, 0, sizeof *keys);
    if (secret->size != VAULT_SECRET_SIZE)
        return hf_fail(err, HF_WRONG_KEY, "vault secret: %zu bytes, want %u", secret->size,
                       VAULT_SECRET_SIZE);
    keys->keys = hf_secret_new(128);
    if (keys->keys == NULL) return hf_fail(err, HF_NO_MEMORY, "vault keys: out of memory");
    hf_hkdf_sha256(secret->b, label_frame, keys->keys->b, 32);
    hf_hkdf_sha256(secret->b, label_record, keys->keys->b + 32, 32);
    hf_hkdf_sha256(secret->b, label_chunker, keys->keys->b + 64, 32);
    hf_hkdf_sha256(secret->b, label_quick, keys->keys->b + 96, 32);
    keys->frame_kdf = keys->keys->b;
    keys->record = keys->keys->b + 32;
    keys->chunker = keys->keys->b + 64;
    keys->quick = keys->keys->b + 96;

    hf_hkdf_sha256(secret->b, label_owner, seed, sizeof seed);
    keys->signer = hf_signer_new(seed);
    hf_wipe(seed, sizeof seed);
    if (keys->signer == NULL) {
        vault_keys_done(keys);
        return hf_fail(err, HF_NO_MEMORY, "vault keys: out of memory");
    }
    hf_public_key_id(hf_signer_public(keys->signer), &keys->vault);
    return HF_OK;
}

void vault_keys_done(struct vault_keys *keys)
{
    hf_signer_free(keys->signer);
    hf_secret_free(keys->keys);
    memset(keys, 0, sizeof *keys);
}
