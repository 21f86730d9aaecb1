/* hash.h - SHA-256, HMAC, HKDF.
 *
 * Cannot fail.  Any thread; a struct hf_sha256 has one owner. */
#ifndef HOLDFAST_BASE_HASH_H
#define HOLDFAST_BASE_HASH_H

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_sha256 {
    uint64_t state[16]; /* opaque */
};

void hf_sha256_init(struct hf_sha256 *h);
void hf_sha256_add(struct hf_sha256 *h, const void *bytes, size_t n);
void hf_sha256_final(struct hf_sha256 *h, struct hf_id *out);
void hf_sha256(const void *bytes, size_t n, struct hf_id *out);

/* HMAC-SHA256 (RFC 2104) of n bytes under a key of 32. */
void hf_hmac_sha256(const uint8_t key[static 32], const void *bytes, size_t n,
                    struct hf_id *out);

/* HKDF-SHA256 (RFC 5869), no salt, info = the label: n <= 8160 bytes to out. */
void hf_hkdf_sha256(const uint8_t secret[static 32], const char *label, uint8_t *out,
                    size_t n);

/* Compares n bytes in constant time. */
bool hf_equal_ct(const void *a, const void *b, size_t n);

#endif
