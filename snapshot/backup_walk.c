#include "snapshot/backup_walk.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "snapshot/parent_dir.h"
#include "snapshot/walk_links.h"
#include "snapshot/xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
    struct build_dir *dir; /* NULL: a dry run */
    struct parent_dir old; /* the same directory in the parent snapshot */
    size_t path_size;      /* of w->path, up to and with this directory's '/' */
    size_t depth;
};

/* An entry that is being looked at. */
struct visit {
    struct level *level; /* that it is in */
    const char *name;
    struct path_node *node; /* the PATHs at and below it; NULL: none */
    struct tree_entry entry;
    struct walk_facts facts;
    const struct tree_entry *old; /* in the parent snapshot, or NULL */
    bool same;                    /* as there, as far as stat tells */
    uint8_t target[TREE_TARGET_MAX + 1];
};

struct walker {
    struct backup_walk in;
    struct visit visit;
    struct walk_links links;
    struct xattr_buffer xattrs;
    char path[PATH_BYTES_MAX];
    struct level *top;
    size_t targets_found;
    rlim_t files_max; /* open at once */
};

static void report(struct walker *w, const struct hf_err *err)
{
    w->in.result->counts.totals.errors++;
    if (w->in.options->on_error != NULL)
        w->in.options->on_error(w->in.options->arg, w->path, err);
}

static bool cancelled(struct walker *w)
{
    return w->in.options->cancelled != NULL && w->in.options->cancelled(w->in.options->arg);
}

/* An entry is complete. */
static void note(struct walker *w, enum backup_change change)
{
    w->in.result->counts.entries[change]++;
    if (w->in.options->on_entry != NULL)
        w->in.options->on_entry(w->in.options->arg, w->path, change);
}

static void mark_changed(struct level *level)
{
    if (level->dir != NULL) build_dir_changed(level->dir);
}

static bool is_given(const struct path_node *node)
{
    return node != NULL && node->whole;
}

static void show_path(struct walker *w, const struct level *level, const char *name)
{
    size_t n = strnlen(name, sizeof w->path - level->path_size - 1);

    memcpy(w->path + level->path_size, name, n);
    w->path[level->path_size + n] = '\0';
}

/* ---- the parent snapshot ---- */

static bool stat_same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->inode == b->inode && a->link_group == b->link_group;
}

/* Attributes and flags cannot change without ctime. */
static bool is_unchanged(const struct walker *w, const struct tree_entry *entry,
                         const struct tree_entry *old)
{
    return !w->in.options->force && old != NULL && !old->changed && stat_same(entry, old);
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
static bool stream_safe(struct walker *w, const struct stream_root *root)
{
    if (w->in.result->blocks_lost == 0 || root->size == 0) return true;
    return root->depth == 0 && !index_block_lost(w->in.index, &root->chunk.frame.block);
}

/* Its frame holds little else that is wanted: it is read and stored anew. */
static bool is_sparse(const struct walker *w, const struct stream_root *root)
{
    return w->in.index != NULL && root->size > 0 && root->depth == 0 &&
           index_frame_sparse(w->in.index, &root->chunk.frame);
}

/* What stat does not tell, of the open file, or by name where fd is -1.  An entry without
 * its attributes is tried again by the next run. */
static void read_xattrs(struct walker *w, struct visit *v, int fd)
{
    const struct xattr_file file = {fd, v->level->fd, v->name};
    struct hf_err err;
    enum hf_code rc = xattrs_read(&w->xattrs, file, &v->entry.xattrs, &err);

    if (rc == HF_OK || rc == HF_NOT_FOUND) return;
    v->entry.changed = true;
    report(w, &err);
}

static enum hf_code look(struct walker *w, struct visit *v, struct tree_entry *entry,
                         struct hf_err *err)
{
    enum hf_code rc = walk_look(v->level->fd, v->name, w->in.owners, entry, &v->facts, err);

    if (rc != HF_OK) return rc;
    walk_links_meet(&w->links, v->facts.device);
    if (entry->type != TREE_DIR && v->facts.links > 1)
        entry->link_group = walk_links_group(&w->links, v->facts.device, entry->inode);
    entry->name = (struct span){(const uint8_t *)v->name, strlen(v->name)};
    return HF_OK;
}

/* An entry cannot be saved.  That it has vanished meanwhile is no error, unless it was
 * asked for by its path. */
static enum hf_code give_up(struct walker *w, const struct visit *v,
                            const struct hf_err *err)
{
    if (err->code != HF_NOT_FOUND || v->node != NULL) report(w, err);
    mark_changed(v->level);
    return HF_OK;
}

static enum backup_change change_of(const struct visit *v)
{
    if (v->same) return BACKUP_UNCHANGED;
    return v->old == NULL ? BACKUP_NEW : BACKUP_CHANGED;
}

/* ---- files ---- */

static void count_file(struct walker *w, const struct visit *v)
{
    struct backup_counts *counts = &w->in.result->counts;

    counts->totals.files++;
    counts->totals.bytes += v->entry.size;
    if (v->same)
        counts->files_unchanged++;
    else
        counts->bytes_changed += v->entry.size;
    note(w, change_of(v));
}

/* Opens it and reads the content once into the writer, or into the entry if it is small.
 * *fd is the caller's to close. */
static enum hf_code read_once(struct walker *w, struct visit *v,
                              struct stream_writer *writer, int *fd, bool *fatal,
                              struct hf_err *err)
{
    enum hf_code rc;

    stream_writer_done(writer);
    stream_writer_init(writer, w->in.packer);
    rc = walk_open_file(v->level->fd, v->name, fd, err);
    if (rc != HF_OK) return rc;
    walk_read_flags(*fd, &v->entry);
    w->in.reader->old = v->old != NULL && v->old->type == TREE_FILE && v->old->has_stream
                            ? &v->old->stream
                            : NULL;
    return file_reader_read(w->in.reader, *fd, &v->entry, writer, fatal, err);
}

/* Whether the file that was read has changed meanwhile: then *after is what it is now. That
 * it is gone does not matter, what was read is kept. */
static bool has_changed(struct walker *w, struct visit *v, struct tree_entry *after)
{
    struct hf_err gone;

    return look(w, v, after, &gone) == HF_OK &&
           (after->mtime_ns != v->entry.mtime_ns || after->ctime_ns != v->entry.ctime_ns ||
            after->size != v->entry.size);
}

/* Reads the content, once more if it changed meanwhile, and then the attributes. */
static enum hf_code read_file(struct walker *w, struct visit *v,
                              struct stream_writer *writer, bool *fatal, struct hf_err *err)
{
    struct tree_entry after;
    int fd = -1;
    enum hf_code rc = read_once(w, v, writer, &fd, fatal, err);
    bool changed = rc == HF_OK && has_changed(w, v, &after);

    if (changed && after.type == TREE_FILE) {
        (void)close(fd);
        fd = -1;
        v->entry = after;
        rc = read_once(w, v, writer, &fd, fatal, err);
        changed = rc == HF_OK && has_changed(w, v, &after);
    }
    if (changed) { /* say so and keep what was read */
        v->entry.changed = true;
        hf_log(HF_LOG_WARN, "backup", "%s: changed while it was read", w->path);
    }
    if (rc == HF_OK) read_xattrs(w, v, fd);
    if (fd >= 0) (void)close(fd);
    return rc;
}

static enum hf_code add_file(struct walker *w, struct visit *v, struct hf_err *err)
{
    struct stream_writer writer;
    bool fatal = false;
    size_t item;
    enum hf_code rc;

    stream_writer_init(&writer, w->in.packer);
    rc = read_file(w, v, &writer, &fatal, err);
    if (rc != HF_OK) {
        stream_writer_done(&writer);
        return fatal ? rc : give_up(w, v, err);
    }
    rc = build_dir_add(v->level->dir, &v->entry, false, &item, err);
    if (rc != HF_OK || v->entry.content.bytes != NULL)
        stream_writer_done(&writer);
    else
        rc = build_dir_set_writer(v->level->dir, item, &writer, err);
    count_file(w, v);
    return rc;
}

/* Takes over a file of the parent snapshot without opening it. */
static enum hf_code take_file(struct walker *w, struct visit *v, struct hf_err *err)
{
    struct stream_packed stream = {0};
    size_t item;
    enum hf_code rc;

    v->entry.content = v->old->content;
    v->entry.holes = v->old->holes;
    adopt(&v->entry, v->old);
    rc = build_dir_add(v->level->dir, &v->entry, true, &item, err);
    if (rc != HF_OK) return rc;
    if (v->old->has_stream) {
        stream = stream_packed_known(&v->old->stream);
        build_dir_set_stream(v->level->dir, item, &stream);
    }
    count_file(w, v);
    return HF_OK;
}

static enum hf_code visit_file(struct walker *w, struct visit *v, struct hf_err *err)
{
    v->same = v->same && v->entry.size == v->old->size &&
              (!v->old->has_stream ||
               (stream_safe(w, &v->old->stream) && !is_sparse(w, &v->old->stream)));
    if (!v->same && v->old != NULL && v->old->type == TREE_FILE)
        parent_dir_count_dead(&v->level->old, v->old);
    if (w->in.build == NULL) {
        count_file(w, v);
        return HF_OK;
    }
    return v->same ? take_file(w, v, err) : add_file(w, v, err);
}

/* ---- links, devices ---- */

static enum hf_code read_target(struct visit *v, struct hf_err *err)
{
    ssize_t n = readlinkat(v->level->fd, v->name, (char *)v->target, sizeof v->target);

    if (n <= 0 || (size_t)n > TREE_TARGET_MAX)
        return hf_fail_errno(err,
                             n < 0    ? errno
                             : n == 0 ? EINVAL
                                      : ENAMETOOLONG,
                             "read the link");
    v->entry.target = (struct span){v->target, (size_t)n};
    return HF_OK;
}

static enum hf_code visit_other(struct walker *w, struct visit *v, struct hf_err *err)
{
    size_t item;
    enum hf_code rc = HF_OK;

    v->same = v->same && v->entry.device_major == v->old->device_major &&
              v->entry.device_minor == v->old->device_minor;
    if (v->entry.type == TREE_SYMLINK && v->same) {
        v->entry.target = v->old->target;
    } else if (v->entry.type == TREE_SYMLINK) {
        rc = read_target(v, err);
        if (rc != HF_OK) return give_up(w, v, err);
    }
    if (w->in.build != NULL) {
        if (v->same)
            adopt(&v->entry, v->old);
        else
            read_xattrs(w, v, -1);
        rc = build_dir_add(v->level->dir, &v->entry, v->same, &item, err);
    }
    w->in.result->counts.totals.others++;
    note(w, change_of(v));
    return rc;
}

/* ---- directories ---- */

/* Backing up the store into itself would double it with every run. */
static bool is_skipped(const struct walker *w, uint64_t device, uint64_t inode)
{
    for (size_t i = 0; i < w->in.options->skip_count; i++) {
        if (device == w->in.options->skips[i].device &&
            inode == w->in.options->skips[i].inode)
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
static enum hf_code list_level(struct walker *w, struct level *level, struct hf_err *err)
{
    struct walk_names *names = &level->names;
    const char *mark;
    size_t kept = 0;
    enum hf_code rc;

    if (!level->scope.all) return name_paths(level->scope.node, names, err);
    rc = walk_read_names(level->fd, names, err);
    if (rc != HF_OK || is_given(level->scope.node)) return rc;
    mark = selection_mark(&w->in.options->selection, level->fd, names);
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
    parent_dir_close(&level->old);
    walk_names_done(&level->names);
    free(level);
}

static enum hf_code check_depth(const struct walker *w, const struct level *level,
                                struct hf_err *err)
{
    if (level->depth > TREE_DEPTH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
    if ((rlim_t)level->fd + FILES_RESERVED > w->files_max)
        return hf_fail(err, HF_TOO_LARGE,
                       "more directories deep than files may be open at once (%llu); raise "
                       "'ulimit -n'",
                       (unsigned long long)w->files_max);
    return HF_OK;
}

/* Makes the level of a directory that is open; takes over fd in any case. */
static enum hf_code open_level(struct walker *w, int fd, const struct scope *scope,
                               size_t item, const struct tree_entry *old,
                               struct hf_err *err)
{
    const struct stream_root *old_root =
        old != NULL && old->type == TREE_DIR && stream_safe(w, &old->stream) ? &old->stream
                                                                             : NULL;
    struct level *up = w->top;
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
    rc = check_depth(w, level, err);
    if (rc == HF_OK) rc = list_level(w, level, err);
    if (rc == HF_OK && old_root != NULL)
        parent_dir_open(&level->old, w->in.fetcher, w->in.index, old_root);
    if (rc == HF_OK && w->in.build != NULL) {
        level->dir = build_dir_open(w->in.build, up == NULL ? NULL : up->dir, item,
                                    level->old.reader != NULL ? old_root : NULL);
        if (level->dir == NULL) rc = hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    }
    if (rc != HF_OK) {
        level_free(level);
        return rc;
    }
    level->path_size = strlen(w->path);
    if (level->path_size == 0 || w->path[level->path_size - 1] != '/')
        w->path[level->path_size++] = '/';
    w->path[level->path_size] = '\0';
    w->top = level;
    return HF_OK;
}

/* What is wanted of a directory, before it is opened. */
static struct scope scope_of(const struct walker *w, const struct visit *v)
{
    const struct selection *selection = &w->in.options->selection;
    const struct scope *up = &v->level->scope;
    bool given = is_given(v->node);
    struct scope scope = {.node = v->node,
                          .all = up->all || given,
                          .device = v->facts.device,
                          .base = given ? v->facts.device : up->base};

    if (is_skipped(w, v->facts.device, v->entry.inode)) return (struct scope){0};
    if (given) return scope;
    if (selection->one_file_system && v->facts.device != up->base) scope.all = false;
    if (!selection_takes(selection, w->path, &v->entry)) scope.all = false;
    return scope;
}

static bool is_empty(const struct scope *scope)
{
    return !scope->all && (scope->node == NULL || scope->node->count == 0);
}

/* Opens a directory that there is something wanted of; *fd stays -1 when there is not. */
static enum hf_code open_dir(const struct visit *v, struct scope *scope, int *fd,
                             struct hf_err *err)
{
    enum hf_code rc;

    *fd = -1;
    if (is_empty(scope)) return HF_OK;
    rc = walk_open_dir(v->level->fd, v->name, fd, err);
    if (rc != HF_OK || v->facts.device == v->level->scope.device || is_given(v->node))
        return rc;
    if (selection_is_pseudo(*fd)) scope->all = false;
    if (!is_empty(scope)) return HF_OK;
    (void)close(*fd);
    *fd = -1;
    return HF_OK;
}

/* Completes and counts a directory's entry; fd is -1 when it is not open. */
static void finish_dir(struct walker *w, struct visit *v, int fd, bool failed)
{
    if (v->same)
        adopt(&v->entry, v->old);
    else if (failed)
        v->entry.changed = true; /* the next run looks again */
    else if (w->in.build != NULL)
        read_xattrs(w, v, fd);
    if (!v->same && fd >= 0) walk_read_flags(fd, &v->entry);
    w->in.result->counts.totals.dirs++;
    note(w, change_of(v));
}

/* Adds a directory that is not entered. */
static enum hf_code add_empty_dir(struct walker *w, const struct visit *v, bool same,
                                  struct hf_err *err)
{
    struct stream_packed empty = {0};
    size_t item;
    enum hf_code rc;

    if (w->in.build == NULL) return HF_OK;
    rc = build_dir_add(v->level->dir, &v->entry, same, &item, err);
    if (rc == HF_OK) build_dir_set_stream(v->level->dir, item, &empty);
    return rc;
}

/* Adds a directory and goes down into it; takes over fd. */
static enum hf_code enter_dir(struct walker *w, const struct visit *v,
                              const struct scope *scope, int fd, struct hf_err *err)
{
    struct stream_packed empty = {0};
    size_t item = 0;
    enum hf_code rc = w->in.build == NULL
                          ? HF_OK
                          : build_dir_add(v->level->dir, &v->entry, v->same, &item, err);

    if (rc != HF_OK) {
        (void)close(fd);
        return rc;
    }
    rc = open_level(w, fd, scope, item, v->old, err);
    if (rc == HF_OK || rc == HF_NO_MEMORY) return rc;
    if (w->in.build != NULL) /* its entry stays, empty */
        build_dir_set_stream(v->level->dir, item, &empty);
    return give_up(w, v, err);
}

static enum hf_code visit_dir(struct walker *w, struct visit *v, struct hf_err *err)
{
    struct scope scope = scope_of(w, v);
    int fd;
    enum hf_code rc = open_dir(v, &scope, &fd, err);

    if (rc == HF_NOT_FOUND) return give_up(w, v, err);
    finish_dir(w, v, fd, rc != HF_OK);
    if (rc != HF_OK) {
        report(w, err);
        return add_empty_dir(w, v, false, err);
    }
    if (fd < 0) return add_empty_dir(w, v, v->same && v->old->stream.size == 0, err);
    return enter_dir(w, v, &scope, fd, err);
}

/* Directories are asked for by scope_of, where PATHs may be below them. */
static bool is_left_out(const struct walker *w, const struct visit *v)
{
    if (is_given(v->node)) return false;
    if (v->node != NULL && (v->entry.type == TREE_DIR || !v->level->scope.all))
        return false;
    return !selection_takes(&w->in.options->selection, w->path, &v->entry);
}

static enum hf_code look_first(struct walker *w, struct visit *v, struct hf_err *err)
{
    if (strlen(v->name) > TREE_NAME_MAX)
        return hf_fail(err, HF_TOO_LARGE, "its name is over %u bytes long", TREE_NAME_MAX);
    return look(w, v, &v->entry, err);
}

static enum hf_code visit(struct walker *w, struct level *level, const char *name,
                          struct hf_err *err)
{
    struct visit *v = &w->visit;
    enum hf_code rc;

    v->level = level;
    v->name = name;
    v->node = path_node_find(level->scope.node, name);
    rc = look_first(w, v, err);
    show_path(w, level, name);
    if (w->in.options->on_progress != NULL)
        w->in.options->on_progress(w->in.options->arg, &w->in.result->counts, w->path);
    if (rc != HF_OK) {
        if (v->node == NULL && selection_excludes_any(&w->in.options->selection, w->path))
            return HF_OK;
        return give_up(w, v, err);
    }
    if (is_left_out(w, v)) return HF_OK;
    if (is_given(v->node)) w->targets_found++;
    v->old = parent_dir_find(&level->old, v->entry.name, w->path);
    if (level->old.differs) mark_changed(level);
    if (v->old != NULL && v->old->type != v->entry.type)
        parent_dir_count_dead(&level->old, v->old);
    v->same = is_unchanged(w, &v->entry, v->old);
    if (v->entry.type == TREE_DIR) return visit_dir(w, v, err);
    if (v->entry.type == TREE_FILE) return visit_file(w, v, err);
    return visit_other(w, v, err);
}

/* The directory is through: what the parent snapshot still has below it is gone. */
static enum hf_code leave(struct walker *w, struct hf_err *err)
{
    struct level *level = w->top;
    struct build_dir *dir = level->dir;
    enum hf_code rc;

    w->path[level->path_size] = '\0';
    parent_dir_finish(&level->old, w->path);
    if (level->old.differs) mark_changed(level);
    w->top = level->up;
    level_free(level);
    if (dir == NULL) return HF_OK;
    rc = build_dir_close(w->in.build, dir, err);
    return rc == HF_OK ? build_settle(w->in.build, err) : rc;
}

static enum hf_code open_root(struct walker *w, struct hf_err *err)
{
    struct tree_entry parent = {.type = TREE_DIR, .has_stream = true};
    struct tree_entry root;
    struct walk_facts facts;
    struct scope scope = {.node = w->in.paths, .all = w->in.paths->whole};
    int fd;
    enum hf_code rc = hf_dir_open("/", &fd, err);

    if (rc != HF_OK) return rc;
    rc = walk_look(fd, ".", w->in.owners, &root, &facts, err);
    if (rc != HF_OK) {
        (void)close(fd);
        return rc;
    }
    walk_links_meet(&w->links, facts.device);
    scope.device = scope.base = facts.device;
    if (w->in.parent != NULL) parent.stream = *w->in.parent;
    w->path[0] = '\0';
    return open_level(w, fd, &scope, 0, w->in.parent != NULL ? &parent : NULL, err);
}

static enum hf_code walk(struct walker *w, struct hf_err *err)
{
    enum hf_code rc = open_root(w, err);

    while (rc == HF_OK && w->top != NULL) {
        struct level *level = w->top;

        if (cancelled(w)) return hf_fail(err, HF_CANCELLED, "interrupted");
        rc = level->next == level->names.count
                 ? leave(w, err)
                 : visit(w, level, level->names.names[level->next++], err);
    }
    if (rc == HF_OK && w->targets_found == 0 && !w->in.paths->whole)
        rc =
            hf_fail(err, HF_NOT_FOUND, "nothing to back up: none of the paths can be read");
    return rc;
}

enum hf_code backup_walk_run(const struct backup_walk *walk_in, struct hf_err *err)
{
    struct walker *w = calloc(1, sizeof *w);
    struct rlimit files;
    enum hf_code rc;

    if (w == NULL) return hf_fail(err, HF_NO_MEMORY, "walk: out of memory");
    w->in = *walk_in;
    w->files_max = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : RLIM_INFINITY;
    rc = walk(w, err);
    while (w->top != NULL) {
        struct level *up = w->top->up;

        level_free(w->top);
        w->top = up;
    }
    walk_links_done(&w->links);
    xattr_buffer_done(&w->xattrs);
    free(w);
    return rc;
}
