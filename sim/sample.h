/* sample.h - blocks to be put and fetched: their content follows from a number, their
 * fragments and manifests are what erasure/ makes of it.
 *
 * A block is as small as its coding allows: a leaf for each data fragment. */
#ifndef HOLDFAST_SIM_SAMPLE_H
#define HOLDFAST_SIM_SAMPLE_H

#include "base/buffer.h"
#include "dht/action.h"

#include <stdbool.h>
#include <stdint.h>

#define SAMPLE_K_MAX 8u

/* One vault's owner, and what coding takes.  One owner. */
struct sampler; /* opaque */

struct sampler *sampler_new(void);          /* NULL: no memory */
void sampler_free(struct sampler *sampler); /* NULL is allowed */
/* Whose blocks they are. */
const struct hf_id *sampler_vault(const struct sampler *sampler);

struct sample {
    uint64_t content;
    struct hf_id id;
    struct code_shape shape;
    struct hf_buffer *manifest;                      /* encoded and signed */
    struct hf_buffer *fragments[CODE_FRAGMENTS_MAX]; /* shape.n, until sample_drop */
};

struct sample_plan {
    uint64_t content;
    const struct hf_id *source; /* the node that writes it */
    uint32_t k, n;              /* k <= SAMPLE_K_MAX */
};

/* *sample is the caller's, for sample_done.  HF_NO_MEMORY, HF_INVALID, HF_UNAVAILABLE:
 * nothing is held. */
HF_MUST_CHECK enum hf_code sample_init(struct sample *sample, struct sampler *sampler,
                                       const struct sample_plan *plan, struct hf_err *err);
void sample_done(struct sample *sample);
/* Lets go of the fragments: others have them now. */
void sample_drop(struct sample *sample);

/* The block, as it was gathered, decodes to the very bytes that were put. */
bool sample_is(const struct sample *sample, struct sampler *sampler,
               const struct dht_block *block);

#endif
