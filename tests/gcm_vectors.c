#include "gcm_vectors.h"

#include "test.h"

#include "base/aead.h"
#include "base/hash.h"
#include "snapshot/quick_hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void unhex(const char *hex, uint8_t *out)
{
    for (; *hex != '\0'; hex += 2)
        *out++ = (uint8_t)strtoul((char[]){hex[0], hex[1], '\0'}, NULL, 16);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14: key,
 * nonce and plaintext all zeros. */
void gcm_known_answers(void **state)
{
    struct hf_aead *aead = hf_aead_new();
    const uint8_t key[HF_AEAD_KEY_SIZE] = {0};
    const uint8_t plain[16] = {0};
    const struct hf_aad none = {"", 0};
    uint8_t sealed[16 + HF_AEAD_TAG_SIZE];
    uint8_t want[16 + HF_AEAD_TAG_SIZE];
    struct hf_err err;

    unhex("530f8afbc74536b9a963b4f1c4cb738b", want);
    assert_int_equal(hf_aead_seal(aead, key, none, plain, 0, sealed, &err), HF_OK);
    assert_memory_equal(sealed, want, 16);
    unhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", want);
    assert_int_equal(hf_aead_seal(aead, key, none, plain, 16, sealed, &err), HF_OK);
    assert_memory_equal(sealed, want, 32);
    hf_aead_free(aead);
    (void)state;
}

/* Seals n bytes by OpenSSL alone; with out NULL only the tag (which is GMAC). */
static void reference(const uint8_t key[32], const uint8_t *aad, size_t aad_size,
                      const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[16])
{
    static const uint8_t nonce[12];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int got;

    assert_non_null(c);
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &got, aad, (int)aad_size), 1);
    if (out != NULL) assert_int_equal(EVP_EncryptUpdate(c, out, &got, in, (int)n), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, tag, &got), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
    EVP_CIPHER_CTX_free(c);
}

enum { MOST = 1100000 };

static uint8_t *pattern(void)
{
    uint8_t *bytes = malloc(MOST);

    assert_non_null(bytes);
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (uint8_t)((i * 2654435761u) >> 13);
    return bytes;
}

static void same_as_reference(struct hf_aead *aead, const uint8_t *bytes, size_t n,
                              size_t aad_size)
{
    uint8_t *want = malloc(n + HF_AEAD_TAG_SIZE);
    uint8_t *got = malloc(n + HF_AEAD_TAG_SIZE);
    const struct hf_aad aad = {bytes + 77, aad_size};
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_err err;

    assert_true(want != NULL && got != NULL);
    memcpy(key, bytes + n % 1000, sizeof key);
    reference(key, aad.bytes, aad_size, bytes, n, want, want + n);
    assert_int_equal(hf_aead_seal(aead, key, aad, bytes, n, got, &err), HF_OK);
    assert_memory_equal(got, want, n + HF_AEAD_TAG_SIZE);
    /* in place, both ways */
    assert_int_equal(hf_aead_open(aead, key, aad, got, n + HF_AEAD_TAG_SIZE, got, &err),
                     HF_OK);
    assert_memory_equal(got, bytes, n);
    assert_int_equal(hf_aead_seal(aead, key, aad, got, n, got, &err), HF_OK);
    assert_memory_equal(got, want, n + HF_AEAD_TAG_SIZE);
    free(want);
    free(got);
}

void gcm_is_openssls_for_every_size(void **state)
{
    static const size_t large[] = {4095, 4096, 4097, 65536, 262144, 999999, 1048576 + 64};
    struct hf_aead *aead = hf_aead_new();
    uint8_t *bytes = pattern();

    for (size_t n = 0; n <= 1200; n++)
        same_as_reference(aead, bytes, n, n % 67);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        same_as_reference(aead, bytes, large[i], 5);
    free(bytes);
    hf_aead_free(aead);
    (void)state;
}

void gcm_opens_only_unaltered(void **state)
{
    struct hf_aead *aead = hf_aead_new();
    uint8_t key[HF_AEAD_KEY_SIZE] = {1};
    struct hf_aad aad = {"role", 4};
    uint8_t sealed[5 + HF_AEAD_TAG_SIZE];
    uint8_t plain[5];
    struct hf_err err;

    assert_int_equal(hf_aead_seal(aead, key, aad, "hello", 5, sealed, &err), HF_OK);
    assert_int_equal(hf_aead_open(aead, key, aad, sealed, sizeof sealed, plain, &err),
                     HF_OK);
    assert_memory_equal(plain, "hello", 5);
    for (size_t i = 0; i < sizeof sealed * 8; i++) {
        sealed[i / 8] ^= (uint8_t)(1u << i % 8);
        memset(plain, 'x', sizeof plain);
        assert_int_equal(hf_aead_open(aead, key, aad, sealed, sizeof sealed, plain, &err),
                         HF_CORRUPT);
        assert_memory_equal(plain, "\0\0\0\0\0", sizeof plain); /* not handed out */
        sealed[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    aad.bytes = "rolf";
    assert_int_equal(hf_aead_open(aead, key, aad, sealed, sizeof sealed, plain, &err),
                     HF_CORRUPT);
    assert_int_equal(hf_aead_open(aead, key, aad, sealed, 3, plain, &err), HF_CORRUPT);
    hf_aead_free(aead);
    (void)state;
}

void quick_hash_is_openssls_gmac(void **state)
{
    static const size_t sizes[] = {0,   1,   15,   16,    17,     255,
                                   256, 257, 4095, 65536, 262145, 1048576};
    uint8_t *bytes = pattern();
    struct quick_hash *quick = quick_hash_new(bytes + 5);

    assert_non_null(quick);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t tag[16];
        struct hf_id want, got;

        reference(bytes + 5, bytes, sizes[i], NULL, 0, NULL, tag);
        hf_sha256(tag, sizeof tag, &want);
        assert_true(quick_hash_of(quick, bytes, sizes[i], &got));
        assert_true(hf_id_equal(&got, &want));
    }
    quick_hash_free(quick);
    free(bytes);
    (void)state;
}
