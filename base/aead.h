/* aead.h - AES-256-GCM under a key that is used for one message only.
 *
 * The nonce is zero: whoever calls guarantees that no key seals two different
 * messages (docs/formats.md, Frame).  One struct per thread; it caches the cipher. */
#ifndef HOLDFAST_BASE_AEAD_H
#define HOLDFAST_BASE_AEAD_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HF_AEAD_KEY_SIZE 32u
#define HF_AEAD_TAG_SIZE 16u

struct hf_aead; /* opaque */

struct hf_aead *hf_aead_new(void); /* NULL: out of memory */
void hf_aead_free(struct hf_aead *aead);

/* Bytes authenticated with a message but not sealed. */
struct hf_aad {
    const void *bytes;
    size_t size;
};

/* Seals n bytes to out: n + HF_AEAD_TAG_SIZE bytes, the tag last.  out may equal in. */
HF_MUST_CHECK enum hf_code hf_aead_seal(struct hf_aead *aead,
                                        const uint8_t key[static HF_AEAD_KEY_SIZE],
                                        struct hf_aad aad, const void *in, size_t n,
                                        uint8_t *out, struct hf_err *err);

/* Opens n bytes (tag included) to out: n - HF_AEAD_TAG_SIZE bytes.  HF_CORRUPT when
 * they do not authenticate; out is then wiped.  out may equal in. */
HF_MUST_CHECK enum hf_code hf_aead_open(struct hf_aead *aead,
                                        const uint8_t key[static HF_AEAD_KEY_SIZE],
                                        struct hf_aad aad, const void *in, size_t n,
                                        uint8_t *out, struct hf_err *err);

#endif
