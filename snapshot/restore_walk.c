#include "snapshot/restore_walk.h"

#include "base/alloc.h"
#include "snapshot/limits.h"
#include "snapshot/owners.h"
#include "snapshot/restore_delete.h"
#include "snapshot/restore_entry.h"
#include "snapshot/restore_links.h"
#include "snapshot/restore_select.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READERS_MAX  32u        /* open at a time; further up they are opened again */
#define PART_BYTES   (4u << 20) /* of a large file */
#define PART_CHUNKS  64u
#define DIR_NEW_MODE 01700u /* until it has its own: as RESTORE_UNFINISHED_MODE */

/* A directory on the way down. */
struct level {
    struct level *up;
    struct restore_dir *dir;  /* NULL: not yet made, since nothing in it was selected */
    struct tree_entry *entry; /* owned, until the directory is made; NULL: the target */
    struct stream_root root;
    struct tree_reader *reader; /* NULL: not open */
    struct span last;           /* the name read last, in last_name */
    uint8_t last_name[TREE_NAME_MAX];
    size_t depth, path_size;
    bool taken;  /* selected as a whole */
    bool broken; /* cannot be made or read: what is in it is left out */
};

struct walk {
    struct restore_queue *queue;
    struct restore_job *job;
    struct owners *owners; /* NULL: numbers only */
    struct level *top;
    char *path; /* in the snapshot, of what is looked at */
    size_t path_capacity;
    uint64_t entries, bytes; /* so far */
    struct restore_chunk part[PART_CHUNKS];
};

/* ---- paths ---- */

static enum hf_code set_path(struct walk *w, size_t at, const struct tree_entry *e,
                             struct hf_err *err)
{
    char *grown = hf_grow_array(w->path, &w->path_capacity, at + e->name.size + 2, 1);

    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    w->path = grown;
    grown[at] = '/';
    memcpy(grown + at + 1, e->name.bytes, e->name.size);
    grown[at + 1 + e->name.size] = '\0';
    return HF_OK;
}

/* A copy that stays, with the owner that it is to have here. */
static struct tree_entry *copy_entry(struct walk *w, const struct tree_entry *e)
{
    struct tree_entry named = *e;

    if (w->owners != NULL) owners_resolve(w->owners, &named);
    return restore_entry_copy(&named);
}

/* ---- directories ---- */

static bool unfinished_dir(const struct stat *st)
{
    return (st->st_mode & 05777) == DIR_NEW_MODE;
}

static int open_at(int fd, const char *name)
{
    return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes dir_fd/name, or opens what is there; something else in its place is removed.
 * Sets *fd, -1: it is not there, and only looked at. */
static enum hf_code make_at(struct restore_job *job, int dir_fd, const char *name, int *fd,
                            struct hf_err *err)
{
    bool write = job->pass == RESTORE_WRITE;
    bool in_the_way;

    if (write && mkdirat(dir_fd, name, DIR_NEW_MODE) != 0 && errno != EEXIST)
        return hf_fail_errno(err, errno, "make the directory");
    *fd = open_at(dir_fd, name);
    if (*fd < 0 && errno == EACCES && write &&
        fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        *fd = open_at(dir_fd, name);
    if (*fd >= 0) return HF_OK;
    in_the_way = errno == ENOTDIR || errno == ELOOP;
    if (!write && (in_the_way || errno == ENOENT)) return HF_OK;
    if (!in_the_way) return hf_fail_errno(err, errno, "open the directory");
    if (job->options->overwrite == RESTORE_NEVER)
        return hf_fail(err, HF_EXISTS, "what is there is no directory, and is to stay");
    if (unlinkat(dir_fd, name, 0) != 0 || mkdirat(dir_fd, name, DIR_NEW_MODE) != 0)
        return hf_fail_errno(err, errno, "replace what is there by the directory");
    *fd = open_at(dir_fd, name);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open the directory");
}

/* One that was there: whoever is not root has to be able to work in it. */
static bool adopt(struct walk *w, int fd)
{
    struct stat st;

    if (w->job->pass != RESTORE_WRITE || fstat(fd, &st) != 0) return false;
    if (!restore_queue_walker(w->queue)->meta.root && (st.st_mode & 0700) != 0700)
        (void)fchmod(fd, (st.st_mode & 07777) | 0700);
    return w->job->options->overwrite == RESTORE_NEVER && !unfinished_dir(&st);
}

static enum hf_code make_level(struct walk *w, struct level *level, struct hf_err *err)
{
    struct restore_job *job = w->job;
    struct restore_dir *up = level->up->dir;
    const char *name = restore_entry_name(level->entry);
    bool keep_meta = false;
    int up_fd;
    int fd = -1;
    enum hf_code rc = HF_OK;

    if (!up->missing) {
        rc = restore_dir_take(job->dirs, up, &up_fd, err);
        if (rc == HF_OK) {
            rc = make_at(job, up_fd, name, &fd, err);
            restore_dir_give(job->dirs, up);
        }
    }
    if (rc != HF_OK) return rc;
    if (fd >= 0) keep_meta = adopt(w, fd);
    if (fd < 0 && job->pass == RESTORE_VERIFY)
        return hf_fail(err, HF_NOT_FOUND, "verify: there is no such directory");
    level->dir = restore_dir_new(job->dirs, up, level->entry, fd);
    level->entry = NULL; /* taken over */
    if (level->dir == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    level->dir->keep_meta = keep_meta;
    if (fd < 0) restore_tell(job, level->dir, NULL, "write");
    if (job->pass != RESTORE_VERIFY) restore_count(job, &job->counts.dirs);
    return HF_OK;
}

/* Names a directory that has no struct restore_dir yet. */
static void report_level(struct walk *w, struct level *level, const struct hf_err *err)
{
    const char *name = level->entry != NULL ? restore_entry_name(level->entry) : NULL;
    const struct restore_dir *up = level->up->dir;

    if (w->job->pass == RESTORE_VERIFY)
        restore_report_mismatch(w->job, up, name, err);
    else
        restore_report(w->job, up, name, err, false);
}

/* Makes the top level and those above it that are not yet made.  False: it cannot be. */
static bool make_levels(struct walk *w)
{
    while (w->top->dir == NULL && !w->top->broken) {
        struct level *level = w->top;
        struct hf_err err;

        while (level->up->dir == NULL)
            level = level->up;
        if (make_level(w, level, &err) == HF_OK) continue;
        report_level(w, level, &err);
        for (struct level *below = w->top; below != level->up; below = below->up)
            below->broken = true;
    }
    return !w->top->broken;
}

/* ---- levels ---- */

static void close_far_reader(struct level *top)
{
    struct level *level = top;

    for (size_t i = 0; i < READERS_MAX && level != NULL; i++)
        level = level->up;
    if (level == NULL) return;
    tree_reader_free(level->reader);
    level->reader = NULL;
}

static enum hf_code push(struct walk *w, const struct stream_root *root, bool taken,
                         struct hf_err *err)
{
    struct level *level = calloc(1, sizeof *level);

    if (level == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    level->up = w->top;
    level->root = *root;
    level->depth = w->top == NULL ? 0 : w->top->depth + 1;
    level->path_size = strlen(w->path);
    level->taken = taken;
    w->top = level;
    close_far_reader(level);
    return HF_OK;
}

static void pop(struct walk *w)
{
    struct level *level = w->top;

    tree_reader_free(level->reader);
    if (level->dir != NULL) restore_dir_finish(restore_queue_walker(w->queue), level->dir);
    free(level->entry);
    w->top = level->up;
    free(level);
}

/* The next entry of the level, opening its reader where it was left. */
static enum hf_code next_entry(struct walk *w, struct level *level,
                               const struct tree_entry **entry, struct hf_err *err)
{
    bool again = level->reader == NULL;
    enum hf_code rc;

    if (again) level->reader = tree_reader_new(w->job->options->fetcher, &level->root);
    if (level->reader == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    do
        rc = tree_reader_next(level->reader, entry, err);
    while (rc == HF_OK && *entry != NULL && again && level->last.size > 0 &&
           tree_name_compare((*entry)->name, level->last) <= 0);
    if (rc != HF_OK || *entry == NULL) return rc;
    memcpy(level->last_name, (*entry)->name.bytes, (*entry)->name.size);
    level->last = (struct span){level->last_name, (*entry)->name.size};
    return HF_OK;
}

static enum hf_code enter(struct walk *w, const struct tree_entry *e, bool taken,
                          struct hf_err *err)
{
    struct tree_entry *copy;
    enum hf_code rc;

    if (w->top->depth == TREE_DEPTH_MAX) {
        struct hf_err deep;

        (void)hf_fail(&deep, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
        if (make_levels(w)) restore_report(w->job, w->top->dir, NULL, &deep, false);
        return HF_OK;
    }
    copy = copy_entry(w, e);
    if (copy == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    rc = push(w, &copy->stream, taken, err);
    if (rc != HF_OK) {
        free(copy);
        return rc;
    }
    w->top->entry = copy;
    if (taken) (void)make_levels(w);
    return HF_OK;
}

/* ---- files ---- */

/* Queues the content of a file part by part. */
static void queue_content(struct walk *w, struct restore_file *file)
{
    const struct tree_entry *e = file->entry;
    struct stream_cursor *cursor =
        stream_cursor_new(w->job->options->fetcher, FRAME_DATA, &e->stream);
    struct hf_err err;
    uint64_t bytes = 0;
    size_t count = 0;
    enum hf_code rc = HF_OK;

    if (cursor == NULL) {
        (void)hf_fail(&err, HF_NO_MEMORY, "out of memory");
        restore_file_fail(file, &err, false);
        return;
    }
    while (rc == HF_OK && !atomic_load(&w->job->stop)) {
        struct restore_chunk *chunk = &w->part[count];

        rc = stream_cursor_next_ref(cursor, &chunk->ref, &chunk->offset, &err);
        if (rc != HF_OK) break;
        bytes += chunk->ref.size;
        if (chunk->ref.size > 0 && ++count < PART_CHUNKS && bytes < PART_BYTES) continue;
        if (count > 0) {
            restore_file_hold(file);
            restore_queue_part(w->queue, file, w->part, count);
        }
        if (chunk->ref.size == 0) break;
        count = 0;
        bytes = 0;
        restore_queue_poll(w->queue, w->path);
    }
    if (rc != HF_OK) restore_file_fail(file, &err, true);
    stream_cursor_free(cursor);
}

static enum hf_code queue_file(struct walk *w, struct restore_dir *dir,
                               const struct tree_entry *e, struct hf_err *err)
{
    struct tree_entry *copy = copy_entry(w, e);
    struct restore_file *file;
    enum restore_link link = RESTORE_LINK_NONE;
    size_t memory;

    if (copy == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    file = restore_file_new(w->job, dir, copy);
    if (file == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    memory = restore_file_bytes(file); /* it may be gone when it is known to wait */
    if (w->job->links != NULL)
        link = restore_links_meet(w->job->links, w->job->options->fetcher, file);
    if (link == RESTORE_LINK_WAIT) {
        restore_queue_waits(w->queue, memory);
    } else if (link == RESTORE_LINK_READY) {
        restore_queue_link(w->queue, file);
    } else if (copy->type != TREE_FILE || !copy->has_stream || copy->size == 0) {
        restore_queue_part(w->queue, file, NULL, 0);
    } else {
        queue_content(w, file);
        restore_file_end(restore_queue_walker(w->queue), file);
    }
    return HF_OK;
}

/* ---- the walk ---- */

/* Trees may share subtrees: a few of them can hold more files than a disk. */
static enum hf_code count_entry(struct walk *w, const struct tree_entry *e,
                                struct hf_err *err)
{
    const struct snapshot_totals *t = &w->job->options->totals;
    const uint64_t most = t->files + t->dirs + t->others;

    w->entries++;
    if (e->type == TREE_FILE && __builtin_add_overflow(w->bytes, e->size, &w->bytes))
        w->bytes = UINT64_MAX;
    if (most == 0 || (w->entries <= most && w->bytes <= t->bytes)) return HF_OK;
    return hf_fail(err, HF_CORRUPT,
                   "the tree holds more than the %llu entries and %llu bytes that its "
                   "snapshot speaks of",
                   (unsigned long long)most, (unsigned long long)t->bytes);
}

static enum hf_code visit(struct walk *w, const struct tree_entry *e, struct hf_err *err)
{
    bool is_dir = e->type == TREE_DIR;
    enum restore_selected selected;
    enum hf_code rc = count_entry(w, e, err);

    if (rc == HF_OK) rc = set_path(w, w->top->path_size, e, err);
    if (rc != HF_OK) return rc;
    restore_queue_poll(w->queue, w->path);
    selected = restore_select(w->job->options, w->path, is_dir, w->top->taken);
    if (selected == RESTORE_OUT) return HF_OK;
    if (is_dir) return enter(w, e, selected == RESTORE_IN, err);
    return make_levels(w) ? queue_file(w, w->top->dir, e, err) : HF_OK;
}

/* The snapshot knows all that was in the directory at `path`. */
static bool is_complete(const struct restore_options *o, const char *path)
{
    for (size_t i = 0; i < o->path_count; i++) {
        size_t n = strlen(o->paths[i]);

        if (n > 0 && o->paths[i][n - 1] == '/') n--;
        if (strncmp(path, o->paths[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
            return true;
    }
    return o->path_count == 0;
}

/* All entries of the top level have been seen. */
static void leave(struct walk *w)
{
    struct level *level = w->top;
    struct restore_job *job = w->job;
    struct hf_err err;

    w->path[level->path_size] = '\0';
    if (job->options->remove && job->pass != RESTORE_VERIFY && level->dir != NULL &&
        !level->dir->missing && !level->broken && is_complete(job->options, w->path) &&
        restore_delete_others(job, level->dir, &level->root, level->taken, &err) != HF_OK)
        restore_report(job, level->dir, NULL, &err, true);
    pop(w);
}

static enum hf_code walk_levels(struct walk *w, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && w->top != NULL) {
        struct level *level = w->top;
        const struct tree_entry *entry = NULL;
        struct hf_err why;

        if (atomic_load(&w->job->stop)) return hf_fail(err, HF_CANCELLED, "interrupted");
        if (!level->broken && next_entry(w, level, &entry, &why) != HF_OK) {
            if (make_levels(w)) restore_report(w->job, level->dir, NULL, &why, true);
            level->broken = true; /* the rest of it is lost */
            entry = NULL;
        }
        if (entry != NULL)
            rc = visit(w, entry, err);
        else
            leave(w);
    }
    return rc;
}

static enum hf_code walk_all(struct walk *w, const struct lookup *lookup,
                             struct hf_err *err)
{
    const struct restore_options *o = w->job->options;
    enum restore_selected top = restore_select_top(o, w->job->prefix);
    bool is_dir = lookup->entry == NULL || lookup->entry->type == TREE_DIR;
    const struct stream_root none = {0};
    enum hf_code rc;

    w->path_capacity = strlen(w->job->prefix) + 1;
    w->path = strdup(w->job->prefix);
    if (w->path == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    if (top == RESTORE_OUT) return HF_OK;
    rc = push(w, is_dir ? &lookup->dir : &none, top == RESTORE_IN, err);
    if (rc != HF_OK) return rc;
    w->top->dir = restore_dirs_target(w->job->dirs);
    if (is_dir) return walk_levels(w, err);
    rc = visit(w, lookup->entry, err);
    pop(w); /* nothing else in the target is looked at */
    return rc;
}

enum hf_code restore_walk(struct restore_queue *queue, const struct lookup *lookup,
                          struct hf_err *err)
{
    struct walk *w = calloc(1, sizeof *w);
    enum hf_code rc = HF_OK;

    if (w == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    w->queue = queue;
    w->job = restore_queue_walker(queue)->job;
    if (!w->job->options->numeric_ids && restore_queue_walker(queue)->meta.root) {
        w->owners = owners_new();
        if (w->owners == NULL) rc = hf_fail(err, HF_NO_MEMORY, "out of memory");
    }
    if (rc == HF_OK) rc = walk_all(w, lookup, err);
    if (rc != HF_OK) atomic_store(&w->job->stop, true);
    while (w->top != NULL)
        pop(w);
    owners_free(w->owners);
    free(w->path);
    free(w);
    return rc;
}
