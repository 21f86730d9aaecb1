#include "membership/identity.h"

#include "base/random.h"
#include "base/secret.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

struct identity {
    struct hf_signer *signer;
    EVP_PKEY *key;
    X509 *x509;
};

static bool set_times(X509 *x509)
{
    /* Nobody looks at them: validity is the authority's to say. */
    return ASN1_TIME_set_string(X509_getm_notBefore(x509), "19700101000000Z") == 1 &&
           ASN1_TIME_set_string(X509_getm_notAfter(x509), "99991231235959Z") == 1;
}

static X509 *self_signed(EVP_PKEY *key)
{
    static const unsigned char name[] = "holdfast";
    X509 *x509 = X509_new();
    X509_NAME *subject;

    if (x509 == NULL) return NULL;
    subject = X509_get_subject_name(x509);
    if (X509_set_version(x509, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 && set_times(x509) &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
        X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, key) == 1 &&
        X509_sign(x509, key, NULL) > 0)
        return x509;
    X509_free(x509);
    return NULL;
}

enum hf_code identity_from_seed(const uint8_t seed[static HF_SEED_SIZE],
                                struct identity **out, struct hf_err *err)
{
    struct identity *identity = calloc(1, sizeof *identity);

    *out = NULL;
    if (identity == NULL) return hf_fail(err, HF_NO_MEMORY, "node key");
    identity->signer = hf_signer_new(seed);
    identity->key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, HF_SEED_SIZE);
    if (identity->key != NULL) identity->x509 = self_signed(identity->key);
    if (identity->signer == NULL || identity->x509 == NULL) {
        identity_free(identity);
        return hf_fail(err, HF_NO_MEMORY, "node key");
    }
    *out = identity;
    return HF_OK;
}

void identity_free(struct identity *identity)
{
    if (identity == NULL) return;
    X509_free(identity->x509);
    EVP_PKEY_free(identity->key);
    hf_signer_free(identity->signer);
    free(identity);
}

enum hf_code identity_create(struct hf_files *files, int dir_fd, struct identity **identity,
                             struct hf_err *err)
{
    uint8_t seed[HF_SEED_SIZE + 1];
    enum hf_code rc;
    size_t n;

    *identity = NULL;
    rc = hf_file_load(files, dir_fd, IDENTITY_FILE, seed, sizeof seed, &n, err);
    hf_wipe(seed, sizeof seed);
    if (rc == HF_OK || rc == HF_TOO_LARGE)
        return hf_fail(err, HF_EXISTS, "%s: there is a node key already", IDENTITY_FILE);
    if (rc != HF_NOT_FOUND) return rc;
    hf_random(seed, HF_SEED_SIZE);
    rc = hf_file_replace(files, dir_fd, IDENTITY_FILE, seed, HF_SEED_SIZE, 0600, err);
    if (rc == HF_OK) rc = identity_from_seed(seed, identity, err);
    hf_wipe(seed, sizeof seed);
    return rc;
}

enum hf_code identity_load(struct hf_files *files, int dir_fd, struct identity **identity,
                           struct hf_err *err)
{
    uint8_t seed[HF_SEED_SIZE + 1];
    enum hf_code rc;
    size_t n;

    *identity = NULL;
    rc = hf_file_load_private(files, dir_fd, IDENTITY_FILE, seed, sizeof seed, &n, err);
    if (rc == HF_OK && n != HF_SEED_SIZE)
        rc = hf_fail(err, HF_CORRUPT, "%s: %zu bytes, want %u", IDENTITY_FILE, n,
                     HF_SEED_SIZE);
    if (rc == HF_OK) rc = identity_from_seed(seed, identity, err);
    hf_wipe(seed, sizeof seed);
    return rc;
}

const struct hf_signer *identity_signer(const struct identity *identity)
{
    return identity->signer;
}

const struct hf_public_key *identity_public(const struct identity *identity)
{
    return hf_signer_public(identity->signer);
}

X509 *identity_x509(const struct identity *identity)
{
    return identity->x509;
}

EVP_PKEY *identity_private_key(const struct identity *identity)
{
    return identity->key;
}

bool identity_public_key_of_x509(X509 *x509, struct hf_public_key *key)
{
    EVP_PKEY *pkey = x509 == NULL ? NULL : X509_get0_pubkey(x509);
    size_t n = HF_PUBLIC_KEY_SIZE;

    return pkey != NULL && EVP_PKEY_id(pkey) == EVP_PKEY_ED25519 &&
           EVP_PKEY_get_raw_public_key(pkey, key->b, &n) == 1 && n == HF_PUBLIC_KEY_SIZE;
}
