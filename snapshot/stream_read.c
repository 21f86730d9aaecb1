#include "snapshot/stream.h"

#include "base/alloc.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1u

enum key { KEY_LEVEL = 2, KEY_CHILDREN = 3 };

#define CHILD_ENCODED_MIN 80u

struct child {
    uint64_t size;
    struct chunk_ref ref;
};

/* One node on the way down. */
struct opened_node {
    struct child *children;
    size_t count, next;
    uint64_t offset; /* of children[next] in the stream */
};

struct stream_cursor {
    struct fetcher *fetcher;
    enum frame_role role;
    struct stream_root root;
    struct opened_node nodes[STREAM_DEPTH_MAX]; /* [0] is the root's; `depth` are open */
    size_t depth;
    bool started;
    struct fetched chunk; /* the chunk read last */
    uint64_t chunk_offset;
};

struct stream_cursor *stream_cursor_new(struct fetcher *fetcher, enum frame_role role,
                                        const struct stream_root *root)
{
    struct stream_cursor *c = calloc(1, sizeof *c);

    if (c == NULL) return NULL;
    c->fetcher = fetcher;
    c->role = role;
    c->root = *root;
    return c;
}

static void close_nodes(struct stream_cursor *c)
{
    while (c->depth > 0)
        free(c->nodes[--c->depth].children);
    c->started = false;
}

void stream_cursor_free(struct stream_cursor *cursor)
{
    if (cursor == NULL) return;
    close_nodes(cursor);
    fetched_done(&cursor->chunk);
    free(cursor);
}

static enum hf_code parse_node(const struct fetched *bytes, const struct hf_id *block,
                               uint32_t level, uint64_t size, struct opened_node *node,
                               struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes->bytes, bytes->size);
    struct hf_map m = hf_get_header(&r, 8, HF_TYPE_STREAM_NODE, VERSION);
    uint64_t total = 0;
    int64_t key;

    memset(node, 0, sizeof *node);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_LEVEL:
            if (hf_get_u32(&r) != level) hf_reader_fail(&r);
            break;
        case KEY_CHILDREN:
            node->count = hf_get_array(&r, STREAM_FANOUT_MAX, CHILD_ENCODED_MIN);
            node->children = hf_alloc_array(node->count, sizeof *node->children);
            if (node->children == NULL)
                return hf_fail(err, HF_NO_MEMORY, "stream: out of memory");
            for (size_t i = 0; i < node->count; i++) {
                if (hf_get_array(&r, 2, 1) != 2) hf_reader_fail(&r);
                node->children[i].size = hf_get_uint(&r, INT64_MAX);
                chunk_ref_get(&r, &node->children[i].ref, block);
                if (node->children[i].size == 0 ||
                    __builtin_add_overflow(total, node->children[i].size, &total) ||
                    (level == 1 && node->children[i].size != node->children[i].ref.size))
                    hf_reader_fail(&r);
            }
            break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0xc);
    if (!hf_reader_done(&r) || total != size || node->count == 0) {
        free(node->children);
        node->children = NULL;
        return hf_fail(err, HF_CORRUPT, "stream: a node of %zu bytes does not parse",
                       bytes->size);
    }
    return HF_OK;
}

static enum hf_code open_node(struct stream_cursor *c, const struct chunk_ref *ref,
                              uint64_t size, uint64_t offset, struct hf_err *err)
{
    uint32_t level = c->root.depth - (uint32_t)c->depth;
    struct fetched bytes;
    enum hf_code rc = fetch_chunk(c->fetcher, FRAME_TREE, ref, &bytes, err);

    if (rc != HF_OK) return rc;
    rc = parse_node(&bytes, &ref->frame.block, level, size, &c->nodes[c->depth], err);
    fetched_done(&bytes);
    if (rc == HF_OK) c->nodes[c->depth++].offset = offset;
    return rc;
}

/* Finds the next chunk's reference, going down and up as needed; size 0 at the end. */
static enum hf_code next_ref(struct stream_cursor *c, struct chunk_ref *ref, uint64_t *size,
                             uint64_t *offset, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    *size = 0;
    if (!c->started) {
        c->started = true;
        if (c->root.size == 0) return HF_OK;
        if (c->root.depth == 0) {
            *ref = c->root.chunk;
            *size = c->root.size;
            *offset = 0;
            return HF_OK;
        }
        rc = open_node(c, &c->root.chunk, c->root.size, 0, err);
    }
    while (rc == HF_OK && c->depth > 0) {
        struct opened_node *node = &c->nodes[c->depth - 1];
        struct child child;
        uint64_t at = node->offset;

        if (node->next == node->count) {
            free(node->children);
            c->depth--;
            continue;
        }
        child = node->children[node->next++];
        node->offset += child.size;
        if (c->depth == c->root.depth) {
            *ref = child.ref;
            *size = child.size;
            *offset = at;
            return HF_OK;
        }
        rc = open_node(c, &child.ref, child.size, at, err);
    }
    return rc;
}

enum hf_code stream_cursor_next(struct stream_cursor *c, const uint8_t **bytes,
                                size_t *size, uint64_t *offset, struct hf_id *block,
                                struct hf_err *err)
{
    struct chunk_ref ref;
    uint64_t chunk_size;
    enum hf_code rc = next_ref(c, &ref, &chunk_size, &c->chunk_offset, err);

    *size = 0;
    fetched_done(&c->chunk);
    if (rc != HF_OK || chunk_size == 0) return rc;
    rc = fetch_chunk(c->fetcher, c->role, &ref, &c->chunk, err);
    if (rc != HF_OK) return rc;
    *bytes = c->chunk.bytes;
    *size = c->chunk.size;
    *offset = c->chunk_offset;
    if (block != NULL) *block = ref.frame.block;
    return HF_OK;
}

enum hf_code stream_cursor_next_ref(struct stream_cursor *c, struct chunk_ref *ref,
                                    uint64_t *offset, struct hf_err *err)
{
    uint64_t size;
    enum hf_code rc = next_ref(c, ref, &size, offset, err);

    if (rc != HF_OK || size == 0) {
        ref->size = 0;
        return rc;
    }
    if (ref->size != size)
        return hf_fail(err, HF_CORRUPT, "stream: a chunk of %u bytes, want %llu", ref->size,
                       (unsigned long long)size);
    return HF_OK;
}

/* Moves to where the next chunk is the one that holds `offset` (below the size). */
static enum hf_code seek(struct stream_cursor *c, uint64_t offset, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    /* Up, while the offset is outside of what the node has left. */
    while (c->depth > 0) {
        struct opened_node *node = &c->nodes[c->depth - 1];
        uint64_t end = node->offset;

        for (size_t i = node->next; i < node->count; i++)
            end += node->children[i].size;
        if (offset >= node->offset && offset < end) break;
        free(node->children);
        c->depth--;
    }
    if (c->depth == 0) {
        c->started = c->root.depth > 0;
        if (c->root.depth == 0) return HF_OK;
        rc = open_node(c, &c->root.chunk, c->root.size, 0, err);
    }
    while (rc == HF_OK) {
        struct opened_node *node = &c->nodes[c->depth - 1];
        struct child *child;

        while (offset >= node->offset + node->children[node->next].size)
            node->offset += node->children[node->next++].size;
        if (c->depth == c->root.depth) break;
        child = &node->children[node->next++];
        node->offset += child->size;
        rc = open_node(c, &child->ref, child->size, node->offset - child->size, err);
    }
    return rc;
}

enum hf_code stream_cursor_read(struct stream_cursor *c, uint64_t offset, void *buf,
                                size_t n, size_t *got, struct hf_err *err)
{
    uint8_t *out = buf;

    *got = 0;
    while (*got < n && offset < c->root.size) {
        const uint8_t *bytes;
        size_t size;
        size_t skip;
        uint64_t at;

        if (c->chunk.size == 0 || offset < c->chunk_offset ||
            offset >= c->chunk_offset + c->chunk.size) {
            enum hf_code rc = seek(c, offset, err);

            if (rc == HF_OK) rc = stream_cursor_next(c, &bytes, &size, &at, NULL, err);
            if (rc != HF_OK) return rc;
            if (size == 0 || offset < at || offset >= at + size)
                return hf_fail(err, HF_CORRUPT, "stream: no chunk at byte %llu",
                               (unsigned long long)offset);
        }
        skip = (size_t)(offset - c->chunk_offset);
        size = c->chunk.size - skip;
        if (size > n - *got) size = n - *got;
        memcpy(out + *got, c->chunk.bytes + skip, size);
        *got += size;
        offset += size;
    }
    return HF_OK;
}
