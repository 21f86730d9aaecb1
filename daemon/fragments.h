/* fragments.h - which fragments of a block are in a segment log. */
#ifndef HOLDFAST_DAEMON_FRAGMENTS_H
#define HOLDFAST_DAEMON_FRAGMENTS_H

#include "blockstore/segment_log.h"

#define FRAGMENTS_MAX 64u /* of one block: the newest */

struct fragments {
    struct log_key keys[FRAGMENTS_MAX]; /* the newest generation first */
    size_t count;
};

/* Lists them; `generation` 0: of any.  HF_NOT_FOUND.  HF_INCOMPLETE: none was found in a
 * store that may have held some.  HF_NO_MEMORY, HF_CORRUPT (the index).  Blocks. */
HF_MUST_CHECK enum hf_code fragments_list(struct segment_log *log,
                                          const struct hf_id *vault,
                                          const struct hf_id *block, uint32_t generation,
                                          struct fragments *fragments, struct hf_err *err);

/* What stands in a fragment's key. */
void fragment_key_block(const struct log_key *key, struct hf_id *block);
uint32_t fragment_key_generation(const struct log_key *key);
uint32_t fragment_key_index(const struct log_key *key);

#endif
