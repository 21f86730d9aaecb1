#include "sim/disk.h"

#include "base/alloc.h"
#include "dht/lists.h"

#include <stdlib.h>
#include <string.h>

void disk_done(struct disk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        hf_buffer_unref(disk->fragments[i].manifest);
        hf_buffer_unref(disk->fragments[i].payload);
    }
    free(disk->fragments);
    memset(disk, 0, sizeof *disk);
}

static bool is_of(const struct disk_fragment *f, const struct dht_item *item)
{
    return !f->lost && hf_id_equal(&f->block, &item->block) &&
           hf_id_equal(&f->vault, &item->vault);
}

enum hf_code disk_store(struct disk *disk, const struct dht_item *item)
{
    struct disk_fragment *grown;

    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_fragment *f = &disk->fragments[i];

        if (is_of(f, item) && f->generation == item->generation && f->index == item->index)
            return HF_OK;
    }
    grown = hf_grow_array(disk->fragments, &disk->capacity, disk->count + 1, sizeof *grown);
    if (grown == NULL) return HF_NO_MEMORY;
    disk->fragments = grown;
    disk->fragments[disk->count++] =
        (struct disk_fragment){.vault = item->vault,
                               .block = item->block,
                               .generation = item->generation,
                               .index = item->index,
                               .manifest = hf_buffer_ref(item->manifest),
                               .payload = hf_buffer_ref(item->payload)};
    return HF_OK;
}

enum hf_code disk_load(const struct disk *disk, const struct dht_item *wanted,
                       struct dht_item *item)
{
    const struct disk_fragment *best = NULL;

    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_fragment *f = &disk->fragments[i];

        if (!is_of(f, wanted) ||
            (wanted->generation != 0 && f->generation != wanted->generation))
            continue;
        if (best == NULL || f->generation > best->generation) best = f;
    }
    if (best == NULL) return HF_NOT_FOUND;
    *item = *wanted;
    item->generation = best->generation;
    item->index = best->index;
    item->manifest = hf_buffer_ref(best->manifest);
    item->payload = hf_buffer_ref(best->payload);
    return HF_OK;
}

static void look_for(const struct disk *disk, const struct dht_item *wanted,
                     struct dht_presence *presence)
{
    struct dht_item item = {0};
    struct manifest manifest;
    struct hf_err ignored;

    if (disk_load(disk, wanted, &item) != HF_OK) return;
    if (manifest_parse(item.manifest->b, item.manifest->size, &manifest, &ignored) == HF_OK)
        *presence = (struct dht_presence){item.generation, manifest.shape.k,
                                          manifest.shape.n, item.index};
    hf_buffer_unref(item.manifest);
    hf_buffer_unref(item.payload);
}

enum hf_code disk_presence(const struct disk *disk, const struct dht_item *wanted,
                           struct dht_item *item)
{
    struct dht_item one = {.kind = DHT_ITEM_FRAGMENT, .vault = wanted->vault};
    struct dht_presence presence[DHT_PRESENCE_MAX];
    struct hf_id ids[DHT_PRESENCE_MAX];
    size_t count;

    if (!dht_ids_parse(wanted->payload, ids, &count)) return HF_CORRUPT;
    memset(presence, 0, count * sizeof *presence);
    for (size_t i = 0; i < count; i++) {
        one.block = ids[i];
        look_for(disk, &one, &presence[i]);
    }
    item->payload = dht_presence_encode(presence, count);
    return item->payload != NULL ? HF_OK : HF_NO_MEMORY;
}

void disk_wipe(struct disk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        struct disk_fragment *f = &disk->fragments[i];

        f->lost = true;
        hf_buffer_unref(f->manifest);
        hf_buffer_unref(f->payload);
        f->manifest = f->payload = NULL;
    }
}

uint32_t disk_indices(const struct disk *disk, const struct hf_id *block, bool lost)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_fragment *f = &disk->fragments[i];

        if ((lost || !f->lost) && hf_id_equal(&f->block, block))
            bits |= UINT32_C(1) << f->index;
    }
    return bits;
}
