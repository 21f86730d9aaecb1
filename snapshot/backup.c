#include "snapshot/backup.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "snapshot/build.h"
#include "snapshot/fetch.h"
#include "snapshot/file_read.h"
#include "snapshot/index.h"
#include "snapshot/own_head.h"
#include "snapshot/paths.h"
#include "snapshot/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FETCH_FRAMES   16u
#define PATH_SHOWN_MAX 8192u

/* A directory that is being walked. */
struct level {
    struct level *up;
    int fd;
    struct path_node *node; /* only these children; NULL: all */
    struct walk_names names;
    size_t next;
    struct build_dir *dir;
    struct tree_reader *old; /* the same directory in the parent snapshot, or NULL */
    const struct tree_entry *old_entry;
    size_t path_size; /* of run->path, up to and with this directory's '/' */
    size_t depth;
};

struct run {
    const struct backup_options *options;
    struct backup_result *result;
    struct fetcher *fetcher;
    struct index *index;
    struct packer *packer;
    struct build *build;
    struct file_reader reader;
    struct walk_owners *owners;
    struct catalog catalog;
    struct snapshot parent;
    bool has_parent;
    struct path_node paths;
    char path[PATH_SHOWN_MAX];
    struct level *top;
    size_t targets_found;
};

static void report(struct run *run, const struct hf_err *err)
{
    run->result->counts.totals.errors++;
    if (run->options->on_error != NULL)
        run->options->on_error(run->options->arg, run->path, err);
}

static bool cancelled(struct run *run)
{
    return run->options->cancelled != NULL && run->options->cancelled(run->options->arg);
}

static void show_path(struct run *run, const struct level *level, const char *name)
{
    size_t room = sizeof run->path - level->path_size;

    (void)snprintf(run->path + level->path_size, room, "%s", name);
}

/* ---- the parent snapshot, entry by entry beside the walk ---- */

/* The parent's entry of that name, or NULL; notices entries that are gone. */
static const struct tree_entry *find_old(struct run *run, struct level *level,
                                         struct span name)
{
    while (level->old != NULL) {
        struct hf_err err;
        int order;

        if (level->old_entry == NULL &&
            tree_reader_next(level->old, &level->old_entry, &err) != HF_OK) {
            hf_log(HF_LOG_WARN, "backup",
                   "%.*s: the parent snapshot cannot be read here: %s",
                   (int)level->path_size, run->path, err.msg);
            level->old_entry = NULL;
            build_dir_changed(level->dir);
        }
        if (level->old_entry == NULL) { /* its end */
            tree_reader_free(level->old);
            level->old = NULL;
            break;
        }
        order = tree_name_compare(level->old_entry->name, name);
        if (order == 0) return level->old_entry;
        if (order > 0) return NULL;
        build_dir_changed(level->dir);
        level->old_entry = NULL;
    }
    return NULL;
}

static bool stat_same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->inode == b->inode;
}

/* False when blocks are known to be lost and this stream might need one of them. */
static bool stream_safe(struct run *run, const struct stream_root *root)
{
    if (run->result->blocks_lost == 0 || root->size == 0) return true;
    return root->depth == 0 && !index_block_lost(run->index, &root->chunk.frame.block);
}

/* ---- files ---- */

/* Reads a file, once more if it changed meanwhile, and adds its entry. */
static enum hf_code add_file(struct run *run, struct level *level, const char *name,
                             struct tree_entry *entry, struct hf_err *err)
{
    struct span name_span = entry->name;
    struct stream_writer writer;
    bool fatal = false;
    bool inline_content = false;
    size_t item;
    enum hf_code rc = HF_OK;
    int fd = -1;

    stream_writer_init(&writer, run->packer);
    for (int attempt = 0; attempt < 2; attempt++) {
        struct tree_entry after;

        stream_writer_done(&writer);
        stream_writer_init(&writer, run->packer);
        rc = walk_open_file(level->fd, name, &fd, err);
        if (rc != HF_OK) break;
        rc = file_reader_read(&run->reader, fd, entry, &writer, &fatal, err);
        (void)close(fd);
        if (rc != HF_OK) break;
        inline_content = entry->content.bytes != NULL;
        if (walk_stat(level->fd, name, run->owners, &after, err) != HF_OK)
            break; /* gone: keep */
        if (after.mtime_ns == entry->mtime_ns && after.ctime_ns == entry->ctime_ns &&
            after.size == entry->size)
            break;
        if (attempt == 1) {
            entry->changed = true; /* twice: say so and keep what was read */
            hf_log(HF_LOG_WARN, "backup", "%s: changed while it was read", run->path);
            break;
        }
        *entry = after;
        entry->name = name_span;
    }
    if (rc != HF_OK) {
        stream_writer_done(&writer);
        if (fatal) return rc;
        report(run, err);
        build_dir_changed(level->dir);
        return HF_OK;
    }
    rc = build_dir_add(level->dir, entry, false, &item, err);
    if (rc != HF_OK || inline_content)
        stream_writer_done(&writer);
    else
        rc = build_dir_set_writer(level->dir, item, &writer, err);
    run->result->counts.totals.files++;
    run->result->counts.totals.bytes += entry->size;
    return rc;
}

/* Takes over a file of the parent snapshot without opening it. */
static enum hf_code take_file(struct run *run, struct level *level,
                              struct tree_entry *entry, const struct tree_entry *old,
                              struct hf_err *err)
{
    struct stream_packed stream = {0};
    size_t item;
    enum hf_code rc;

    entry->content = old->content;
    entry->link_group = old->link_group;
    entry->xattrs = old->xattrs;
    entry->holes = old->holes;
    entry->flags = old->flags;
    entry->set = old->set;
    entry->extra = old->extra;
    entry->extra_count = old->extra_count;
    rc = build_dir_add(level->dir, entry, true, &item, err);
    if (rc != HF_OK) return rc;
    if (old->has_stream) {
        stream = stream_packed_known(&old->stream);
        build_dir_set_stream(level->dir, item, &stream);
    }
    run->result->counts.files_unchanged++;
    run->result->counts.totals.files++;
    run->result->counts.totals.bytes += entry->size;
    return HF_OK;
}

static bool file_unchanged(struct run *run, const struct tree_entry *entry,
                           const struct tree_entry *old)
{
    return !run->options->force && old != NULL && stat_same(entry, old) &&
           entry->size == old->size && !old->changed &&
           (!old->has_stream || stream_safe(run, &old->stream));
}

/* ---- links, devices ---- */

static enum hf_code add_other(struct run *run, struct level *level, const char *name,
                              struct tree_entry *entry, const struct tree_entry *old,
                              struct hf_err *err)
{
    uint8_t target[TREE_TARGET_MAX + 1];
    bool same = old != NULL && stat_same(entry, old) &&
                entry->device_major == old->device_major &&
                entry->device_minor == old->device_minor;
    size_t item;
    enum hf_code rc;

    if (entry->type == TREE_SYMLINK) {
        ssize_t n = readlinkat(level->fd, name, (char *)target, sizeof target);

        if (n < 0 || (size_t)n > TREE_TARGET_MAX) {
            (void)hf_fail_errno(err, n < 0 ? errno : ENAMETOOLONG, "read the link");
            report(run, err);
            build_dir_changed(level->dir);
            return HF_OK;
        }
        entry->target = (struct span){target, (size_t)n};
        same = same && tree_name_compare(entry->target, old->target) == 0;
    }
    run->result->counts.totals.others++;
    rc = build_dir_add(level->dir, entry, same, &item, err);
    entry->target = (struct span){0}; /* it was copied */
    return rc;
}

/* ---- directories ---- */

/* Backing up the store into itself would double it with every run. */
static bool is_skipped(const struct run *run, int fd)
{
    struct stat st;

    if (run->options->skip_count == 0 || fstat(fd, &st) != 0) return false;
    for (size_t i = 0; i < run->options->skip_count; i++) {
        if (st.st_dev == run->options->skips[i].device &&
            st.st_ino == run->options->skips[i].inode)
            return true;
    }
    return false;
}

static enum hf_code open_level(struct run *run, struct level *up, const char *name,
                               struct path_node *node, size_t item,
                               const struct tree_entry *old, struct level **out,
                               struct hf_err *err)
{
    const struct stream_root *old_root =
        old != NULL && old->type == TREE_DIR && stream_safe(run, &old->stream)
            ? &old->stream
            : NULL;
    struct level *level = calloc(1, sizeof *level);
    enum hf_code rc;

    *out = NULL;
    if (level == NULL) return hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    level->up = up;
    level->fd = -1;
    level->node = node;
    level->depth = up == NULL ? 0 : up->depth + 1;
    level->path_size = strlen(run->path);
    if (level->depth > TREE_DEPTH_MAX)
        rc = hf_fail(err, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
    else if (up == NULL)
        rc = hf_dir_open("/", &level->fd, err);
    else
        rc = walk_open_dir(up->fd, name, &level->fd, err);
    if (rc == HF_OK && node == NULL && !is_skipped(run, level->fd))
        rc = walk_read_names(level->fd, &level->names, err);
    if (rc == HF_OK && level->path_size + 1 < sizeof run->path) {
        if (level->path_size == 0 || run->path[level->path_size - 1] != '/')
            run->path[level->path_size++] = '/';
        run->path[level->path_size] = '\0';
    }
    if (rc == HF_OK && old_root != NULL)
        level->old = tree_reader_new(run->fetcher, old_root);
    if (rc == HF_OK) {
        level->dir = build_dir_open(run->build, up == NULL ? NULL : up->dir, item,
                                    level->old != NULL ? old_root : NULL);
        if (level->dir == NULL) rc = hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    }
    if (rc == HF_OK) {
        *out = level;
        return HF_OK;
    }
    if (level->fd >= 0) (void)close(level->fd);
    tree_reader_free(level->old);
    walk_names_done(&level->names);
    free(level);
    return rc;
}

static void level_free(struct level *level)
{
    (void)close(level->fd);
    tree_reader_free(level->old);
    walk_names_done(&level->names);
    free(level);
}

/* Adds a directory's entry and goes down into it. */
static enum hf_code add_dir(struct run *run, struct level *level, const char *name,
                            struct path_node *node, struct tree_entry *entry,
                            const struct tree_entry *old, struct hf_err *err)
{
    struct level *below;
    struct stream_packed empty = {0};
    bool same = old != NULL && stat_same(entry, old);
    size_t item;
    enum hf_code rc = build_dir_add(level->dir, entry, same, &item, err);

    run->result->counts.totals.dirs++;
    if (rc != HF_OK) return rc;
    rc = open_level(run, level, name, node != NULL && node->whole ? NULL : node, item, old,
                    &below, err);
    if (rc == HF_OK) {
        run->top = below;
        return HF_OK;
    }
    if (rc == HF_NO_MEMORY) return rc;
    report(run, err); /* its entry stays, empty */
    build_dir_changed(level->dir);
    build_dir_set_stream(level->dir, item, &empty);
    return HF_OK;
}

static enum hf_code visit(struct run *run, struct level *level, const char *name,
                          struct path_node *node, struct hf_err *err)
{
    struct tree_entry entry;
    const struct tree_entry *old;
    enum hf_code rc = walk_stat(level->fd, name, run->owners, &entry, err);

    show_path(run, level, name);
    if (run->options->on_progress != NULL)
        run->options->on_progress(run->options->arg, &run->result->counts, run->path);
    if (rc == HF_NOT_FOUND && node == NULL) { /* vanished between the listing and now */
        build_dir_changed(level->dir);
        return HF_OK;
    }
    if (rc != HF_OK) {
        report(run, err);
        build_dir_changed(level->dir);
        return HF_OK;
    }
    if (node != NULL && node->whole) run->targets_found++;
    entry.name = (struct span){(const uint8_t *)name, strlen(name)};
    old = find_old(run, level, entry.name);
    if (old != NULL) level->old_entry = NULL; /* used up; it stays until the next is read */
    if (entry.type == TREE_DIR) return add_dir(run, level, name, node, &entry, old, err);
    if (entry.type != TREE_FILE) return add_other(run, level, name, &entry, old, err);
    if (file_unchanged(run, &entry, old)) return take_file(run, level, &entry, old, err);
    return add_file(run, level, name, &entry, err);
}

/* The directory is through: what the parent snapshot still has below it is gone. */
static enum hf_code leave(struct run *run, struct hf_err *err)
{
    static const struct span beyond = {(const uint8_t *)"\xff\xff", 2};
    struct level *level = run->top;
    struct build_dir *dir = level->dir;
    enum hf_code rc;

    run->path[level->path_size] = '\0';
    if (level->old != NULL && find_old(run, level, beyond) != NULL) build_dir_changed(dir);
    if (level->old != NULL) build_dir_changed(dir);
    run->top = level->up;
    level_free(level);
    rc = build_dir_close(run->build, dir, err);
    return rc == HF_OK ? build_settle(run->build, err) : rc;
}

static enum hf_code walk(struct run *run, struct hf_err *err)
{
    struct tree_entry root = {.type = TREE_DIR, .has_stream = run->has_parent};
    enum hf_code rc;

    root.stream = run->parent.root;
    run->path[0] = '\0';
    rc = open_level(run, NULL, "/", run->paths.whole ? NULL : &run->paths, 0,
                    run->has_parent ? &root : NULL, &run->top, err);
    while (rc == HF_OK && run->top != NULL) {
        struct level *level = run->top;
        bool partial = level->node != NULL;
        size_t count = partial ? level->node->count : level->names.count;

        if (cancelled(run)) return hf_fail(err, HF_CANCELLED, "interrupted");
        if (level->next == count) {
            rc = leave(run, err);
        } else if (partial) {
            struct path_node *node = level->node->children[level->next++];

            rc = visit(run, level, node->name, node, err);
        } else {
            rc = visit(run, level, level->names.names[level->next++], NULL, err);
        }
    }
    return rc;
}

/* ---- the run ---- */

static enum hf_code copy_strings(const char *const *from, size_t count, char ***to,
                                 size_t *n, struct hf_err *err)
{
    *to = hf_alloc_array(count, sizeof(char *));
    for (size_t i = 0; *to != NULL && i < count; i++) {
        (*to)[i] = strdup(from[i]);
        if ((*to)[i] == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
        (*n)++;
    }
    return *to != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
}

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* The absolute paths, into the tree of names and into the snapshot. */
static enum hf_code take_paths(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct snapshot *s = &run->result->snapshot;
    enum hf_code rc = HF_OK;

    s->paths = hf_alloc_array(o->path_count, sizeof(char *));
    if (s->paths == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    for (size_t i = 0; i < o->path_count; i++) {
        char *absolute;

        rc = path_absolute(o->paths[i], &absolute, err);
        if (rc == HF_OK) {
            s->paths[s->path_count++] = absolute;
            rc = path_node_add(&run->paths, absolute, err);
            if (rc != HF_OK) return rc;
        } else {
            (void)snprintf(run->path, sizeof run->path, "%s", o->paths[i]);
            if (strncmp(err->msg, o->paths[i], strlen(o->paths[i])) == 0 &&
                strncmp(err->msg + strlen(o->paths[i]), ": ", 2) == 0)
                memmove(err->msg, err->msg + strlen(o->paths[i]) + 2,
                        strlen(err->msg + strlen(o->paths[i]) + 2) + 1);
            report(run, err);
        }
    }
    if (s->path_count == 0)
        return hf_fail(err, HF_NOT_FOUND,
                       "nothing to back up: none of the paths can be read");
    qsort(s->paths, s->path_count, sizeof(char *), compare_strings);
    return HF_OK;
}

static enum hf_code describe(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct snapshot *s = &run->result->snapshot;

    s->vault = o->keys->vault;
    s->host = o->vault->host;
    s->incarnation = o->vault->incarnation;
    (void)snprintf(s->host_name, sizeof s->host_name, "%s",
                   o->host_name != NULL ? o->host_name : o->vault->host_name);
    s->time_ns = o->time_ns;
    s->utc_offset_s = o->utc_offset_s;
    s->ordinal = catalog_next_ordinal(&run->catalog, s);
    s->has_parent = run->has_parent;
    s->parent = run->parent.id;
    return copy_strings(o->tags, o->tag_count, &s->tags, &s->tag_count, err);
}

static enum hf_code open_run(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct packer_config config = {.store = o->store, .keys = o->keys, .level = o->level};
    bool fresh;
    enum hf_code rc;

    run->fetcher = fetcher_new(o->store, FETCH_FRAMES);
    run->owners = walk_owners_new();
    if (run->fetcher == NULL || run->owners == NULL)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    rc = own_head_open(o->store, run->fetcher, o->vault, o->keys, o->state_fd,
                       &run->catalog, err);
    if (rc != HF_OK) return rc;
    rc = index_open(o->cache_dir, &o->keys->vault, &o->vault->host, &run->index, &fresh,
                    err);
    if (rc == HF_OK)
        rc = index_confirm(run->index, o->store, &run->result->blocks_lost, err);
    if (rc != HF_OK) return rc;
    if (run->result->blocks_lost > 0)
        hf_log(HF_LOG_WARN, "backup",
               "%zu blocks are gone from the store; their data is read again",
               run->result->blocks_lost);
    if (run->catalog.count > 0) {
        run->has_parent =
            snapshot_read(run->fetcher, &run->catalog.entries[run->catalog.count - 1],
                          &run->parent, err) == HF_OK;
        if (!run->has_parent)
            hf_log(HF_LOG_WARN, "backup",
                   "the parent snapshot cannot be read; all is read again: %s", err->msg);
    }
    config.index = run->index;
    rc = packer_new(&config, &run->packer, err);
    if (rc != HF_OK) return rc;
    file_reader_init(&run->reader, run->packer, o->keys->chunker);
    run->reader.cancelled = o->cancelled;
    run->reader.arg = o->arg;
    run->build = build_new(run->packer, run->fetcher);
    if (run->build == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    block_store_begin(o->store, run->catalog.seq + 1);
    return HF_OK;
}

/* Trees, snapshot and catalog are complete in the store when this returns HF_OK. */
static enum hf_code write_trees(struct run *run, struct stream_root *catalog,
                                struct hf_err *err)
{
    struct snapshot *s = &run->result->snapshot;
    struct stream_packed root = {0};
    struct stream_packed list = {0};
    struct packed place = {0};
    enum hf_code rc = packer_finish_data(run->packer, err);

    if (rc == HF_OK) rc = build_finish(run->build, &root, err);
    s->totals = run->result->counts.totals;
    if (rc == HF_OK) rc = snapshot_write(run->packer, s, &root, &place, err);
    if (rc == HF_OK) rc = catalog_write(run->packer, &run->catalog, s, &place, &list, err);
    if (rc == HF_OK) rc = packer_finish_tree(run->packer, err);
    catalog->size = list.size;
    catalog->depth = list.depth;
    if (rc == HF_OK) rc = packed_ref(run->packer, &list.chunk, &catalog->chunk, err);
    stream_packed_done(&root);
    stream_packed_done(&list);
    packed_done(&place);
    return rc;
}

static enum hf_code write_head(struct run *run, const struct stream_root *catalog,
                               struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct backup_result *result = run->result;
    struct head head = {.catalog = *catalog};
    uint8_t record[HF_RECORD_MAX];
    size_t n;
    enum hf_code rc = block_store_flush(o->store, err);

    if (rc == HF_DEGRADED) {
        result->degraded = true;
        (void)snprintf(result->degraded_why, sizeof result->degraded_why, "%s", err->msg);
        rc = hf_file_replace(hf_files_system(), o->state_fd, BACKUP_DEGRADED_FILE,
                             result->degraded_why, strlen(result->degraded_why), 0600, err);
    }
    memcpy(head.host_name, result->snapshot.host_name, sizeof head.host_name);
    if (rc == HF_OK)
        rc = head_seal(o->keys, &run->catalog, &head, o->time_ns, record, &n, err);
    if (rc == HF_OK) rc = own_head_write(o->store, o->state_fd, o->keys, record, n, err);
    return rc;
}

static void close_run(struct run *run)
{
    while (run->top != NULL) {
        struct level *up = run->top->up;

        level_free(run->top);
        run->top = up;
    }
    build_free(run->build);
    if (run->packer != NULL) run->result->stored = packer_totals(run->packer);
    packer_free(run->packer);
    index_close(run->index);
    fetcher_free(run->fetcher);
    walk_owners_free(run->owners);
    catalog_done(&run->catalog);
    snapshot_done(&run->parent);
    path_node_done(&run->paths);
    run->result->counts.bytes_read = run->reader.bytes_read;
    file_reader_done(&run->reader);
}

enum hf_code backup_run(const struct backup_options *options, struct backup_result *result,
                        struct hf_err *err)
{
    struct run *run = calloc(1, sizeof *run);
    struct stream_root catalog = {0};
    enum hf_code rc;

    memset(result, 0, sizeof *result);
    if (run == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    run->options = options;
    run->result = result;
    rc = take_paths(run, err);
    if (rc == HF_OK) rc = open_run(run, err);
    if (rc == HF_OK) rc = describe(run, err);
    if (rc == HF_OK) rc = walk(run, err);
    if (rc == HF_OK && run->targets_found == 0 && !run->paths.whole)
        rc =
            hf_fail(err, HF_NOT_FOUND, "nothing to back up: none of the paths can be read");
    if (rc == HF_OK) rc = write_trees(run, &catalog, err);
    if (rc == HF_OK) rc = write_head(run, &catalog, err);
    close_run(run);
    free(run);
    if (rc != HF_OK) backup_result_done(result);
    return rc;
}

void backup_result_done(struct backup_result *result)
{
    snapshot_done(&result->snapshot);
}
