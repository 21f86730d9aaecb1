#include "snapshot/build.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Entries kept before the open data blocks are closed, so that they can be written. */
#define WAITING_ITEMS_MAX 50000u
/* A directory with more is written bit by bit. */
#define LARGE_ITEMS 4096u
#define LARGE_STEP  1024u

struct file_writer {
    size_t item;
    struct stream_writer writer;
    struct file_writer *next;
};

struct build_dir {
    struct build *build;
    struct build_dir *parent;
    size_t parent_item;
    size_t count;            /* entries so far */
    size_t written;          /* the first of them, in `chunks` */
    struct tree_item *items; /* the others; none while `same` */
    size_t capacity;
    struct stream_writer chunks;
    struct file_writer *writers;
    size_t children_open; /* directories below that are not written */
    bool closed;
    bool same;    /* all entries so far are those of `old` */
    bool changed; /* ... but others of it are gone */
    struct stream_root old;
    struct build_dir *next, **link; /* in the list of all that are open */
};

struct build {
    struct packer *packer;
    struct fetcher *fetcher;
    struct build_dir *dirs; /* newest first: children before their parents */
    size_t waiting_items;   /* kept in all of them */
    uint64_t blocks_seen;   /* stored when the list was last gone through */
    struct hf_err failure;  /* of a call that cannot say so */
    enum hf_code failed;
    bool done;
    struct stream_packed root;
};

struct build *build_new(struct packer *packer, struct fetcher *fetcher)
{
    struct build *build = calloc(1, sizeof *build);

    if (build == NULL) return NULL;
    build->packer = packer;
    build->fetcher = fetcher;
    return build;
}

/* ---- items ---- */

static size_t kept(const struct build_dir *dir)
{
    return dir->same ? 0 : dir->count - dir->written;
}

/* Drops the first n of those kept. */
static void drop_items(struct build_dir *dir, size_t n)
{
    size_t left = kept(dir) - n;

    for (size_t i = 0; i < n; i++) {
        stream_packed_done(&dir->items[i].stream);
        free(dir->items[i].owned);
    }
    if (left > 0 && n > 0) memmove(dir->items, dir->items + n, left * sizeof *dir->items);
    dir->written += n;
    dir->build->waiting_items -= n;
}

static struct span copy(uint8_t **to, struct span s)
{
    uint8_t *at = *to;

    if (s.bytes == NULL) return s;
    if (s.size > 0) memcpy(at, s.bytes, s.size);
    *to += s.size;
    return (struct span){at, s.size};
}

/* Makes item number kept(dir) from the entry; dir->count is the caller's to raise. */
static enum hf_code append(struct build_dir *dir, const struct tree_entry *entry,
                           struct hf_err *err)
{
    size_t at = kept(dir);
    struct tree_item *grown =
        hf_grow_array(dir->items, &dir->capacity, at + 1, sizeof *grown);
    struct tree_entry *e;
    uint8_t *bytes;

    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    dir->items = grown;
    bytes = malloc(1 + entry->name.size + entry->user.size + entry->group.size +
                   entry->content.size + entry->target.size + entry->xattrs.size +
                   entry->holes.size + entry->set.size + entry->extra.size);
    if (bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    memset(&grown[at], 0, sizeof *grown);
    grown[at].owned = bytes;
    grown[at].waiting =
        entry->type == TREE_DIR ||
        (entry->type == TREE_FILE && entry->content.bytes == NULL && entry->size > 0);
    e = &grown[at].entry;
    *e = *entry;
    e->name = copy(&bytes, entry->name);
    e->user = copy(&bytes, entry->user);
    e->group = copy(&bytes, entry->group);
    e->content = copy(&bytes, entry->content);
    e->target = copy(&bytes, entry->target);
    e->xattrs = copy(&bytes, entry->xattrs);
    e->holes = copy(&bytes, entry->holes);
    e->set = copy(&bytes, entry->set);
    e->extra = copy(&bytes, entry->extra);
    dir->build->waiting_items++;
    return HF_OK;
}

static void set_stream(struct build_dir *dir, size_t item, struct stream_packed *stream)
{
    struct tree_item *to = &dir->items[item - dir->written];

    stream_packed_done(&to->stream);
    to->has_stream = true;
    to->waiting = false;
    to->stream = *stream;
    to->entry.size = stream->size;
    stream->chunk.pending = NULL;
}

/* The directory is no longer the same: its entries so far are read from where they are. */
static enum hf_code differ(struct build_dir *dir, struct hf_err *err)
{
    struct tree_reader *reader;
    size_t count = dir->count;
    enum hf_code rc = HF_OK;

    if (!dir->same) return HF_OK;
    reader = tree_reader_new(dir->build->fetcher, &dir->old);
    if (reader == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    dir->same = false;
    for (dir->count = 0; rc == HF_OK && dir->count < count;) {
        const struct tree_entry *entry;

        rc = tree_reader_next(reader, &entry, err);
        if (rc == HF_OK && entry == NULL)
            rc = hf_fail(err, HF_CORRUPT, "the parent snapshot's directory has shrunk");
        if (rc == HF_OK) rc = append(dir, entry, err);
        if (rc != HF_OK) break;
        dir->count++;
        if (entry->has_stream) {
            struct stream_packed stream = stream_packed_known(&entry->stream);

            set_stream(dir, dir->count - 1, &stream);
        }
    }
    tree_reader_free(reader);
    if (rc != HF_OK) return rc;
    for (struct build_dir *d = dir->build->dirs; d != NULL; d = d->next) {
        if (d->parent == dir) dir->items[d->parent_item].waiting = true;
    }
    return HF_OK;
}

/* ---- directories ---- */

static void dir_free(struct build_dir *dir)
{
    drop_items(dir, kept(dir));
    while (dir->writers != NULL) {
        struct file_writer *w = dir->writers;

        dir->writers = w->next;
        stream_writer_done(&w->writer);
        free(w);
    }
    stream_writer_done(&dir->chunks);
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
    dir->build = build;
    dir->parent = parent;
    dir->parent_item = item;
    dir->same = old != NULL;
    if (old != NULL) dir->old = *old;
    stream_writer_init(&dir->chunks, build->packer);
    dir->next = build->dirs;
    dir->link = &build->dirs;
    if (dir->next != NULL) dir->next->link = &dir->next;
    build->dirs = dir;
    if (parent != NULL) parent->children_open++;
    return dir;
}

enum hf_code build_dir_add(struct build_dir *dir, const struct tree_entry *entry, bool same,
                           size_t *item, struct hf_err *err)
{
    enum hf_code rc = dir->build->failed;

    *item = dir->count;
    if (rc != HF_OK) {
        *err = dir->build->failure;
        return rc;
    }
    if (dir->same && same && !dir->changed) {
        dir->count++;
        return HF_OK;
    }
    rc = differ(dir, err);
    if (rc == HF_OK && kept(dir) >= LARGE_ITEMS && kept(dir) % LARGE_STEP == 0)
        rc = build_settle(dir->build, err);
    if (rc == HF_OK) rc = append(dir, entry, err);
    if (rc == HF_OK) dir->count++;
    return rc;
}

void build_dir_changed(struct build_dir *dir)
{
    dir->changed = true;
}

void build_dir_set_stream(struct build_dir *dir, size_t item, struct stream_packed *stream)
{
    struct build *build = dir->build;

    if (dir->same && dir->changed && build->failed == HF_OK)
        build->failed = differ(dir, &build->failure);
    if (dir->same || build->failed != HF_OK)
        stream_packed_done(stream); /* the parent snapshot has it; or nobody will */
    else
        set_stream(dir, item, stream);
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
        set_stream(dir, w->item, &stream);
        stream_writer_done(&w->writer);
        *at = w->next;
        free(w);
    }
    return HF_OK;
}

/* Writes chunks of entries as far as all that they refer to has a place. */
static enum hf_code write_items(struct build_dir *dir, struct hf_err *err)
{
    struct packer *packer = dir->build->packer;
    enum hf_code rc = finish_files(dir, err);

    while (rc == HF_OK) {
        size_t n = tree_group(dir->items, kept(dir), dir->closed);

        if (n == 0 || !tree_items_ready(packer, dir->items, n)) break;
        rc = tree_write_group(packer, dir->items, n, &dir->chunks, err);
        if (rc == HF_OK) drop_items(dir, n);
    }
    return rc;
}

/* The stream of a directory that is complete goes to its entry. */
static enum hf_code hand_up(struct build_dir *dir, struct stream_packed *stream,
                            struct hf_err *err)
{
    struct build *build = dir->build;
    struct build_dir *parent = dir->parent;
    enum hf_code rc = HF_OK;

    if (parent == NULL) {
        build->root = *stream;
        build->done = true;
        return HF_OK;
    }
    if (!dir->same) rc = differ(parent, err);
    if (rc == HF_OK && !parent->same) set_stream(parent, dir->parent_item, stream);
    stream_packed_done(stream);
    parent->children_open--;
    return rc;
}

/* Writes the directory if all below it has a place, or what can be of a large one.
 * *written: dir is gone. */
static enum hf_code try_write(struct build_dir *dir, bool *written, struct hf_err *err)
{
    struct stream_packed stream;
    enum hf_code rc = HF_OK;

    *written = false;
    if (!dir->closed && kept(dir) < LARGE_ITEMS) return HF_OK;
    if (dir->closed && dir->children_open > 0 && kept(dir) < LARGE_ITEMS) return HF_OK;
    if (dir->closed && dir->changed) rc = differ(dir, err);
    if (rc == HF_OK && !dir->same) rc = write_items(dir, err);
    if (rc != HF_OK || !dir->closed || dir->children_open > 0 || kept(dir) > 0) return rc;
    if (dir->same)
        stream = stream_packed_known(&dir->old);
    else
        rc = stream_writer_finish(&dir->chunks, &stream, err);
    if (rc == HF_OK) rc = hand_up(dir, &stream, err);
    if (rc != HF_OK) return rc;
    dir_free(dir);
    *written = true;
    return HF_OK;
}

enum hf_code build_dir_close(struct build *build, struct build_dir *dir, struct hf_err *err)
{
    bool written = true;
    enum hf_code rc = build->failed;

    if (rc != HF_OK) *err = build->failure;
    dir->closed = true;
    while (rc == HF_OK && written &&
           dir != NULL) { /* and its parents, if it was the last */
        struct build_dir *parent = dir->parent;

        rc = try_write(dir, &written, err);
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

        rc = try_write(dir, &written, err);
        dir = next;
    }
    return rc;
}

enum hf_code build_settle(struct build *build, struct hf_err *err)
{
    uint64_t blocks = packer_totals(build->packer).blocks;
    enum hf_code rc = HF_OK;

    if (blocks != build->blocks_seen) rc = pass(build, err);
    build->blocks_seen = blocks;
    if (rc != HF_OK || build->waiting_items <= WAITING_ITEMS_MAX) return rc;
    rc = packer_finish_data(build->packer, err);
    return rc == HF_OK ? pass(build, err) : rc;
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
