/* What stands inside an authenticated frame: tree chunks, stream nodes, snapshots,
 * catalogs.
 *
 * The input is sealed as one chunk of a block, as an author of hostile trees would, and
 * read back through the production readers; its first byte chooses which. */
#include "base/hash.h"
#include "blockstore/block_store.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/frame.h"
#include "snapshot/holes.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"
#include "snapshot/vault.h"
#include "snapshot/xattrs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store of one block. */
static uint8_t block[BLOCK_SIZE_MAX];

static enum hf_code get(struct block_store *store, const struct hf_id *id, size_t offset,
                        size_t size, uint8_t *buf, struct hf_err *err)
{
    (void)store;
    (void)id;
    if (offset > sizeof block || size > sizeof block - offset)
        return hf_fail(err, HF_CORRUPT, "beyond the block");
    memcpy(buf, block + offset, size);
    return HF_OK;
}

static bool seal(enum frame_role role, const uint8_t *data, size_t size,
                 struct chunk_ref *ref)
{
    static const uint8_t kdf[32] = {1};
    static struct framer *framer;
    struct frame_input in = {.role = role,
                             .plain = data,
                             .plain_size = size,
                             .chunk_ids = &ref->id,
                             .chunk_count = 1};
    struct hf_err err;
    size_t n;

    if (framer == NULL) framer = framer_new();
    memset(ref, 0, sizeof *ref);
    hf_sha256(data, size, &ref->id);
    if (frame_seal(framer, kdf, &in, block, &n, ref->frame.key, &err) != HF_OK)
        return false;
    ref->frame.size = (uint32_t)n;
    ref->size = (uint32_t)size;
    return true;
}

/* What restoring reads of an entry. */
static void read_entry(const struct tree_entry *entry)
{
    struct xattr_walk walk = xattr_walk_init(entry->xattrs);
    char name[XATTR_NAME_BYTES_MAX + 1];
    struct hole_map holes = {0};
    struct span value;
    struct hf_err err;

    while (xattr_walk_next(&walk, name, &value))
        continue;
    (void)xattr_walk_ok(&walk);
    if (hole_map_decode(&holes, entry->holes, entry->size, &err) == HF_OK) {
        uint64_t at = 0;

        for (size_t i = 0; i < holes.count; i++) { /* in order, and within the file */
            if (holes.holes[i].offset < at || holes.holes[i].size == 0) abort();
            at = holes.holes[i].offset + holes.holes[i].size;
        }
        if (at > entry->size) abort();
    }
    hole_map_done(&holes);
}

static void read_tree(struct fetcher *fetcher, const struct stream_root *root)
{
    struct tree_reader *reader = tree_reader_new(fetcher, root);
    const struct tree_entry *entry = NULL;
    struct hf_err err;

    for (unsigned i = 0; reader != NULL && i < STEPS_MAX; i++) {
        if (tree_reader_next(reader, &entry, &err) != HF_OK || entry == NULL) break;
        read_entry(entry);
    }
    tree_reader_free(reader);
}

static void read_stream(struct fetcher *fetcher, const struct stream_root *root)
{
    struct stream_cursor *cursor = stream_cursor_new(fetcher, FRAME_TREE, root);
    const uint8_t *bytes;
    uint64_t offset;
    uint8_t some[256];
    struct hf_err err;
    size_t n = 1;

    for (unsigned i = 0; cursor != NULL && n > 0 && i < STEPS_MAX; i++) {
        if (stream_cursor_next(cursor, &bytes, &n, &offset, NULL, &err) != HF_OK) break;
    }
    for (uint64_t at = 0; cursor != NULL && at < 4; at++)
        (void)stream_cursor_read(cursor, root->size / 4 * at, some, sizeof some, &n, &err);
    stream_cursor_free(cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct block_store_ops ops = {.get = get};
    struct block_store store = {.ops = &ops};
    struct fetcher *fetcher;
    struct stream_root root = {0};
    struct catalog_entry entry = {0};
    struct snapshot snapshot;
    struct recovery recovery;
    struct hf_err err;
    char text[512];
    uint8_t what;

    if (size < 2 || size > CHUNK_SIZE_MAX) return 0;
    what = data[0];
    data++;
    size--;
    if (what % 4 == 3) {
        size_t n = size < sizeof text - 1 ? size : sizeof text - 1;

        memcpy(text, data, n);
        text[n] = '\0';
        if (recovery_decode(text, &recovery, &err) == HF_OK) recovery_done(&recovery);
        return 0;
    }
    if (!seal(what % 4 == 2 ? FRAME_CATALOG : FRAME_TREE, data, size, &root.chunk))
        return 0;
    fetcher = fetcher_new(&store, 4);
    if (fetcher == NULL) return 0;
    root.size = size;
    switch (what % 4) {
    case 0: read_tree(fetcher, &root); break;
    case 1:
        root.depth = 1 + what / 4 % STREAM_DEPTH_MAX;
        root.size = what; /* must be the sum of its children */
        read_stream(fetcher, &root);
        break;
    default:
        entry.ref = root.chunk;
        if (snapshot_read(fetcher, &entry, &snapshot, &err) == HF_OK)
            snapshot_done(&snapshot);
    }
    fetcher_free(fetcher);
    return 0;
}
