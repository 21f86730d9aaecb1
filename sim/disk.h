/* disk.h - the fragments that one host keeps, whatever becomes of its processes.
 *
 * Looked through from end to end: for some hundred fragments.  One owner. */
#ifndef HOLDFAST_SIM_DISK_H
#define HOLDFAST_SIM_DISK_H

#include "dht/action.h"

#include <stdbool.h>
#include <stddef.h>

struct disk_fragment {
    struct hf_id vault, block;
    uint32_t generation, index;
    struct hf_buffer *manifest, *payload; /* references */
    bool lost;                            /* it was here, and the disk was wiped */
};

/* All zero is an empty disk. */
struct disk {
    struct disk_fragment *fragments;
    size_t count, capacity;
};

void disk_done(struct disk *disk);

/* Keeps a fragment; one that is there already stays.  HF_OK or HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code disk_store(struct disk *disk, const struct dht_item *item);
/* The fragment of the wanted block and generation (0: the newest); its buffers in *item are
 * further references, the caller's.  HF_OK or HF_NOT_FOUND. */
HF_MUST_CHECK enum hf_code disk_load(const struct disk *disk, const struct dht_item *wanted,
                                     struct dht_item *item);
/* Which of the ids in wanted->payload are here, as a list (dht/lists.h) in item->payload.
 * HF_OK, HF_CORRUPT: that is no list, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code disk_presence(const struct disk *disk,
                                         const struct dht_item *wanted,
                                         struct dht_item *item);
/* All is lost. */
void disk_wipe(struct disk *disk);
/* Bits of the indices of this block that are here; `lost`: that are or once were. */
uint32_t disk_indices(const struct disk *disk, const struct hf_id *block, bool lost);

#endif
