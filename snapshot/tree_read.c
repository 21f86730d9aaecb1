#include "snapshot/tree.h"

#include "base/types.h"
#include "snapshot/tree_format.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 64u

struct tree_reader {
    struct stream_cursor *cursor;
    struct hf_reader chunk; /* entries not yet read of the current chunk */
    struct hf_id block;     /* that it is in */
    struct tree_entry entry;
    uint8_t last[TREE_NAME_MAX]; /* the name before, to check the order */
    size_t last_size;
    bool any;
};

struct tree_reader *tree_reader_new(struct fetcher *fetcher, const struct stream_root *root)
{
    struct tree_reader *r = calloc(1, sizeof *r);

    if (r == NULL) return NULL;
    r->cursor = stream_cursor_new(fetcher, FRAME_TREE, root);
    if (r->cursor != NULL) return r;
    free(r);
    return NULL;
}

void tree_reader_free(struct tree_reader *reader)
{
    if (reader == NULL) return;
    stream_cursor_free(reader->cursor);
    free(reader);
}

/* Whoever restores below a directory relies on this: a name is one path component. */
static bool name_valid(struct span name)
{
    if (name.size == 0 || name.size > TREE_NAME_MAX) return false;
    if (memchr(name.bytes, '/', name.size) != NULL) return false;
    if (memchr(name.bytes, '\0', name.size) != NULL) return false;
    if (name.size == 1 && name.bytes[0] == '.') return false;
    return !(name.size == 2 && name.bytes[0] == '.' && name.bytes[1] == '.');
}

static struct span get_span(struct hf_reader *r, size_t max)
{
    struct span s;

    s.bytes = hf_get_bytes(r, max, &s.size);
    return s;
}

static struct span get_item(struct hf_reader *r)
{
    struct span s;

    s.bytes = hf_get_item(r, &s.size);
    return s;
}

static void get_device(struct hf_reader *r, struct tree_entry *e)
{
    if (hf_get_array(r, 2, 1) != 2) hf_reader_fail(r);
    e->device_major = hf_get_u32(r);
    e->device_minor = hf_get_u32(r);
}

static void get_value(struct hf_reader *r, int64_t key, const struct hf_id *block,
                      struct tree_entry *e)
{
    switch (key) {
    case TREE_KEY_NAME: e->name = get_span(r, TREE_NAME_MAX); break;
    case TREE_KEY_TYPE: e->type = (enum tree_type)hf_get_uint(r, TREE_BLOCK); break;
    case TREE_KEY_MODE: e->mode = (uint32_t)hf_get_uint(r, 07777); break;
    case TREE_KEY_UID: e->uid = hf_get_u32(r); break;
    case TREE_KEY_GID: e->gid = hf_get_u32(r); break;
    case TREE_KEY_USER: e->user = get_span(r, NAME_TEXT_MAX - 1); break;
    case TREE_KEY_GROUP: e->group = get_span(r, NAME_TEXT_MAX - 1); break;
    case TREE_KEY_MTIME: e->mtime_ns = hf_get_int(r); break;
    case TREE_KEY_CTIME: e->ctime_ns = hf_get_int(r); break;
    case TREE_KEY_BTIME:
        e->btime_ns = hf_get_int(r);
        e->has_btime = true;
        break;
    case TREE_KEY_SIZE: e->size = hf_get_uint(r, INT64_MAX); break;
    case TREE_KEY_INODE: e->inode = hf_get_u64(r); break;
    case TREE_KEY_CONTENT: e->content = get_span(r, TREE_INLINE_MAX); break;
    case TREE_KEY_STREAM:
        stream_root_get(r, &e->stream, block);
        e->has_stream = true;
        break;
    case TREE_KEY_TARGET: e->target = get_span(r, TREE_TARGET_MAX); break;
    case TREE_KEY_DEVICE: get_device(r, e); break;
    case TREE_KEY_LINK_GROUP: e->link_group = hf_get_u64(r); break;
    case TREE_KEY_XATTRS: e->xattrs = get_item(r); break;
    case TREE_KEY_FLAGS: e->flags = hf_get_u64(r); break;
    case TREE_KEY_HOLES: e->holes = get_item(r); break;
    case TREE_KEY_CHANGED: e->changed = hf_get_bool(r); break;
    case TREE_KEY_SET: e->set = get_span(r, NAME_TEXT_MAX - 1); break;
    default: hf_reader_fail(r);
    }
}

/* What must be there, and nothing that contradicts it. */
static bool entry_valid(const struct tree_entry *e)
{
    if (!name_valid(e->name)) return false;
    if (e->holes.bytes != NULL && e->type != TREE_FILE) return false;
    switch (e->type) {
    case TREE_FILE:
        if (e->has_stream) return e->content.bytes == NULL && e->stream.size == e->size;
        return e->content.size == e->size;
    case TREE_DIR: return e->has_stream && e->content.bytes == NULL;
    case TREE_SYMLINK:
        return !e->has_stream && e->target.size > 0 &&
               memchr(e->target.bytes, '\0', e->target.size) == NULL;
    case TREE_FIFO:
    case TREE_SOCKET:
    case TREE_CHAR:
    case TREE_BLOCK: return !e->has_stream && e->content.bytes == NULL;
    }
    return false;
}

static void get_entry(struct hf_reader *r, const struct hf_id *block, struct tree_entry *e)
{
    struct hf_map m = hf_get_map(r, PAIRS_MAX);
    const uint8_t *key_start = r->pos;
    int64_t key;

    memset(e, 0, sizeof *e);
    while (hf_map_next(r, &m, &key)) {
        if (key >= 0) {
            get_value(r, key, block, e);
        } else {
            if (e->extra_count == 0) e->extra.bytes = key_start;
            hf_map_other(r, key);
            e->extra_count++;
            e->extra.size = (size_t)(r->pos - e->extra.bytes);
        }
        key_start = r->pos;
    }
    hf_map_require(r, &m, 0x99f | 1u << TREE_KEY_INODE);
    if (hf_reader_ok(r) && !entry_valid(e)) hf_reader_fail(r);
}

enum hf_code tree_reader_next(struct tree_reader *r, const struct tree_entry **entry,
                              struct hf_err *err)
{
    struct span last = {r->last, r->last_size};

    *entry = NULL;
    while (hf_reader_left(&r->chunk) == 0) {
        const uint8_t *bytes;
        uint64_t offset;
        size_t size;
        enum hf_code rc =
            stream_cursor_next(r->cursor, &bytes, &size, &offset, &r->block, err);

        if (rc != HF_OK || size == 0) return rc;
        r->chunk = hf_reader_init(bytes, size);
        (void)hf_get_header(&r->chunk, 2, HF_TYPE_TREE, TREE_VERSION);
        if (!hf_reader_ok(&r->chunk))
            return hf_fail(err, HF_CORRUPT, "tree: a chunk of %zu bytes is none", size);
    }
    get_entry(&r->chunk, &r->block, &r->entry);
    if (!hf_reader_ok(&r->chunk))
        return hf_fail(err, HF_CORRUPT, "tree: an entry does not parse");
    if (r->any && tree_name_compare(last, r->entry.name) >= 0)
        return hf_fail(err, HF_CORRUPT, "tree: names are not in order");
    memcpy(r->last, r->entry.name.bytes, r->entry.name.size);
    r->last_size = r->entry.name.size;
    r->any = true;
    *entry = &r->entry;
    return HF_OK;
}

enum hf_code tree_find(struct tree_reader *reader, const void *name, size_t size,
                       const struct tree_entry **entry, struct hf_err *err)
{
    const struct span want = {name, size};

    for (;;) {
        enum hf_code rc = tree_reader_next(reader, entry, err);
        int order;

        if (rc != HF_OK) return rc;
        order = *entry == NULL ? 1 : tree_name_compare((*entry)->name, want);
        if (order == 0) return HF_OK;
        if (order > 0) return hf_fail(err, HF_NOT_FOUND, "no such file or directory");
    }
}
