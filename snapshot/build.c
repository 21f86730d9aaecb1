#include "snapshot/build.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_ITEMS_MAX \
    50000u /* entries in waiting directories before a block is closed */

struct file_writer {
    size_t item;
    struct stream_writer writer;
    struct file_writer *next;
};

struct build_dir {
    struct build_dir *parent;
    size_t parent_item;
    struct tree_item *items;
    size_t count, capacity;
    struct file_writer *writers;
    size_t children_open; /* directories below that are not written */
    bool closed, same, has_old;
    struct stream_root old;
    struct build_dir *next, **link; /* in the list of all that are open */
};

struct build {
    struct packer *packer;
    struct build_dir *dirs; /* newest first: children before their parents */
    size_t waiting_items;   /* in closed directories */
    uint64_t blocks_seen;   /* stored when the list was last gone through */
    bool done;
    struct stream_packed root;
};

struct build *build_new(struct packer *packer)
{
    struct build *build = calloc(1, sizeof *build);

    if (build != NULL) build->packer = packer;
    return build;
}

static void dir_free(struct build_dir *dir)
{
    for (size_t i = 0; i < dir->count; i++) {
        stream_packed_done(&dir->items[i].stream);
        free(dir->items[i].owned);
    }
    while (dir->writers != NULL) {
        struct file_writer *w = dir->writers;

        dir->writers = w->next;
        stream_writer_done(&w->writer);
        free(w);
    }
    *dir->link = dir->next;
    if (dir->next != NULL) dir->next->link = dir->link;
    free(dir->items);
    free(dir);
}

void build_free(struct build *build)
{
    if (build == NULL) return;
    while (build->dirs != NULL)
        dir_free(build->dirs);
    stream_packed_done(&build->root);
    free(build);
}

struct build_dir *build_dir_open(struct build *build, struct build_dir *parent, size_t item,
                                 const struct stream_root *old)
{
    struct build_dir *dir = calloc(1, sizeof *dir);

    if (dir == NULL) return NULL;
    dir->parent = parent;
    dir->parent_item = item;
    dir->has_old = dir->same = old != NULL;
    if (old != NULL) dir->old = *old;
    dir->next = build->dirs;
    dir->link = &build->dirs;
    if (dir->next != NULL) dir->next->link = &dir->next;
    build->dirs = dir;
    if (parent != NULL) parent->children_open++;
    return dir;
}

static struct span copy(uint8_t **to, struct span s)
{
    uint8_t *at = *to;

    if (s.bytes == NULL) return s;
    if (s.size > 0) memcpy(at, s.bytes, s.size);
    *to += s.size;
    return (struct span){at, s.size};
}

enum hf_code build_dir_add(struct build_dir *dir, const struct tree_entry *entry, bool same,
                           size_t *item, struct hf_err *err)
{
    struct tree_item *grown =
        hf_grow_array(dir->items, &dir->capacity, dir->count + 1, sizeof *grown);
    struct tree_entry *e;
    uint8_t *bytes;

    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    dir->items = grown;
    bytes = malloc(1 + entry->name.size + entry->content.size + entry->target.size +
                   entry->xattrs.size + entry->holes.size + entry->set.size +
                   entry->extra.size);
    if (bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    memset(&grown[dir->count], 0, sizeof *grown);
    grown[dir->count].owned = bytes;
    e = &grown[dir->count].entry;
    *e = *entry;
    e->name = copy(&bytes, entry->name);
    e->content = copy(&bytes, entry->content);
    e->target = copy(&bytes, entry->target);
    e->xattrs = copy(&bytes, entry->xattrs);
    e->holes = copy(&bytes, entry->holes);
    e->set = copy(&bytes, entry->set);
    e->extra = copy(&bytes, entry->extra);
    if (!same) dir->same = false;
    *item = dir->count++;
    return HF_OK;
}

void build_dir_changed(struct build_dir *dir)
{
    dir->same = false;
}

void build_dir_set_stream(struct build_dir *dir, size_t item, struct stream_packed *stream)
{
    dir->items[item].has_stream = true;
    dir->items[item].stream = *stream;
    dir->items[item].entry.size = stream->size;
    stream->chunk.pending = NULL;
}

enum hf_code build_dir_set_writer(struct build_dir *dir, size_t item,
                                  struct stream_writer *writer, struct hf_err *err)
{
    struct file_writer *w;
    struct stream_packed stream;
    enum hf_code rc;

    if (stream_writer_ready(writer)) {
        rc = stream_writer_finish(writer, &stream, err);
        stream_writer_done(writer);
        if (rc == HF_OK) build_dir_set_stream(dir, item, &stream);
        return rc;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        stream_writer_done(writer);
        return hf_fail(err, HF_NO_MEMORY, "file: out of memory");
    }
    w->item = item;
    w->writer = *writer;
    w->next = dir->writers;
    dir->writers = w;
    memset(writer, 0, sizeof *writer);
    return HF_OK;
}

/* Writes the nodes of those files whose data has a place. */
static enum hf_code finish_files(struct build_dir *dir, struct hf_err *err)
{
    struct file_writer **at = &dir->writers;

    while (*at != NULL) {
        struct file_writer *w = *at;
        struct stream_packed stream;
        enum hf_code rc;

        if (!stream_writer_ready(&w->writer)) {
            at = &w->next;
            continue;
        }
        rc = stream_writer_finish(&w->writer, &stream, err);
        if (rc != HF_OK) return rc;
        build_dir_set_stream(dir, w->item, &stream);
        stream_writer_done(&w->writer);
        *at = w->next;
        free(w);
    }
    return HF_OK;
}

/* Writes the directory if all below it has a place.  True: dir is gone. */
static enum hf_code try_write(struct build *build, struct build_dir *dir, bool *written,
                              struct hf_err *err)
{
    struct stream_packed stream;
    enum hf_code rc = HF_OK;

    *written = false;
    if (!dir->closed || dir->children_open > 0) return HF_OK;
    rc = finish_files(dir, err);
    if (rc != HF_OK || dir->writers != NULL) return rc;
    if (dir->same) {
        stream = stream_packed_known(&dir->old);
    } else {
        if (!tree_items_ready(build->packer, dir->items, dir->count)) return HF_OK;
        rc = tree_write(build->packer, dir->items, dir->count, &stream, err);
        if (rc != HF_OK) return rc;
    }
    if (dir->parent == NULL) {
        build->root = stream;
        build->done = true;
    } else {
        build_dir_set_stream(dir->parent, dir->parent_item, &stream);
        dir->parent->children_open--;
        if (!dir->same) dir->parent->same = false;
    }
    build->waiting_items -= dir->count;
    dir_free(dir);
    *written = true;
    return HF_OK;
}

enum hf_code build_dir_close(struct build *build, struct build_dir *dir, struct hf_err *err)
{
    bool written = true;
    enum hf_code rc = HF_OK;

    dir->closed = true;
    build->waiting_items += dir->count;
    while (rc == HF_OK && written &&
           dir != NULL) { /* and its parents, if it was the last */
        struct build_dir *parent = dir->parent;

        rc = try_write(build, dir, &written, err);
        dir = parent;
    }
    return rc;
}

/* Children stand before their parents, so one pass writes all that can be. */
static enum hf_code pass(struct build *build, struct hf_err *err)
{
    struct build_dir *dir = build->dirs;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && dir != NULL) {
        struct build_dir *next = dir->next;
        bool written;

        rc = try_write(build, dir, &written, err);
        dir = next;
    }
    return rc;
}

enum hf_code build_settle(struct build *build, struct hf_err *err)
{
    uint64_t blocks = packer_totals(build->packer).blocks;

    if (build->waiting_items > WAITING_ITEMS_MAX) {
        enum hf_code rc = packer_finish_data(build->packer, err);

        return rc == HF_OK ? pass(build, err) : rc;
    }
    if (blocks == build->blocks_seen) return HF_OK;
    build->blocks_seen = blocks;
    return pass(build, err);
}

enum hf_code build_finish(struct build *build, struct stream_packed *root,
                          struct hf_err *err)
{
    enum hf_code rc = pass(build, err);

    memset(root, 0, sizeof *root);
    if (rc != HF_OK) return rc;
    if (!build->done)
        return hf_fail(err, HF_INVALID, "tree: a directory could not be completed");
    *root = build->root;
    build->root.chunk.pending = NULL;
    return HF_OK;
}
