#include "snapshot/tree.h"

#include "base/types.h"
#include "snapshot/tree_format.h"

#include <string.h>

int tree_name_compare(struct span a, struct span b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n == 0 ? 0 : memcmp(a.bytes, b.bytes, n);

    if (order != 0) return order;
    return a.size < b.size ? -1 : a.size > b.size ? 1 : 0;
}

bool tree_items_ready(struct packer *packer, struct tree_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tree_item *item = &items[i];

        if (item->waiting) return false;
        if (item->has_stream && item->stream.size > 0 &&
            !packed_ready(packer, &item->stream.chunk))
            return false;
    }
    return true;
}

static void put_span(struct hf_writer *w, int64_t key, struct span s)
{
    if (s.bytes == NULL) return;
    hf_put_key(w, key);
    hf_put_bytes(w, s.bytes, s.size);
}

static void put_raw(struct hf_writer *w, int64_t key, struct span s)
{
    if (s.bytes == NULL) return;
    hf_put_key(w, key);
    hf_put_raw(w, s.bytes, s.size);
}

static void put_uint(struct hf_writer *w, int64_t key, uint64_t v, bool present)
{
    if (!present) return;
    hf_put_key(w, key);
    hf_put_uint(w, v);
}

static void put_time(struct hf_writer *w, int64_t key, int64_t ns, bool present)
{
    if (!present) return;
    hf_put_key(w, key);
    hf_put_int(w, ns);
}

static bool is_device(const struct tree_entry *e)
{
    return e->type == TREE_CHAR || e->type == TREE_BLOCK;
}

static size_t pair_count(const struct tree_item *item)
{
    const struct tree_entry *e = &item->entry;

    const bool optional[] = {e->user.size > 0,
                             e->group.size > 0,
                             e->has_btime,
                             e->type == TREE_FILE,
                             e->content.bytes != NULL,
                             item->has_stream,
                             e->target.bytes != NULL,
                             is_device(e),
                             e->link_group != 0,
                             e->xattrs.bytes != NULL,
                             e->flags != 0,
                             e->holes.bytes != NULL,
                             e->changed,
                             e->set.bytes != NULL};
    size_t count = 8 + e->extra_count; /* name, type, mode, uid, gid, mtime, ctime, inode */

    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
        count += optional[i] ? 1 : 0;
    return count;
}

static void put_entry(struct packer *packer, struct hf_writer *w, struct tree_item *item)
{
    const struct tree_entry *e = &item->entry;

    hf_put_map(w, pair_count(item));
    put_span(w, TREE_KEY_NAME, e->name);
    put_uint(w, TREE_KEY_TYPE, (uint64_t)e->type, true);
    put_uint(w, TREE_KEY_MODE, e->mode, true);
    put_uint(w, TREE_KEY_UID, e->uid, true);
    put_uint(w, TREE_KEY_GID, e->gid, true);
    if (e->user.size > 0) put_span(w, TREE_KEY_USER, e->user);
    if (e->group.size > 0) put_span(w, TREE_KEY_GROUP, e->group);
    put_time(w, TREE_KEY_MTIME, e->mtime_ns, true);
    put_time(w, TREE_KEY_CTIME, e->ctime_ns, true);
    put_time(w, TREE_KEY_BTIME, e->btime_ns, e->has_btime);
    put_uint(w, TREE_KEY_SIZE, e->size, e->type == TREE_FILE);
    put_uint(w, TREE_KEY_INODE, e->inode, true);
    put_span(w, TREE_KEY_CONTENT, e->content);
    if (item->has_stream) {
        hf_put_key(w, TREE_KEY_STREAM);
        packer_put_root(packer, w, item->stream.size, item->stream.depth,
                        &item->stream.chunk);
    }
    put_span(w, TREE_KEY_TARGET, e->target);
    if (is_device(e)) {
        hf_put_key(w, TREE_KEY_DEVICE);
        hf_put_array(w, 2);
        hf_put_uint(w, e->device_major);
        hf_put_uint(w, e->device_minor);
    }
    put_uint(w, TREE_KEY_LINK_GROUP, e->link_group, e->link_group != 0);
    put_raw(w, TREE_KEY_XATTRS, e->xattrs);
    put_uint(w, TREE_KEY_FLAGS, e->flags, e->flags != 0);
    put_raw(w, TREE_KEY_HOLES, e->holes);
    if (e->changed) {
        hf_put_key(w, TREE_KEY_CHANGED);
        hf_put_bool(w, true);
    }
    put_span(w, TREE_KEY_SET, e->set);
    if (e->extra_count > 0) hf_put_raw(w, e->extra.bytes, e->extra.size);
}

/* By FNV-1a of the name, times the golden ratio: names that differ in their last letters
 * alone differ in the lower bits only of the former. */
static bool cuts_after(struct span name)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (size_t i = 0; i < name.size; i++)
        h = (h ^ name.bytes[i]) * 0x100000001b3ull;
    return h * 0x9e3779b97f4a7c15ull >> (64 - TREE_CUT_BITS) == 0;
}

/* What an entry takes, not counting how its references come out: so that the cuts do not
 * depend on where things are stored. */
static size_t entry_weight(const struct tree_entry *e)
{
    return 256 + e->name.size + e->content.size + e->target.size + e->xattrs.size +
           e->holes.size;
}

struct group {
    struct tree_item *items;
    size_t count;
};

static void encode_group(void *arg, struct packer *packer, struct hf_writer *w)
{
    struct group *group = arg;

    hf_put_header(w, 0, HF_TYPE_TREE, TREE_VERSION);
    for (size_t i = 0; i < group->count; i++)
        put_entry(packer, w, &group->items[i]);
}

size_t tree_group(const struct tree_item *items, size_t count, bool last)
{
    size_t weight = 0;

    for (size_t i = 0; i < count; i++) {
        weight += entry_weight(&items[i].entry);
        if (weight >= TREE_CHUNK_MAX) return i + 1;
        if (weight >= TREE_CHUNK_MIN && cuts_after(items[i].entry.name)) return i + 1;
    }
    return last ? count : 0;
}

enum hf_code tree_write_group(struct packer *packer, struct tree_item *items, size_t count,
                              struct stream_writer *stream, struct hf_err *err)
{
    struct group group = {items, count};
    struct packed packed;
    enum hf_code rc =
        packer_add_tree(packer, FRAME_TREE, encode_group, &group, &packed, err);

    return rc == HF_OK ? stream_writer_add(stream, packed.ref.size, &packed, err) : rc;
}
