/* wide_gcm.h - AES-256-GCM and GMAC (NIST SP 800-38D) in wide registers: libipsec-mb's, at
 * three times the speed of OpenSSL 3.0 where a processor has VAES (16 GB/s on one core here
 * against 5.2, and 26 against 9 for GMAC).
 *
 * False or NULL: not here, or the library or the processor failed a trial on a known
 * message; the caller does without.  The nonce is zero, as in aead.h.  Any thread. */
#ifndef HOLDFAST_BASE_WIDE_GCM_H
#define HOLDFAST_BASE_WIDE_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_GCM_KEY_SIZE 32u
#define HF_GCM_TAG_SIZE 16u

struct hf_gcm_text {
    const void *aad;
    size_t aad_size;
    const uint8_t *in;
    size_t size;  /* of in and out */
    uint8_t *out; /* may be `in` */
};

bool hf_wide_gcm_seal(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE]);
/* Sets `tag` to what it ought to be: the caller compares, and wipes `out` if it is not. */
bool hf_wide_gcm_open(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE]);

struct hf_wide_gmac; /* opaque: an expanded key; many threads may use it at once */

struct hf_wide_gmac *hf_wide_gmac_new(const uint8_t key[static HF_GCM_KEY_SIZE]);
/* Wipes it.  NULL is allowed. */
void hf_wide_gmac_free(struct hf_wide_gmac *gmac);
void hf_wide_gmac_of(const struct hf_wide_gmac *gmac, const void *bytes, size_t n,
                     uint8_t tag[static HF_GCM_TAG_SIZE]);

#endif
