/* manifest_parse never crashes, and what it takes is encoded again to the same shape. */
#include "erasure/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t seed[HF_SEED_SIZE] = {7};
    static struct hf_signer *signer;
    uint8_t bytes[MANIFEST_SIZE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    struct manifest manifest;
    struct hf_err err;

    /* As it is, and as a body that is signed by a key of ours: behind the signature. */
    (void)manifest_parse(data, size, &manifest, &err);
    if (signer == NULL) signer = hf_signer_new(seed);
    if (signer == NULL ||
        hf_put_signed(&w, signer, MANIFEST_LABEL, data, size, &err) != HF_OK)
        return 0;
    if (manifest_parse(bytes, hf_writer_size(&w), &manifest, &err) != HF_OK) return 0;
    w = hf_writer_init(bytes, sizeof bytes);
    if (manifest_encode(&w, &manifest, signer, &err) != HF_OK) abort();
    if (manifest_parse(bytes, hf_writer_size(&w), &manifest, &err) != HF_OK) abort();
    return 0;
}
