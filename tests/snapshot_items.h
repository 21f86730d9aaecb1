/* snapshot_items.h - all that is in a small snapshot, read as restore reads it: recorded
 * once, and later compared with what is read then. */
#ifndef HOLDFAST_TESTS_SNAPSHOT_ITEMS_H
#define HOLDFAST_TESTS_SNAPSHOT_ITEMS_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_ITEMS_MAX 32u

/* An entry of the snapshot: all that is in it, and its contents. */
struct snapshot_item {
    uint8_t *bytes;
    size_t size;
};

struct snapshot_items {
    struct snapshot_item items[SNAPSHOT_ITEMS_MAX]; /* as recorded */
    size_t count;
    bool recording;
    size_t matched;    /* in the last reading: items that are as recorded */
    const char *wrong; /* in the last reading: what is not as recorded; NULL: nothing */
    uint8_t *output;   /* the item being read */
    size_t output_size;
};

void snapshot_items_init(struct snapshot_items *all);
void snapshot_items_done(struct snapshot_items *all);

/* Reads the newest snapshot of `host`: what can be read of it is recorded or compared.
 * HF_INCOMPLETE: too few records could be had to know which is the newest. */
enum hf_code snapshot_items_read(struct snapshot_items *all, struct block_store *store,
                                 const struct vault_keys *keys, const struct hf_id *host,
                                 struct hf_err *err);

#endif
