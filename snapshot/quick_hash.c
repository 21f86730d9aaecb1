#include "snapshot/quick_hash.h"

#include "base/hash.h"
#include "base/secret.h"
#include "base/wide_gcm.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

struct quick_hash {
    struct hf_wide_gmac *wide; /* or NULL, and then: */
    EVP_MAC *mac;
    EVP_MAC_CTX *context;
    uint8_t key[32];
};

struct quick_hash *quick_hash_new(const uint8_t key[static 32])
{
    struct quick_hash *h = calloc(1, sizeof *h);

    if (h == NULL) return NULL;
    h->wide = hf_wide_gmac_new(key);
    if (h->wide != NULL) return h;
    memcpy(h->key, key, sizeof h->key);
    h->mac = EVP_MAC_fetch(NULL, "GMAC", NULL);
    if (h->mac != NULL) h->context = EVP_MAC_CTX_new(h->mac);
    if (h->context != NULL) return h;
    quick_hash_free(h);
    return NULL;
}

void quick_hash_free(struct quick_hash *hash)
{
    if (hash == NULL) return;
    hf_wide_gmac_free(hash->wide);
    EVP_MAC_CTX_free(hash->context);
    EVP_MAC_free(hash->mac);
    hf_wipe(hash, sizeof *hash);
    free(hash);
}

static bool narrow_gmac(struct quick_hash *hash, const uint8_t *bytes, size_t n,
                        uint8_t tag[static HF_GCM_TAG_SIZE])
{
    static char cipher[] = "AES-256-GCM";
    uint8_t nonce[12] = {0}; /* always: a hash, not a message to somebody */
    size_t size;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce, sizeof nonce),
        OSSL_PARAM_construct_end()};

    return EVP_MAC_init(hash->context, hash->key, sizeof hash->key, params) == 1 &&
           EVP_MAC_update(hash->context, bytes, n) == 1 &&
           EVP_MAC_final(hash->context, tag, &size, HF_GCM_TAG_SIZE) == 1 &&
           size == HF_GCM_TAG_SIZE;
}

bool quick_hash_of(struct quick_hash *hash, const uint8_t *bytes, size_t n,
                   struct hf_id *out)
{
    uint8_t tag[HF_GCM_TAG_SIZE];

    if (hash->wide != NULL)
        hf_wide_gmac_of(hash->wide, bytes, n, tag);
    else if (!narrow_gmac(hash, bytes, n, tag))
        return false;
    hf_sha256(tag, sizeof tag, out);
    hf_wipe(tag, sizeof tag);
    return true;
}
