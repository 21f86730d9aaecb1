#include "snapshot/build.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Memory of entries kept before the open data blocks are closed, so that they can be
 * written: some 50,000 of the usual kind. */
#define WAITING_MAX (32u << 20)
/* A directory with more is written bit by bit. */
#define LARGE      (3u << 20)
#define LARGE_STEP (768u << 10)

struct file_writer {
    size_t item;
    struct stream_writer writer;
    struct file_writer *next;
};

/* The new stream of a directory below one that is kept nowhere yet. */
struct handed {
    size_t item;
    struct stream_packed stream;
    struct handed *next;
};

struct build_dir {
    struct build *build;
    struct build_dir *parent;
    size_t parent_item;
    size_t count;            /* entries so far */
    size_t written;          /* the first of them, in `chunks` */
    struct tree_item *items; /* the others; none while `same` */
    size_t capacity;
    size_t memory; /* that the items take */
    size_t try_at; /* so much of it that writing some is tried */
    struct stream_writer chunks;
    struct file_writer *writers;
    size_t children_open; /* directories below that are not written */
    bool closed;
    bool same;    /* all entries so far are those of `old`, seen from outside */
    bool changed; /* ... but others of it are gone, or there is something in `handed` */
    struct stream_root old;
    struct handed *handed;          /* while `same` */
    struct build_dir *next, **link; /* in the list of all that are open */
};

struct build {
    struct packer *packer;
    struct fetcher *fetcher;
    struct build_dir *dirs; /* newest first: children before their parents */
    size_t memory;          /* that the items of all of them take */
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

/* What an entry borrows. */
static size_t borrowed(const struct tree_entry *e)
{
    return e->name.size + e->user.size + e->group.size + e->content.size + e->target.size +
           e->xattrs.size + e->holes.size + e->set.size + e->extra.size;
}

static size_t memory_of(const struct tree_entry *e)
{
    return sizeof(struct tree_item) + borrowed(e);
}

/* Drops the first n of those kept. */
static void drop_items(struct build_dir *dir, size_t n)
{
    size_t left = kept(dir) - n;

    for (size_t i = 0; i < n; i++) {
        size_t memory = memory_of(&dir->items[i].entry);

        dir->memory -= memory;
        dir->build->memory -= memory;
        stream_packed_done(&dir->items[i].stream);
        free(dir->items[i].owned);
    }
    if (left > 0 && n > 0) memmove(dir->items, dir->items + n, left * sizeof *dir->items);
    dir->written += n;
    if (dir->memory < LARGE) dir->try_at = 0;
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
    bytes = malloc(1 + borrowed(entry));
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
    dir->memory += memory_of(entry);
    dir->build->memory += memory_of(entry);
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
    size_t done = 0;
    enum hf_code rc = finish_files(dir, err);

    while (rc == HF_OK) {
        struct tree_item *items = dir->items + done;
        size_t n = tree_group(items, kept(dir) - done, dir->closed);

        if (n == 0 || !tree_items_ready(packer, items, n)) break;
        rc = tree_write_group(packer, items, n, &dir->chunks, err);
        if (rc == HF_OK) done += n;
    }
    drop_items(dir, done);
    return rc;
}

/* ---- a directory that is no longer the same ---- */

static struct handed *take_handed(struct build_dir *dir, size_t item)
{
    for (struct handed **at = &dir->handed; *at != NULL; at = &(*at)->next) {
        struct handed *found = *at;

        if (found->item != item) continue;
        *at = found->next;
        return found;
    }
    return NULL;
}

static void handed_free(struct handed *handed)
{
    if (handed == NULL) return;
    stream_packed_done(&handed->stream);
    free(handed);
}

/* False when a directory that is entry `item` is still to be written. */
static bool is_settled(const struct build_dir *dir, size_t item)
{
    if (dir->children_open == 0) return true;
    for (const struct build_dir *d = dir->build->dirs; d != NULL; d = d->next) {
        if (d->parent == dir && d->parent_item == item) return false;
    }
    return true;
}

/* An entry of the parent snapshot's directory becomes item number dir->count. */
static enum hf_code take_old(struct build_dir *dir, const struct tree_entry *entry,
                             struct hf_err *err)
{
    size_t item = dir->count;
    bool below = entry->type == TREE_DIR;
    struct handed *handed;
    enum hf_code rc = append(dir, entry, err);

    if (rc != HF_OK) return rc;
    dir->count++;
    handed = below ? take_handed(dir, item) : NULL;
    if (handed != NULL) {
        set_stream(dir, item, &handed->stream);
    } else if (entry->has_stream) {
        struct stream_packed stream = stream_packed_known(&entry->stream);

        set_stream(dir, item, &stream);
    }
    handed_free(handed);
    if (below && !is_settled(dir, item)) dir->items[item - dir->written].waiting = true;
    return HF_OK;
}

static bool is_time_to_write(const struct build_dir *dir)
{
    return dir->memory >= LARGE && dir->memory >= dir->try_at;
}

/* Begins to read its entries so far, *count of them, from where they are. */
static enum hf_code begin_old(struct build_dir *dir, struct tree_reader **reader,
                              size_t *count, struct hf_err *err)
{
    *reader = tree_reader_new(dir->build->fetcher, &dir->old);
    if (*reader == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    *count = dir->count;
    dir->count = 0;
    dir->same = false;
    return HF_OK;
}

/* Reads on, and writes those of a large directory at once, bit by bit; until there are
 * `count` or, after at least one, very much waits for one below that is to be written. */
static enum hf_code read_old(struct build_dir *dir, struct tree_reader *reader,
                             size_t count, struct hf_err *err)
{
    bool crowded = false;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && dir->count < count && !crowded) {
        const struct tree_entry *entry;

        rc = tree_reader_next(reader, &entry, err);
        if (rc == HF_OK && entry == NULL)
            rc = hf_fail(err, HF_CORRUPT, "the parent snapshot's directory has shrunk");
        if (rc == HF_OK) rc = take_old(dir, entry, err);
        if (rc == HF_OK && is_time_to_write(dir)) {
            rc = write_items(dir, err);
            dir->try_at = dir->memory + LARGE_STEP;
        }
        crowded = dir->children_open > 0 && dir->build->memory > WAITING_MAX;
    }
    return rc;
}

/* All below it is written: nothing need be waited for. */
static enum hf_code differ_closed(struct build_dir *dir, struct hf_err *err)
{
    struct tree_reader *reader = NULL;
    size_t count = 0;
    enum hf_code rc;

    if (!dir->same) return HF_OK;
    rc = begin_old(dir, &reader, &count, err);
    if (rc != HF_OK) return rc;
    dir->closed = false; /* more is to come, until all are read */
    rc = read_old(dir, reader, count, err);
    dir->closed = true;
    tree_reader_free(reader);
    return rc;
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
    while (dir->handed != NULL)
        handed_free(take_handed(dir, dir->handed->item));
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

/* ---- writing ---- */

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
    if (!parent->same && dir->parent_item < parent->count) {
        set_stream(parent, dir->parent_item, stream);
    } else if (!dir->same) { /* not kept, or not yet */
        struct handed *handed = malloc(sizeof *handed);

        if (handed == NULL) {
            rc = hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
        } else {
            *handed = (struct handed){dir->parent_item, *stream, parent->handed};
            memset(stream, 0, sizeof *stream);
            parent->handed = handed;
            parent->changed = true;
        }
    }
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
    if ((!dir->closed || dir->children_open > 0) && dir->memory < LARGE) return HF_OK;
    if (dir->closed && dir->children_open == 0 && dir->changed)
        rc = differ_closed(dir, err);
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

/* Closes the open data blocks, and writes all that is complete. */
static enum hf_code settle_all(struct build *build, struct hf_err *err)
{
    enum hf_code rc = packer_finish_data(build->packer, err);

    return rc == HF_OK ? pass(build, err) : rc;
}

/* ---- the walk's ---- */

/* The walk is in it, and some below it may still have to be written. */
static enum hf_code differ_open(struct build_dir *dir, struct hf_err *err)
{
    struct tree_reader *reader = NULL;
    size_t count = 0;
    enum hf_code rc;

    if (!dir->same) return HF_OK;
    rc = begin_old(dir, &reader, &count, err);
    while (rc == HF_OK && dir->count < count) {
        rc = read_old(dir, reader, count, err);
        if (rc == HF_OK && dir->count < count) rc = settle_all(dir->build, err);
    }
    tree_reader_free(reader);
    return rc;
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
    rc = differ_open(dir, err);
    if (rc == HF_OK && is_time_to_write(dir)) {
        rc = build_settle(dir->build, err);
        dir->try_at = dir->memory + LARGE_STEP;
    }
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
        build->failed = differ_open(dir, &build->failure);
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

enum hf_code build_settle(struct build *build, struct hf_err *err)
{
    uint64_t blocks = packer_totals(build->packer).blocks;
    enum hf_code rc = HF_OK;

    if (blocks != build->blocks_seen) rc = pass(build, err);
    build->blocks_seen = blocks;
    return rc == HF_OK && build->memory > WAITING_MAX ? settle_all(build, err) : rc;
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
