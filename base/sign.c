#include "base/sign.h"

#include "base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX   64u
#define MESSAGE_MAX (LABEL_MAX + 1u + HF_ID_SIZE)

struct hf_signer {
    EVP_PKEY *key;
    struct hf_public_key public_key;
};

struct hf_signer *hf_signer_new(const uint8_t seed[static HF_SEED_SIZE])
{
    struct hf_signer *signer = calloc(1, sizeof *signer);
    size_t n = HF_PUBLIC_KEY_SIZE;

    if (signer == NULL) return NULL;
    signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, HF_SEED_SIZE);
    if (signer->key == NULL ||
        EVP_PKEY_get_raw_public_key(signer->key, signer->public_key.b, &n) != 1 ||
        n != HF_PUBLIC_KEY_SIZE) {
        hf_signer_free(signer);
        return NULL;
    }
    return signer;
}

void hf_signer_free(struct hf_signer *signer)
{
    if (signer == NULL) return;
    EVP_PKEY_free(signer->key);
    free(signer);
}

const struct hf_public_key *hf_signer_public(const struct hf_signer *signer)
{
    return &signer->public_key;
}

static size_t message(const char *label, const void *bytes, size_t n,
                      uint8_t out[static MESSAGE_MAX])
{
    size_t size = strlen(label) + 1; /* the NUL is the separator */
    struct hf_id digest;

    assert(size <= LABEL_MAX + 1);
    memcpy(out, label, size);
    hf_sha256(bytes, n, &digest);
    memcpy(out + size, digest.b, sizeof digest.b);
    return size + sizeof digest.b;
}

enum hf_code hf_sign(const struct hf_signer *signer, const char *label, const void *bytes,
                     size_t n, struct hf_signature *sig, struct hf_err *err)
{
    uint8_t m[MESSAGE_MAX];
    size_t m_size = message(label, bytes, n, m);
    size_t sig_size = HF_SIGNATURE_SIZE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx != NULL &&
                EVP_DigestSignInit(ctx, NULL, NULL, NULL, signer->key) == 1 &&
                EVP_DigestSign(ctx, sig->b, &sig_size, m, m_size) == 1 &&
                sig_size == HF_SIGNATURE_SIZE;

    EVP_MD_CTX_free(ctx);
    return done ? HF_OK : hf_fail(err, HF_NO_MEMORY, "sign %s: out of memory", label);
}

bool hf_verify(const struct hf_public_key *key, const char *label, const void *bytes,
               size_t n, const struct hf_signature *sig)
{
    uint8_t m[MESSAGE_MAX];
    size_t m_size = message(label, bytes, n, m);
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->b, HF_PUBLIC_KEY_SIZE);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool valid = pkey != NULL && ctx != NULL &&
                 EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                 EVP_DigestVerify(ctx, sig->b, HF_SIGNATURE_SIZE, m, m_size) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return valid;
}

enum hf_code hf_put_signed(struct hf_writer *w, const struct hf_signer *signer,
                           const char *label, const void *body, size_t n,
                           struct hf_err *err)
{
    struct hf_signature sig;
    enum hf_code rc = hf_sign(signer, label, body, n, &sig, err);

    if (rc != HF_OK) return rc;
    hf_put_array(w, 2);
    hf_put_bytes(w, body, n);
    hf_put_bytes(w, sig.b, sizeof sig.b);
    if (w->failed)
        return hf_fail(err, HF_TOO_LARGE, "%s: no room for the signature", label);
    return HF_OK;
}

const uint8_t *hf_get_signed(struct hf_reader *r, size_t body_max, size_t *n,
                             struct hf_signature *sig)
{
    const uint8_t *body;

    *n = 0;
    if (hf_get_array(r, 2, 1) != 2) hf_reader_fail(r);
    body = hf_get_bytes(r, body_max, n);
    hf_get_fixed(r, sig->b, sizeof sig->b);
    return r->failed ? NULL : body;
}

void hf_public_key_id(const struct hf_public_key *key, struct hf_id *id)
{
    hf_sha256(key->b, sizeof key->b, id);
}
