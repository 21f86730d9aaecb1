#include "base/random.h"

#include "base/secret.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void hf_random(void *bytes, size_t n)
{
    uint8_t *p = bytes;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) abort();
        p += got;
        n -= (size_t)got;
    }
}

void hf_random_fill(void *bytes, size_t n)
{
    uint8_t seed[32 + 16];
    uint8_t *p = bytes;
    EVP_CIPHER_CTX *ctx = n < 4096 ? NULL : EVP_CIPHER_CTX_new();
    bool ready;

    if (ctx == NULL) {
        hf_random(bytes, n);
        return;
    }
    hf_random(seed, sizeof seed);
    ready = EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, seed, seed + 32) == 1;
    memset(p, 0, n);
    while (ready && n > 0) {
        int take = n > (1u << 30) ? 1 << 30 : (int)n;
        int got = 0;

        ready = EVP_EncryptUpdate(ctx, p, &got, p, take) == 1 && got == take;
        p += take;
        n -= (size_t)take;
    }
    EVP_CIPHER_CTX_free(ctx);
    hf_wipe(seed, sizeof seed);
    if (!ready) hf_random(bytes, (size_t)(p - (uint8_t *)bytes) + n);
}
