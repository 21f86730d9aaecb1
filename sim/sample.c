#include "sim/sample.h"

#include "base/alloc.h"
#include "base/tree_hash.h"
#include "sim/draw.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_SIZE_MAX (SAMPLE_K_MAX * HF_LEAF_SIZE)

struct sampler {
    struct hf_signer *signer;
    struct coder *coder;
    struct hf_id vault;
    uint8_t block[SAMPLE_SIZE_MAX], decoded[SAMPLE_SIZE_MAX];
};

struct sampler *sampler_new(void)
{
    static const uint8_t owner[HF_SEED_SIZE] = {1};
    struct sampler *sampler = hf_alloc_array(1, sizeof *sampler);

    if (sampler == NULL) return NULL;
    sampler->signer = hf_signer_new(owner);
    sampler->coder = coder_new();
    if (sampler->signer == NULL || sampler->coder == NULL) {
        sampler_free(sampler);
        return NULL;
    }
    hf_public_key_id(hf_signer_public(sampler->signer), &sampler->vault);
    return sampler;
}

void sampler_free(struct sampler *sampler)
{
    if (sampler == NULL) return;
    hf_signer_free(sampler->signer);
    coder_free(sampler->coder);
    free(sampler);
}

const struct hf_id *sampler_vault(const struct sampler *sampler)
{
    return &sampler->vault;
}

static void fill(uint64_t content, uint8_t *bytes, size_t size)
{
    struct draw draw = draw_init(content, 60);

    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        const uint64_t word = draw_next(&draw);

        memcpy(&bytes[i], &word, sizeof word);
    }
}

static enum hf_code sign(struct sample *sample, const struct sampler *sampler,
                         struct manifest *manifest, struct hf_err *err)
{
    struct hf_writer w;
    enum hf_code rc;

    sample->manifest = hf_buffer_new(MANIFEST_SIZE_MAX);
    if (sample->manifest == NULL) return hf_fail(err, HF_NO_MEMORY, "manifest");
    w = hf_writer_init(sample->manifest->b, MANIFEST_SIZE_MAX);
    rc = manifest_encode(&w, manifest, sampler->signer, err);
    sample->manifest->size = hf_writer_size(&w);
    return rc;
}

static enum hf_code cut(struct sample *sample, const uint8_t *const *views,
                        struct hf_err *err)
{
    const size_t size = sample->shape.fragment_size;

    for (uint32_t i = 0; i < sample->shape.n; i++) {
        sample->fragments[i] = hf_buffer_new(size);
        if (sample->fragments[i] == NULL) return hf_fail(err, HF_NO_MEMORY, "fragment");
        memcpy(sample->fragments[i]->b, views[i], size);
    }
    return HF_OK;
}

enum hf_code sample_init(struct sample *sample, struct sampler *sampler,
                         const struct sample_plan *plan, struct hf_err *err)
{
    struct manifest manifest = {
        .generation = 1, .host = *plan->source, .source = *plan->source};
    const uint8_t *views[CODE_FRAGMENTS_MAX];
    struct hf_id leaves[HF_LEAVES_MAX];
    uint8_t *work = NULL;
    enum hf_code rc;

    memset(sample, 0, sizeof *sample);
    if (plan->k > SAMPLE_K_MAX)
        return hf_fail(err, HF_INVALID, "a sample of %u parts", plan->k);
    sample->content = plan->content;
    rc = code_shape_init(&sample->shape, (size_t)plan->k * HF_LEAF_SIZE, plan->k, plan->n,
                         err);
    if (rc != HF_OK) return rc;
    work = malloc(code_work_size(&sample->shape) + 1);
    if (work == NULL) return hf_fail(err, HF_NO_MEMORY, "sample");
    fill(plan->content, sampler->block, sample->shape.block_size);
    rc = coder_encode(sampler->coder, &sample->shape, sampler->block, work, views, err);
    if (rc != HF_OK) goto out;
    (void)hf_leaf_hashes(sampler->block, sample->shape.block_size, leaves);
    manifest_build(&manifest, &sample->shape, leaves, views);
    sample->id = manifest.block;
    rc = sign(sample, sampler, &manifest, err);
    if (rc == HF_OK) rc = cut(sample, views, err);
out:
    free(work);
    if (rc != HF_OK) sample_done(sample);
    return rc;
}

void sample_drop(struct sample *sample)
{
    for (uint32_t i = 0; i < CODE_FRAGMENTS_MAX; i++) {
        hf_buffer_unref(sample->fragments[i]);
        sample->fragments[i] = NULL;
    }
}

void sample_done(struct sample *sample)
{
    sample_drop(sample);
    hf_buffer_unref(sample->manifest);
    sample->manifest = NULL;
}

bool sample_is(const struct sample *sample, struct sampler *sampler,
               const struct dht_block *block)
{
    const size_t size = sample->shape.block_size;
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    struct hf_err ignored;

    if (block->manifest.shape.block_size != size || block->piece_count != sample->shape.k)
        return false;
    for (uint32_t i = 0; i < block->piece_count; i++)
        pieces[i] =
            (struct code_piece){block->pieces[i].payload->b, block->pieces[i].index};
    if (coder_decode(sampler->coder, &block->manifest.shape, pieces, sampler->decoded,
                     &ignored) != HF_OK)
        return false;
    fill(sample->content, sampler->block, size);
    return memcmp(sampler->decoded, sampler->block, size) == 0;
}
