#include "snapshot/restore_delete.h"

#include "base/alloc.h"
#include "snapshot/limits.h"
#include "snapshot/restore_select.h"
#include "snapshot/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 16384u /* of a directory looked at in one go */

/* ---- whole directories ---- */

struct level {
    struct level *up;
    DIR *dir;
    char *name; /* in the directory above */
    char *path;
    bool taken, kept; /* kept: something in it stays */
};

struct removal {
    struct restore_job *job;
    dev_t device; /* other file systems are left alone */
    struct level *top;
    size_t depth;
    bool kept; /* something stays as include and exclude say */
};

static void pop(struct removal *r)
{
    struct level *level = r->top;

    if (level->dir != NULL) (void)closedir(level->dir);
    r->top = level->up;
    r->depth--;
    free(level->name);
    free(level->path);
    free(level);
}

static enum hf_code push(struct removal *r, int dir_fd, const char *name, const char *path,
                         bool taken, struct hf_err *err)
{
    struct level *level;
    struct stat st;
    int fd;

    if (r->depth > TREE_DEPTH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
    level = calloc(1, sizeof *level);
    if (level == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    level->up = r->top;
    r->top = level;
    r->depth++;
    level->taken = taken;
    level->name = strdup(name);
    level->path = strdup(path);
    if (level->name == NULL || level->path == NULL)
        return hf_fail(err, HF_NO_MEMORY, "out of memory");
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return hf_fail_errno(err, errno, "open %s", name);
    if (fstat(fd, &st) != 0 || st.st_dev != r->device) {
        (void)close(fd);
        return hf_fail(err, HF_EXISTS, "%s: another file system is mounted there", name);
    }
    level->dir = fdopendir(fd);
    if (level->dir != NULL) return HF_OK;
    (void)close(fd);
    return hf_fail_errno(err, errno, "open %s", name);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes one entry of the top level, or goes down into it. */
static enum hf_code remove_entry(struct removal *r, const char *name, struct hf_err *err)
{
    struct level *level = r->top;
    int fd = dirfd(level->dir);
    enum restore_selected selected;
    enum hf_code rc = HF_OK;
    struct stat st;
    char *path;
    bool is_dir;

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? HF_OK : hf_fail_errno(err, errno, "look at %s", name);
    is_dir = S_ISDIR(st.st_mode);
    if (asprintf(&path, "%s/%s", level->path, name) < 0)
        return hf_fail(err, HF_NO_MEMORY, "out of memory");
    selected = restore_select(r->job->options, path, is_dir, level->taken);
    if (selected != RESTORE_IN)
        level->kept = true;
    else if (is_dir)
        rc = push(r, fd, name, path, true, err);
    else if (unlinkat(fd, name, 0) != 0 && errno != ENOENT)
        rc = hf_fail_errno(err, errno, "remove %s", name);
    else
        restore_count(r->job, &r->job->counts.deleted);
    free(path);
    return rc;
}

/* Leaves the top level, and removes it when nothing in it stays. */
static enum hf_code leave(struct removal *r, int dir_fd, struct hf_err *err)
{
    struct level *level = r->top;
    struct level *up = level->up;
    int up_fd = up != NULL ? dirfd(up->dir) : dir_fd;
    enum hf_code rc = HF_OK;

    if (level->kept) {
        *(up != NULL ? &up->kept : &r->kept) = true;
    } else if (unlinkat(up_fd, level->name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        rc = hf_fail_errno(err, errno, "remove %s", level->name);
    } else {
        restore_count(r->job, &r->job->counts.deleted);
    }
    pop(r);
    return rc;
}

/* Removes the directory dir_fd/name with all that is in it and selected; *kept tells
 * whether anything stays. */
static enum hf_code remove_tree(struct restore_job *job, int dir_fd, const char *name,
                                const char *path, bool *kept, struct hf_err *err)
{
    struct removal r = {.job = job};
    struct stat st;
    enum hf_code rc;

    if (fstat(dir_fd, &st) != 0) return hf_fail_errno(err, errno, "look at the directory");
    r.device = st.st_dev;
    rc = push(&r, dir_fd, name, path, true, err);
    while (rc == HF_OK && r.top != NULL) {
        struct dirent *entry;

        if (atomic_load(&job->stop)) {
            rc = hf_fail(err, HF_CANCELLED, "interrupted");
            break;
        }
        errno = 0;
        entry = readdir(r.top->dir); /* NOLINT(concurrency-mt-unsafe): our own DIR */
        if (entry != NULL && is_dot(entry->d_name)) continue;
        if (entry != NULL)
            rc = remove_entry(&r, entry->d_name, err);
        else if (errno != 0)
            rc = hf_fail_errno(err, errno, "list %s", r.top->name);
        else
            rc = leave(&r, dir_fd, err);
    }
    while (r.top != NULL)
        pop(&r);
    *kept = r.kept;
    return rc;
}

enum hf_code restore_clear_way(struct restore_job *job, struct restore_dir *dir, int dir_fd,
                               const char *name, struct hf_err *err)
{
    enum hf_code rc;
    bool kept;
    char *path;

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return HF_OK;
    if (errno != EISDIR) return hf_fail_errno(err, errno, "replace what is there");
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0) return HF_OK;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return hf_fail_errno(err, errno, "replace the directory that is there");
    if (!job->options->remove)
        return hf_fail(err, HF_EXISTS,
                       "a directory that is not empty is there; --delete removes it");
    path = restore_dir_path(dir, job->prefix, name);
    if (path == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    rc = remove_tree(job, dir_fd, name, path, &kept, err);
    free(path);
    if (rc == HF_OK && kept)
        rc = hf_fail(err, HF_EXISTS,
                     "a directory is there, and something in it is not selected");
    return rc;
}

/* ---- what the snapshot does not have ---- */

struct names {
    char **list;
    size_t count, capacity;
};

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    names->count = 0;
}

static int compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* Up to NAMES_MAX names, sorted as trees are. */
static enum hf_code read_names(DIR *dir, struct names *names, struct hf_err *err)
{
    struct dirent *entry;

    errno = 0;
    while (names->count < NAMES_MAX &&
           (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own */
        char **grown;

        if (is_dot(entry->d_name)) continue;
        grown =
            hf_grow_array(names->list, &names->capacity, names->count + 1, sizeof *grown);
        if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
        names->list = grown;
        grown[names->count] = strdup(entry->d_name);
        if (grown[names->count] == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
        names->count++;
        errno = 0;
    }
    if (errno != 0) return hf_fail_errno(err, errno, "list the directory");
    if (names->count > 0) qsort(names->list, names->count, sizeof *names->list, compare);
    return HF_OK;
}

/* Takes those that the tree has out of `names` (NULL in their place). */
static enum hf_code drop_known(struct restore_job *job, const struct stream_root *root,
                               struct names *names, struct hf_err *err)
{
    struct tree_reader *reader = tree_reader_new(job->options->fetcher, root);
    const struct tree_entry *entry = NULL;
    enum hf_code rc = HF_OK;
    size_t i = 0;

    if (reader == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    while (rc == HF_OK) {
        int order = -1;

        rc = tree_reader_next(reader, &entry, err);
        if (rc != HF_OK || entry == NULL) break;
        while (i < names->count && order < 0) {
            const struct span name = {(const uint8_t *)names->list[i],
                                      strlen(names->list[i])};

            order = tree_name_compare(name, entry->name);
            if (order < 0) i++;
        }
        if (i == names->count) break;
        if (order == 0) {
            free(names->list[i]);
            names->list[i++] = NULL;
        }
    }
    tree_reader_free(reader);
    return rc;
}

static enum hf_code remove_one(struct restore_job *job, struct restore_dir *dir, int dir_fd,
                               const char *name, bool taken, struct hf_err *err)
{
    char *path = restore_dir_path(dir, job->prefix, name);
    enum hf_code rc = HF_OK;
    struct stat st;
    bool kept = false;

    if (path == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        restore_select(job->options, path, S_ISDIR(st.st_mode), taken) != RESTORE_IN)
        kept = true;
    else if (job->pass == RESTORE_LOOK)
        restore_count(job, &job->counts.deleted);
    else if (S_ISDIR(st.st_mode))
        rc = remove_tree(job, dir_fd, name, path, &kept, err);
    else if (unlinkat(dir_fd, name, 0) != 0)
        rc = hf_fail_errno(err, errno, "remove it");
    else
        restore_count(job, &job->counts.deleted);
    if (rc == HF_OK && !kept) restore_tell(job, dir, name, "delete");
    free(path);
    return rc;
}

static enum hf_code delete_listed(struct restore_job *job, struct restore_dir *dir,
                                  DIR *list, const struct stream_root *root, bool taken,
                                  struct hf_err *err)
{
    struct names names = {0};
    enum hf_code rc = HF_OK;

    do {
        names_done(&names);
        rc = read_names(list, &names, err);
        if (rc == HF_OK) rc = drop_known(job, root, &names, err);
        for (size_t i = 0; rc == HF_OK && i < names.count; i++) {
            struct hf_err why;

            if (names.list[i] == NULL || atomic_load(&job->stop)) continue;
            if (remove_one(job, dir, dirfd(list), names.list[i], taken, &why) != HF_OK)
                restore_report(job, dir, names.list[i], &why, false);
        }
    } while (rc == HF_OK && names.count == NAMES_MAX);
    names_done(&names);
    free(names.list);
    return rc;
}

enum hf_code restore_delete_others(struct restore_job *job, struct restore_dir *dir,
                                   const struct stream_root *root, bool taken,
                                   struct hf_err *err)
{
    DIR *list = NULL;
    int fd;
    int own;
    enum hf_code rc = restore_dir_take(job->dirs, dir, &fd, err);

    if (rc != HF_OK) return rc;
    own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own >= 0) list = fdopendir(own);
    if (list == NULL) {
        rc = hf_fail_errno(err, errno, "list the directory");
        if (own >= 0) (void)close(own);
    } else {
        rc = delete_listed(job, dir, list, root, taken, err);
        (void)closedir(list);
    }
    restore_dir_give(job->dirs, dir);
    return rc;
}
