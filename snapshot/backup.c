#include "snapshot/backup.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "snapshot/build.h"
#include "snapshot/fetch.h"
#include "snapshot/file_read.h"
#include "snapshot/index.h"
#include "snapshot/own_head.h"
#include "snapshot/parent.h"
#include "snapshot/paths.h"
#include "snapshot/stdin_file.h"
#include "snapshot/walk.h"
#include "snapshot/walk_links.h"
#include "snapshot/xattrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FETCH_FRAMES   16u
#define PATH_BYTES_MAX ((TREE_DEPTH_MAX + 2u) * (TREE_NAME_MAX + 1u))
#define FILES_RESERVED 64u /* open files that are not the walk's */

/* What is wanted of a directory. */
struct scope {
    struct path_node *node; /* the PATHs at and below it; NULL: none */
    bool all;               /* everything; else only what leads to those */
    uint64_t device;        /* st_dev */
    uint64_t base;          /* st_dev of the PATH that it belongs to */
};

/* A directory that is being walked. */
struct level {
    struct level *up;
    int fd;
    struct scope scope;
    struct walk_names names;
    size_t next;
    struct build_dir *dir;   /* NULL: a dry run */
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
    struct build *build; /* NULL: a dry run */
    struct file_reader reader;
    struct walk_owners *owners;
    struct walk_links links;
    struct xattr_buffer xattrs;
    struct catalog catalog;
    struct snapshot parent;
    bool has_parent;
    struct path_node paths;
    char path[PATH_BYTES_MAX];
    struct level *top;
    size_t targets_found;
    rlim_t files_max; /* open at once */
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

/* An entry is complete. */
static void note(struct run *run, enum backup_change change)
{
    run->result->counts.entries[change]++;
    if (run->options->on_entry != NULL)
        run->options->on_entry(run->options->arg, run->path, change);
}

static void mark_changed(struct level *level)
{
    if (level->dir != NULL) build_dir_changed(level->dir);
}

static bool is_given(const struct path_node *node)
{
    return node != NULL && node->whole;
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
            mark_changed(level);
        }
        if (level->old_entry == NULL) { /* its end */
            tree_reader_free(level->old);
            level->old = NULL;
            break;
        }
        order = tree_name_compare(level->old_entry->name, name);
        if (order == 0) return level->old_entry;
        if (order > 0) return NULL;
        mark_changed(level);
        level->old_entry = NULL;
    }
    return NULL;
}

static bool stat_same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->inode == b->inode && a->link_group == b->link_group;
}

/* Attributes and flags cannot change without ctime. */
static bool is_unchanged(const struct run *run, const struct tree_entry *entry,
                         const struct tree_entry *old)
{
    return !run->options->force && old != NULL && !old->changed && stat_same(entry, old);
}

static void adopt(struct tree_entry *entry, const struct tree_entry *old)
{
    entry->xattrs = old->xattrs;
    entry->flags = old->flags;
    entry->set = old->set;
    entry->extra = old->extra;
    entry->extra_count = old->extra_count;
}

/* False when blocks are known to be lost and this stream might need one of them. */
static bool stream_safe(struct run *run, const struct stream_root *root)
{
    if (run->result->blocks_lost == 0 || root->size == 0) return true;
    return root->depth == 0 && !index_block_lost(run->index, &root->chunk.frame.block);
}

/* What stat does not tell.  An entry without its attributes is tried again by the next
 * run. */
static void read_xattrs(struct run *run, struct level *level, const char *name,
                        struct tree_entry *entry)
{
    struct hf_err err;
    enum hf_code rc = xattrs_read(&run->xattrs, level->fd, name, &entry->xattrs, &err);

    if (rc == HF_OK || rc == HF_NOT_FOUND) return;
    entry->changed = true;
    report(run, &err);
}

static enum hf_code look(struct run *run, struct level *level, const char *name,
                         struct tree_entry *entry, struct walk_facts *facts,
                         struct hf_err *err)
{
    enum hf_code rc = walk_look(level->fd, name, run->owners, entry, facts, err);

    if (rc != HF_OK) return rc;
    walk_links_meet(&run->links, facts->device);
    if (entry->type != TREE_DIR && facts->links > 1)
        entry->link_group = walk_links_group(&run->links, facts->device, entry->inode);
    entry->name = (struct span){(const uint8_t *)name, strlen(name)};
    return HF_OK;
}

/* An entry cannot be saved.  That it has vanished meanwhile is no error, unless it was
 * asked for by its path. */
static enum hf_code give_up(struct run *run, struct level *level,
                            const struct path_node *node, const struct hf_err *err)
{
    if (err->code != HF_NOT_FOUND || node != NULL) report(run, err);
    mark_changed(level);
    return HF_OK;
}

/* ---- files ---- */

static void count_file(struct run *run, const struct tree_entry *entry,
                       enum backup_change change)
{
    struct backup_counts *counts = &run->result->counts;

    counts->totals.files++;
    counts->totals.bytes += entry->size;
    if (change == BACKUP_UNCHANGED)
        counts->files_unchanged++;
    else
        counts->bytes_changed += entry->size;
    note(run, change);
}

/* Reads a file, once more if it changed meanwhile, and adds its entry. */
static enum hf_code add_file(struct run *run, struct level *level, const char *name,
                             const struct path_node *node, struct tree_entry *entry,
                             const struct tree_entry *old, struct hf_err *err)
{
    struct stream_writer writer;
    bool fatal = false;
    bool inline_content = false;
    size_t item;
    enum hf_code rc = HF_OK;
    int fd = -1;

    stream_writer_init(&writer, run->packer);
    for (int attempt = 0; attempt < 2; attempt++) {
        struct tree_entry after;
        struct walk_facts facts;

        stream_writer_done(&writer);
        stream_writer_init(&writer, run->packer);
        rc = walk_open_file(level->fd, name, &fd, err);
        if (rc != HF_OK) break;
        walk_read_flags(fd, entry);
        rc = file_reader_read(&run->reader, fd, entry, &writer, &fatal, err);
        (void)close(fd);
        if (rc != HF_OK) break;
        inline_content = entry->content.bytes != NULL;
        if (look(run, level, name, &after, &facts, err) != HF_OK) break; /* gone: keep */
        if (after.mtime_ns == entry->mtime_ns && after.ctime_ns == entry->ctime_ns &&
            after.size == entry->size)
            break;
        if (attempt == 1 || after.type != TREE_FILE) {
            entry->changed = true; /* twice: say so and keep what was read */
            hf_log(HF_LOG_WARN, "backup", "%s: changed while it was read", run->path);
            break;
        }
        *entry = after;
    }
    if (rc != HF_OK) {
        stream_writer_done(&writer);
        return fatal ? rc : give_up(run, level, node, err);
    }
    read_xattrs(run, level, name, entry);
    rc = build_dir_add(level->dir, entry, false, &item, err);
    if (rc != HF_OK || inline_content)
        stream_writer_done(&writer);
    else
        rc = build_dir_set_writer(level->dir, item, &writer, err);
    count_file(run, entry, old == NULL ? BACKUP_NEW : BACKUP_CHANGED);
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
    entry->holes = old->holes;
    adopt(entry, old);
    rc = build_dir_add(level->dir, entry, true, &item, err);
    if (rc != HF_OK) return rc;
    if (old->has_stream) {
        stream = stream_packed_known(&old->stream);
        build_dir_set_stream(level->dir, item, &stream);
    }
    count_file(run, entry, BACKUP_UNCHANGED);
    return HF_OK;
}

static enum hf_code visit_file(struct run *run, struct level *level, const char *name,
                               const struct path_node *node, struct tree_entry *entry,
                               const struct tree_entry *old, struct hf_err *err)
{
    bool unchanged = is_unchanged(run, entry, old) && entry->size == old->size &&
                     (!old->has_stream || stream_safe(run, &old->stream));

    if (run->build == NULL) {
        count_file(run, entry,
                   unchanged     ? BACKUP_UNCHANGED
                   : old == NULL ? BACKUP_NEW
                                 : BACKUP_CHANGED);
        return HF_OK;
    }
    return unchanged ? take_file(run, level, entry, old, err)
                     : add_file(run, level, name, node, entry, old, err);
}

/* ---- links, devices ---- */

static enum hf_code read_target(struct level *level, const char *name,
                                uint8_t target[static TREE_TARGET_MAX + 1],
                                struct tree_entry *entry, struct hf_err *err)
{
    ssize_t n = readlinkat(level->fd, name, (char *)target, TREE_TARGET_MAX + 1);

    if (n <= 0 || (size_t)n > TREE_TARGET_MAX)
        return hf_fail_errno(err,
                             n < 0    ? errno
                             : n == 0 ? EINVAL
                                      : ENAMETOOLONG,
                             "read the link");
    entry->target = (struct span){target, (size_t)n};
    return HF_OK;
}

static enum hf_code visit_other(struct run *run, struct level *level, const char *name,
                                const struct path_node *node, struct tree_entry *entry,
                                const struct tree_entry *old, struct hf_err *err)
{
    uint8_t target[TREE_TARGET_MAX + 1];
    bool same = is_unchanged(run, entry, old) && entry->device_major == old->device_major &&
                entry->device_minor == old->device_minor;
    size_t item;
    enum hf_code rc = HF_OK;

    if (entry->type == TREE_SYMLINK && same) {
        entry->target = old->target;
    } else if (entry->type == TREE_SYMLINK) {
        rc = read_target(level, name, target, entry, err);
        if (rc != HF_OK) return give_up(run, level, node, err);
    }
    if (run->build != NULL) {
        if (same)
            adopt(entry, old);
        else
            read_xattrs(run, level, name, entry);
        rc = build_dir_add(level->dir, entry, same, &item, err);
    }
    run->result->counts.totals.others++;
    note(run, same ? BACKUP_UNCHANGED : old == NULL ? BACKUP_NEW : BACKUP_CHANGED);
    return rc;
}

/* ---- directories ---- */

/* Backing up the store into itself would double it with every run. */
static bool is_skipped(const struct run *run, uint64_t device, uint64_t inode)
{
    for (size_t i = 0; i < run->options->skip_count; i++) {
        if (device == run->options->skips[i].device &&
            inode == run->options->skips[i].inode)
            return true;
    }
    return false;
}

/* Only the PATHs below: their names, borrowed. */
static enum hf_code name_paths(const struct path_node *node, struct walk_names *names,
                               struct hf_err *err)
{
    names->names = hf_alloc_array(node->count, sizeof(char *));
    if (names->names == NULL) return hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    for (size_t i = 0; i < node->count; i++)
        names->names[names->count++] = node->children[i]->name;
    return HF_OK;
}

/* The names that the walk goes through.  Of a directory with a mark only that is left, and
 * what leads to a PATH. */
static enum hf_code list_level(struct run *run, struct level *level, struct hf_err *err)
{
    struct walk_names *names = &level->names;
    const char *mark;
    size_t kept = 0;
    enum hf_code rc;

    if (!level->scope.all) return name_paths(level->scope.node, names, err);
    rc = walk_read_names(level->fd, names, err);
    if (rc != HF_OK || is_given(level->scope.node)) return rc;
    mark = selection_mark(&run->options->selection, level->fd, names);
    if (mark == NULL) return HF_OK;
    for (size_t i = 0; i < names->count; i++) {
        char *name = names->names[i];

        if (strcmp(name, mark) == 0 || path_node_find(level->scope.node, name) != NULL)
            names->names[kept++] = name;
    }
    names->count = kept;
    level->scope.all = false;
    return HF_OK;
}

static void level_free(struct level *level)
{
    (void)close(level->fd);
    tree_reader_free(level->old);
    walk_names_done(&level->names);
    free(level);
}

static enum hf_code check_depth(const struct run *run, const struct level *level,
                                struct hf_err *err)
{
    if (level->depth > TREE_DEPTH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
    if ((rlim_t)level->fd + FILES_RESERVED > run->files_max)
        return hf_fail(err, HF_TOO_LARGE,
                       "more directories deep than files may be open at once (%llu); raise "
                       "'ulimit -n'",
                       (unsigned long long)run->files_max);
    return HF_OK;
}

/* Makes the level of a directory that is open; takes over fd in any case. */
static enum hf_code open_level(struct run *run, int fd, const struct scope *scope,
                               size_t item, const struct tree_entry *old,
                               struct hf_err *err)
{
    const struct stream_root *old_root =
        old != NULL && old->type == TREE_DIR && stream_safe(run, &old->stream)
            ? &old->stream
            : NULL;
    struct level *up = run->top;
    struct level *level = calloc(1, sizeof *level);
    enum hf_code rc;

    if (level == NULL) {
        (void)close(fd);
        return hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    }
    level->up = up;
    level->fd = fd;
    level->scope = *scope;
    level->depth = up == NULL ? 0 : up->depth + 1;
    rc = check_depth(run, level, err);
    if (rc == HF_OK) rc = list_level(run, level, err);
    if (rc == HF_OK && old_root != NULL)
        level->old = tree_reader_new(run->fetcher, old_root);
    if (rc == HF_OK && run->build != NULL) {
        level->dir = build_dir_open(run->build, up == NULL ? NULL : up->dir, item,
                                    level->old != NULL ? old_root : NULL);
        if (level->dir == NULL) rc = hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    }
    if (rc != HF_OK) {
        level_free(level);
        return rc;
    }
    level->path_size = strlen(run->path);
    if (level->path_size == 0 || run->path[level->path_size - 1] != '/')
        run->path[level->path_size++] = '/';
    run->path[level->path_size] = '\0';
    run->top = level;
    return HF_OK;
}

/* What is wanted of a directory in `level`, before it is opened. */
static struct scope scope_of(const struct run *run, const struct level *level,
                             struct path_node *node, const struct tree_entry *entry,
                             const struct walk_facts *facts)
{
    struct scope scope = {.node = node,
                          .all = level->scope.all || is_given(node),
                          .device = facts->device,
                          .base = is_given(node) ? facts->device : level->scope.base};

    if (is_skipped(run, facts->device, entry->inode)) return (struct scope){0};
    if (is_given(node)) return scope;
    if (run->options->selection.one_file_system && facts->device != level->scope.base)
        scope.all = false;
    if (!selection_takes(&run->options->selection, run->path, entry)) scope.all = false;
    return scope;
}

static bool is_empty(const struct scope *scope)
{
    return !scope->all && (scope->node == NULL || scope->node->count == 0);
}

/* Adds a directory that is not entered. */
static enum hf_code add_empty_dir(struct run *run, struct level *level,
                                  const struct tree_entry *entry, bool same,
                                  struct hf_err *err)
{
    struct stream_packed empty = {0};
    size_t item;
    enum hf_code rc;

    if (run->build == NULL) return HF_OK;
    rc = build_dir_add(level->dir, entry, same, &item, err);
    if (rc == HF_OK) build_dir_set_stream(level->dir, item, &empty);
    return rc;
}

/* Adds a directory's entry and goes down into it, or leaves it empty. */
static enum hf_code visit_dir(struct run *run, struct level *level, const char *name,
                              struct path_node *node, struct tree_entry *entry,
                              const struct walk_facts *facts, const struct tree_entry *old,
                              struct hf_err *err)
{
    struct scope scope = scope_of(run, level, node, entry, facts);
    bool same = is_unchanged(run, entry, old);
    size_t item = 0;
    int fd = -1;
    enum hf_code rc = is_empty(&scope) ? HF_OK : walk_open_dir(level->fd, name, &fd, err);

    if (rc == HF_NOT_FOUND) return give_up(run, level, node, err);
    if (fd >= 0 && facts->device != level->scope.device && !is_given(node) &&
        selection_is_pseudo(fd))
        scope.all = false;
    if (same)
        adopt(entry, old);
    else if (rc != HF_OK)
        entry->changed = true; /* the next run looks again */
    else if (run->build != NULL)
        read_xattrs(run, level, name, entry);
    if (!same && fd >= 0) walk_read_flags(fd, entry);
    run->result->counts.totals.dirs++;
    note(run, same ? BACKUP_UNCHANGED : old == NULL ? BACKUP_NEW : BACKUP_CHANGED);
    if (rc != HF_OK) {
        report(run, err);
        return add_empty_dir(run, level, entry, false, err);
    }
    if (is_empty(&scope)) {
        if (fd >= 0) (void)close(fd);
        return add_empty_dir(run, level, entry, same && old->stream.size == 0, err);
    }
    if (run->build != NULL) rc = build_dir_add(level->dir, entry, same, &item, err);
    if (rc != HF_OK) {
        (void)close(fd);
        return rc;
    }
    rc = open_level(run, fd, &scope, item, old, err);
    if (rc == HF_OK || rc == HF_NO_MEMORY) return rc;
    if (run->build != NULL) { /* its entry stays, empty */
        struct stream_packed empty = {0};

        build_dir_set_stream(level->dir, item, &empty);
    }
    return give_up(run, level, node, err);
}

/* Directories are asked for by scope_of, where PATHs may be below them. */
static bool is_left_out(const struct run *run, const struct level *level,
                        const struct path_node *node, const struct tree_entry *entry)
{
    if (is_given(node)) return false;
    if (node != NULL && (entry->type == TREE_DIR || !level->scope.all)) return false;
    return !selection_takes(&run->options->selection, run->path, entry);
}

static enum hf_code visit(struct run *run, struct level *level, const char *name,
                          struct hf_err *err)
{
    struct path_node *node = path_node_find(level->scope.node, name);
    struct tree_entry entry;
    struct walk_facts facts;
    const struct tree_entry *old;
    enum hf_code rc =
        strlen(name) > TREE_NAME_MAX
            ? hf_fail(err, HF_TOO_LARGE, "its name is over %u bytes long", TREE_NAME_MAX)
            : look(run, level, name, &entry, &facts, err);

    show_path(run, level, name);
    if (run->options->on_progress != NULL)
        run->options->on_progress(run->options->arg, &run->result->counts, run->path);
    if (rc != HF_OK) {
        if (node == NULL && selection_excludes_any(&run->options->selection, run->path))
            return HF_OK;
        return give_up(run, level, node, err);
    }
    if (is_left_out(run, level, node, &entry)) return HF_OK;
    if (is_given(node)) run->targets_found++;
    old = find_old(run, level, entry.name);
    if (old != NULL) level->old_entry = NULL; /* used up; it stays until the next is read */
    if (entry.type == TREE_DIR)
        return visit_dir(run, level, name, node, &entry, &facts, old, err);
    if (entry.type == TREE_FILE)
        return visit_file(run, level, name, node, &entry, old, err);
    return visit_other(run, level, name, node, &entry, old, err);
}

/* The directory is through: what the parent snapshot still has below it is gone. */
static enum hf_code leave(struct run *run, struct hf_err *err)
{
    static const struct span beyond = {(const uint8_t *)"\xff\xff", 2};
    struct level *level = run->top;
    struct build_dir *dir = level->dir;
    enum hf_code rc;

    run->path[level->path_size] = '\0';
    if (level->old != NULL && find_old(run, level, beyond) != NULL) mark_changed(level);
    if (level->old != NULL) mark_changed(level);
    run->top = level->up;
    level_free(level);
    if (dir == NULL) return HF_OK;
    rc = build_dir_close(run->build, dir, err);
    return rc == HF_OK ? build_settle(run->build, err) : rc;
}

static enum hf_code open_root(struct run *run, struct hf_err *err)
{
    struct tree_entry parent = {.type = TREE_DIR, .has_stream = run->has_parent};
    struct tree_entry root;
    struct walk_facts facts;
    struct scope scope = {.node = &run->paths, .all = run->paths.whole};
    int fd;
    enum hf_code rc = hf_dir_open("/", &fd, err);

    if (rc != HF_OK) return rc;
    rc = walk_look(fd, ".", run->owners, &root, &facts, err);
    if (rc != HF_OK) {
        (void)close(fd);
        return rc;
    }
    walk_links_meet(&run->links, facts.device);
    scope.device = scope.base = facts.device;
    parent.stream = run->parent.root;
    run->path[0] = '\0';
    return open_level(run, fd, &scope, 0, run->has_parent ? &parent : NULL, err);
}

static enum hf_code walk(struct run *run, struct hf_err *err)
{
    enum hf_code rc = open_root(run, err);

    while (rc == HF_OK && run->top != NULL) {
        struct level *level = run->top;

        if (cancelled(run)) return hf_fail(err, HF_CANCELLED, "interrupted");
        rc = level->next == level->names.count
                 ? leave(run, err)
                 : visit(run, level, level->names.names[level->next++], err);
    }
    if (rc == HF_OK && run->targets_found == 0 && !run->paths.whole)
        rc =
            hf_fail(err, HF_NOT_FOUND, "nothing to back up: none of the paths can be read");
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

/* The message already begins with the path: it is said once. */
static void report_path(struct run *run, const char *path, struct hf_err *err)
{
    size_t n = strlen(path);

    (void)snprintf(run->path, sizeof run->path, "%s", path);
    if (strncmp(err->msg, path, n) == 0 && strncmp(err->msg + n, ": ", 2) == 0)
        memmove(err->msg, err->msg + n + 2, strlen(err->msg + n + 2) + 1);
    report(run, err);
}

/* A snapshot names at most so many paths: of more, the directory that they have in common.
 */
static void shorten_paths(struct snapshot *s)
{
    size_t bytes = 0;
    size_t same = 0;
    const char *last = s->paths[s->path_count - 1];

    for (size_t i = 0; i < s->path_count; i++)
        bytes += strlen(s->paths[i]);
    if (s->path_count <= SNAPSHOT_PATHS_MAX && bytes <= SNAPSHOT_PATH_BYTES_MAX) return;
    while (s->paths[0][same] != '\0' && s->paths[0][same] == last[same])
        same++; /* of the first and the last: they are sorted */
    while (same > 1 && s->paths[0][same] != '\0' && s->paths[0][same] != '/')
        same--;
    s->paths[0][same] = '\0';
    while (s->path_count > 1)
        free(s->paths[--s->path_count]);
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
            report_path(run, o->paths[i], err);
        }
    }
    if (s->path_count == 0)
        return hf_fail(err, HF_NOT_FOUND,
                       "nothing to back up: none of the paths can be read");
    qsort(s->paths, s->path_count, sizeof(char *), compare_strings);
    shorten_paths(s);
    return HF_OK;
}

static enum hf_code take_stdin(struct run *run, struct hf_err *err)
{
    struct snapshot *s = &run->result->snapshot;
    const char *name = run->options->stdin_name;

    s->paths = hf_alloc_array(1, sizeof(char *));
    if (s->paths == NULL ||
        asprintf(&s->paths[0], "%s%s", name[0] == '/' ? "" : "/", name) < 0)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    s->path_count = 1;
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
    if (copy_strings(o->tags, o->tag_count, &s->tags, &s->tag_count, err) != HF_OK)
        return err->code;
    return copy_strings(o->notes, o->note_count, &s->options, &s->option_count, err);
}

/* What the last run left, and which blocks have gone since.  A dry run writes nothing: it
 * has no index, and completes no interrupted head. */
static enum hf_code open_past(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    bool fresh;
    enum hf_code rc;

    if (o->dry_run) {
        rc = parent_catalog(o->store, run->fetcher, o->keys, &o->vault->host, &run->catalog,
                            err);
    } else {
        rc = own_head_open(o->store, run->fetcher, o->vault, o->keys, o->state_fd,
                           &run->catalog, err);
        if (rc == HF_OK)
            rc = index_open(o->cache_dir, &o->keys->vault, &o->vault->host, &run->index,
                            &fresh, err);
        if (rc == HF_OK)
            rc = index_confirm(run->index, o->store, &run->result->blocks_lost, err);
    }
    if (rc != HF_OK) return rc;
    if (run->result->blocks_lost > 0)
        hf_log(HF_LOG_WARN, "backup",
               "%zu blocks are gone from the store; their data is read again",
               run->result->blocks_lost);
    run->has_parent =
        parent_find(run->fetcher, &run->catalog, &run->result->snapshot, &run->parent);
    return HF_OK;
}

static enum hf_code open_packer(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    const struct packer_config config = {
        .store = o->store, .keys = o->keys, .level = o->level, .index = run->index};
    enum hf_code rc = packer_new(&config, &run->packer, err);

    if (rc == HF_OK)
        rc = file_reader_init(&run->reader, run->packer, o->keys->chunker, err);
    if (rc != HF_OK) return rc;
    run->reader.cancelled = o->cancelled;
    run->reader.arg = o->arg;
    run->build = build_new(run->packer);
    if (run->build == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    block_store_begin(o->store, run->catalog.seq + 1);
    return HF_OK;
}

static enum hf_code open_run(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct rlimit files;
    enum hf_code rc;

    run->files_max = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : RLIM_INFINITY;
    run->fetcher = fetcher_new(o->store, FETCH_FRAMES);
    run->owners = walk_owners_new();
    if (run->fetcher == NULL || run->owners == NULL)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    rc = open_past(run, err);
    if (rc == HF_OK && !o->dry_run) rc = open_packer(run, err);
    return rc;
}

static enum hf_code read_stdin(struct run *run, struct hf_err *err)
{
    const struct stdin_file file = {.name = run->options->stdin_name,
                                    .fd = run->options->stdin_fd,
                                    .build = run->build,
                                    .packer = run->packer,
                                    .reader = &run->reader,
                                    .owners = run->owners,
                                    .totals = &run->result->counts.totals};
    enum hf_code rc = stdin_file_add(&file, err);

    run->result->counts.entries[BACKUP_NEW] = file.totals->files + file.totals->dirs;
    return rc;
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
    walk_links_done(&run->links);
    xattr_buffer_done(&run->xattrs);
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
    rc = options->stdin_name != NULL ? take_stdin(run, err) : take_paths(run, err);
    if (rc == HF_OK) rc = open_run(run, err);
    if (rc == HF_OK) rc = describe(run, err);
    if (rc == HF_OK)
        rc = options->stdin_name != NULL ? read_stdin(run, err) : walk(run, err);
    if (rc == HF_OK && !options->dry_run) rc = write_trees(run, &catalog, err);
    if (rc == HF_OK && !options->dry_run) rc = write_head(run, &catalog, err);
    close_run(run);
    free(run);
    if (rc != HF_OK) backup_result_done(result);
    return rc;
}

void backup_result_done(struct backup_result *result)
{
    snapshot_done(&result->snapshot);
}
