/* The low-level SHA-256 calls of OpenSSL are used on purpose: they need no context from
 * the heap, cannot fail, and fetching an algorithm costs more than hashing 64 bytes. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "base/hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct hf_sha256),
              "struct hf_sha256 is too small");

static SHA256_CTX *context(struct hf_sha256 *h)
{
    return (SHA256_CTX *)(void *)h->state;
}

void hf_sha256_init(struct hf_sha256 *h)
{
    (void)SHA256_Init(context(h));
}

void hf_sha256_add(struct hf_sha256 *h, const void *bytes, size_t n)
{
    (void)SHA256_Update(context(h), bytes, n);
}

void hf_sha256_final(struct hf_sha256 *h, struct hf_id *out)
{
    (void)SHA256_Final(out->b, context(h));
}

void hf_sha256(const void *bytes, size_t n, struct hf_id *out)
{
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, out);
}

void hf_hmac_sha256(const uint8_t key[static 32], const void *bytes, size_t n,
                    struct hf_id *out)
{
    uint8_t pad[SHA256_CBLOCK];
    struct hf_sha256 h;

    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < 32; i++)
        pad[i] ^= key[i];
    hf_sha256_init(&h);
    hf_sha256_add(&h, pad, sizeof pad);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, out);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hf_sha256_init(&h);
    hf_sha256_add(&h, pad, sizeof pad);
    hf_sha256_add(&h, out->b, sizeof out->b);
    hf_sha256_final(&h, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(&h, sizeof h);
}

void hf_hkdf_sha256(const uint8_t secret[static 32], const char *label, uint8_t *out,
                    size_t n)
{
    static const uint8_t no_salt[32];
    uint8_t block[32 + 96 + 1]; /* T(i-1) || info || i */
    size_t label_size = strlen(label);
    size_t t_size = 0;
    struct hf_id prk;
    struct hf_id t;

    assert(label_size <= 96 && n <= 255 * sizeof t.b);
    hf_hmac_sha256(no_salt, secret, 32, &prk);
    for (uint8_t i = 1; n > 0; i++) {
        size_t take = n < sizeof t.b ? n : sizeof t.b;

        memcpy(block + t_size, label, label_size);
        block[t_size + label_size] = i;
        hf_hmac_sha256(prk.b, block, t_size + label_size + 1, &t);
        memcpy(block, t.b, sizeof t.b);
        t_size = sizeof t.b;
        memcpy(out, t.b, take);
        out += take;
        n -= take;
    }
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(&prk, sizeof prk);
    OPENSSL_cleanse(&t, sizeof t);
}

bool hf_equal_ct(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
