#include "base/aead.h"

#include "base/hash.h"
#include "base/secret.h"
#include "base/wide_gcm.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t zero_nonce[12];

struct hf_aead {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
};

struct hf_aead *hf_aead_new(void)
{
    struct hf_aead *aead = calloc(1, sizeof *aead);

    if (aead == NULL) return NULL;
    aead->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    aead->ctx = EVP_CIPHER_CTX_new();
    if (aead->cipher == NULL || aead->ctx == NULL) {
        hf_aead_free(aead);
        return NULL;
    }
    return aead;
}

void hf_aead_free(struct hf_aead *aead)
{
    if (aead == NULL) return;
    EVP_CIPHER_CTX_free(aead->ctx);
    EVP_CIPHER_free(aead->cipher);
    free(aead);
}

enum hf_code hf_aead_seal(struct hf_aead *aead, const uint8_t key[static HF_AEAD_KEY_SIZE],
                          struct hf_aad aad, const void *in, size_t n, uint8_t *out,
                          struct hf_err *err)
{
    const struct hf_gcm_text text = {aad.bytes, aad.size, in, n, out};
    int got = 0;
    int tail = 0;

    if (n > INT_MAX || aad.size > INT_MAX)
        return hf_fail(err, HF_TOO_LARGE, "seal: %zu bytes are too many", n);
    if (hf_wide_gcm_seal(key, &text, out + n)) return HF_OK;
    if (EVP_EncryptInit_ex2(aead->ctx, aead->cipher, key, zero_nonce, NULL) != 1 ||
        EVP_EncryptUpdate(aead->ctx, NULL, &got, aad.bytes, (int)aad.size) != 1 ||
        EVP_EncryptUpdate(aead->ctx, out, &got, in, (int)n) != 1 ||
        EVP_EncryptFinal_ex(aead->ctx, out + got, &tail) != 1 ||
        EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_GET_TAG, HF_AEAD_TAG_SIZE, out + n) !=
            1)
        return hf_fail(err, HF_NO_MEMORY, "seal: the cipher failed");
    return HF_OK;
}

/* True when the tag is right. */
static bool open_narrow(struct hf_aead *aead, const uint8_t key[static HF_AEAD_KEY_SIZE],
                        const struct hf_gcm_text *text,
                        uint8_t tag[static HF_AEAD_TAG_SIZE])
{
    int got = 0;
    int tail = 0;

    return EVP_DecryptInit_ex2(aead->ctx, aead->cipher, key, zero_nonce, NULL) == 1 &&
           EVP_DecryptUpdate(aead->ctx, NULL, &got, text->aad, (int)text->aad_size) == 1 &&
           EVP_DecryptUpdate(aead->ctx, text->out, &got, text->in, (int)text->size) == 1 &&
           EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_SET_TAG, HF_AEAD_TAG_SIZE, tag) ==
               1 &&
           EVP_DecryptFinal_ex(aead->ctx, text->out + got, &tail) == 1;
}

enum hf_code hf_aead_open(struct hf_aead *aead, const uint8_t key[static HF_AEAD_KEY_SIZE],
                          struct hf_aad aad, const void *in, size_t n, uint8_t *out,
                          struct hf_err *err)
{
    struct hf_gcm_text text = {aad.bytes, aad.size, in, 0, out};
    uint8_t tag[HF_AEAD_TAG_SIZE];
    uint8_t right[HF_AEAD_TAG_SIZE];
    bool opened;

    if (n < HF_AEAD_TAG_SIZE || n > INT_MAX || aad.size > INT_MAX)
        return hf_fail(err, HF_CORRUPT, "sealed bytes: impossible size %zu", n);
    text.size = n - HF_AEAD_TAG_SIZE;
    memcpy(tag, text.in + text.size, sizeof tag);
    if (hf_wide_gcm_open(key, &text, right))
        opened = hf_equal_ct(tag, right, sizeof tag);
    else
        opened = open_narrow(aead, key, &text, tag);
    if (opened) return HF_OK;
    hf_wipe(out, text.size);
    return hf_fail(err, HF_CORRUPT, "sealed bytes do not authenticate");
}
