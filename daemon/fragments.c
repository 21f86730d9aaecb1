#include "daemon/fragments.h"

#include <string.h>

#define KEY_BLOCK (1u + HF_ID_SIZE)        /* where the block id stands in a key */
#define KEY_TAIL  (KEY_BLOCK + HF_ID_SIZE) /* generation and index */

void fragment_key_block(const struct log_key *key, struct hf_id *block)
{
    memcpy(block->b, key->b + KEY_BLOCK, sizeof block->b);
}

uint32_t fragment_key_generation(const struct log_key *key)
{
    const uint8_t *b = key->b + KEY_TAIL;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

uint32_t fragment_key_index(const struct log_key *key)
{
    return (uint32_t)key->b[KEY_TAIL + 4] << 8 | key->b[KEY_TAIL + 5];
}

struct listing {
    struct fragments *fragments;
    uint32_t generation;
};

/* Keys come in ascending order: the newest last. */
static bool add(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct listing *listing = arg;
    struct fragments *f = listing->fragments;

    (void)info;
    if (listing->generation != 0 && fragment_key_generation(key) != listing->generation)
        return true;
    if (f->count == FRAGMENTS_MAX) f->count--; /* the oldest */
    memmove(&f->keys[1], &f->keys[0], f->count * sizeof *f->keys);
    f->keys[0] = *key;
    f->count++;
    return true;
}

enum hf_code fragments_list(struct segment_log *log, const struct hf_id *vault,
                            const struct hf_id *block, uint32_t generation,
                            struct fragments *fragments, struct hf_err *err)
{
    struct log_key prefix = log_prefix_block(vault, block);
    struct listing listing = {fragments, generation};
    enum hf_code rc;

    fragments->count = 0;
    rc = segment_log_list(log, &prefix, add, &listing, err);
    if ((rc == HF_OK || rc == HF_INCOMPLETE) && fragments->count > 0) return HF_OK;
    return rc == HF_OK ? hf_fail(err, HF_NOT_FOUND, "no fragment is here") : rc;
}
