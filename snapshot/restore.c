#include "snapshot/restore.h"

#include "snapshot/limits.h"
#include "snapshot/lookup.h"
#include "snapshot/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATH_SHOWN_MAX 8192u

/* What is set on a file once its content is there. */
struct meta {
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
};

struct level {
    struct level *up;
    int fd;
    struct tree_reader *reader;
    struct meta meta;
    bool has_meta; /* the target itself has none */
    size_t path_size, depth;
};

struct run {
    const struct restore_options *options;
    struct restore_counts *counts;
    struct level *top;
    char path[PATH_SHOWN_MAX];
};

static void report(struct run *run, const struct hf_err *err, bool reading)
{
    if (err->code == HF_CANCELLED) return; /* restore_levels ends with it */
    if (reading && err->code == HF_UNAVAILABLE)
        run->counts->unreachable++;
    else if (reading && (err->code == HF_CORRUPT || err->code == HF_NOT_FOUND))
        run->counts->damaged++;
    else
        run->counts->failed++;
    if (run->options->on_error != NULL)
        run->options->on_error(run->options->arg, run->path, err);
}

static struct meta meta_of(const struct tree_entry *e)
{
    return (struct meta){e->mode, e->uid, e->gid, e->mtime_ns};
}

static struct timespec to_timespec(int64_t ns)
{
    int64_t s = ns / 1000000000;
    int64_t rest = ns % 1000000000;

    if (rest < 0) {
        rest += 1000000000;
        s--;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = rest};
}

/* Owner before mode (a chown clears setuid), times last.  Somebody who is not root keeps
 * what they restore. */
static enum hf_code set_meta(int fd, const struct meta *meta, struct hf_err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, to_timespec(meta->mtime_ns)};

    if (fchown(fd, meta->uid, meta->gid) != 0 && (errno != EPERM || geteuid() == 0))
        return hf_fail_errno(err, errno, "set the owner");
    if (fchmod(fd, meta->mode) != 0) return hf_fail_errno(err, errno, "set the mode");
    if (futimens(fd, times) != 0) return hf_fail_errno(err, errno, "set the time");
    return HF_OK;
}

static enum hf_code set_meta_at(int dir_fd, const char *name, const struct meta *meta,
                                bool is_link, struct hf_err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, to_timespec(meta->mtime_ns)};

    if (fchownat(dir_fd, name, meta->uid, meta->gid, AT_SYMLINK_NOFOLLOW) != 0 &&
        (errno != EPERM || geteuid() == 0))
        return hf_fail_errno(err, errno, "set the owner");
    if (!is_link && fchmodat(dir_fd, name, meta->mode, 0) != 0)
        return hf_fail_errno(err, errno, "set the mode");
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) != 0)
        return hf_fail_errno(err, errno, "set the time");
    return HF_OK;
}

/* ---- files ---- */

static enum hf_code write_all(int fd, const uint8_t *p, size_t n, struct hf_err *err)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return hf_fail_errno(err, errno, "write");
        p += w;
        n -= (size_t)w;
    }
    return HF_OK;
}

/* *reading tells which side failed. */
static enum hf_code copy_stream(struct run *run, const struct tree_entry *e, int fd,
                                bool *reading, struct hf_err *err)
{
    struct stream_cursor *cursor =
        stream_cursor_new(run->options->fetcher, FRAME_DATA, &e->stream);
    enum hf_code rc = HF_OK;

    *reading = false;
    if (cursor == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    while (rc == HF_OK) {
        const uint8_t *bytes;
        uint64_t offset;
        size_t size;

        rc = stream_cursor_next(cursor, &bytes, &size, &offset, NULL, err);
        *reading = rc != HF_OK;
        if (rc != HF_OK || size == 0) break;
        rc = write_all(fd, bytes, size, err);
        run->counts->bytes += size;
    }
    stream_cursor_free(cursor);
    return rc;
}

/* What stands in the way is removed, unless it is a directory. */
static enum hf_code clear_way(int dir_fd, const char *name, struct hf_err *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return HF_OK;
    return hf_fail_errno(err, errno, "replace what is there");
}

static enum hf_code restore_file(struct run *run, int dir_fd, const char *name,
                                 const struct tree_entry *e, bool *reading,
                                 struct hf_err *err)
{
    const struct meta meta = meta_of(e);
    enum hf_code rc;
    int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    *reading = false;
    if (fd < 0 && errno == EEXIST) {
        rc = clear_way(dir_fd, name, err);
        if (rc != HF_OK) return rc;
        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    }
    if (fd < 0) return hf_fail_errno(err, errno, "create");
    if (e->has_stream) {
        rc = copy_stream(run, e, fd, reading, err);
    } else {
        rc = write_all(fd, e->content.bytes, e->content.size, err);
        run->counts->bytes += e->content.size;
    }
    if (rc == HF_OK) rc = set_meta(fd, &meta, err);
    if (close(fd) != 0 && rc == HF_OK) rc = hf_fail_errno(err, errno, "close");
    if (rc != HF_OK) (void)unlinkat(dir_fd, name, 0); /* a part of a file is no file */
    return rc;
}

static enum hf_code restore_other(int dir_fd, const char *name, const struct tree_entry *e,
                                  struct hf_err *err)
{
    char target[TREE_TARGET_MAX + 1];
    const struct meta meta = meta_of(e);
    enum hf_code rc = clear_way(dir_fd, name, err);
    mode_t type = e->type == TREE_FIFO     ? S_IFIFO
                  : e->type == TREE_SOCKET ? S_IFSOCK
                  : e->type == TREE_CHAR   ? S_IFCHR
                                           : S_IFBLK;

    if (rc != HF_OK) return rc;
    if (e->type == TREE_SYMLINK) {
        memcpy(target, e->target.bytes, e->target.size);
        target[e->target.size] = '\0';
        if (symlinkat(target, dir_fd, name) != 0)
            return hf_fail_errno(err, errno, "make the link");
    } else if (mknodat(dir_fd, name, type | 0600,
                       makedev(e->device_major, e->device_minor)) != 0) {
        return hf_fail_errno(err, errno, "make the node");
    }
    return set_meta_at(dir_fd, name, &meta, e->type == TREE_SYMLINK, err);
}

/* ---- directories ---- */

static enum hf_code push(struct run *run, int fd, const struct stream_root *root,
                         const struct meta *meta, struct hf_err *err)
{
    struct level *level = calloc(1, sizeof *level);

    if (level == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    level->reader = tree_reader_new(run->options->fetcher, root);
    if (level->reader == NULL) {
        free(level);
        return hf_fail(err, HF_NO_MEMORY, "out of memory");
    }
    level->up = run->top;
    level->fd = fd;
    level->depth = run->top == NULL ? 0 : run->top->depth + 1;
    level->path_size = strlen(run->path);
    if (meta != NULL) level->meta = *meta;
    level->has_meta = meta != NULL;
    run->top = level;
    return HF_OK;
}

static enum hf_code pop(struct run *run, struct hf_err *err)
{
    struct level *level = run->top;
    enum hf_code rc = HF_OK;

    run->path[level->path_size] = '\0';
    if (level->has_meta) rc = set_meta(level->fd, &level->meta, err);
    if (level->up != NULL) (void)close(level->fd);
    tree_reader_free(level->reader);
    run->top = level->up;
    free(level);
    return rc;
}

static enum hf_code enter_dir(struct run *run, int dir_fd, const char *name,
                              const struct tree_entry *e, struct hf_err *err)
{
    const struct meta meta = meta_of(e);
    enum hf_code rc;
    int fd;

    if (run->top->depth == TREE_DEPTH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "more than %u directories deep", TREE_DEPTH_MAX);
    if (mkdirat(dir_fd, name, 0700) != 0 && errno != EEXIST)
        return hf_fail_errno(err, errno, "make the directory");
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return hf_fail_errno(err, errno, "open the directory");
    rc = push(run, fd, &e->stream, &meta, err);
    if (rc != HF_OK) (void)close(fd);
    return rc;
}

static void restore_entry(struct run *run, int dir_fd, const struct tree_entry *e)
{
    size_t at = run->top->path_size;
    char name[TREE_NAME_MAX + 1];
    bool reading = false;
    struct hf_err err;
    enum hf_code rc;

    memcpy(name, e->name.bytes, e->name.size); /* checked by tree_reader_next */
    name[e->name.size] = '\0';
    (void)snprintf(run->path + at, sizeof run->path - at, "/%s", name);
    if (run->options->on_progress != NULL)
        run->options->on_progress(run->options->arg, run->counts, run->path);
    if (e->type == TREE_DIR) {
        rc = enter_dir(run, dir_fd, name, e, &err);
        run->counts->dirs++;
    } else if (e->type == TREE_FILE) {
        rc = restore_file(run, dir_fd, name, e, &reading, &err);
        run->counts->files++;
    } else {
        rc = restore_other(dir_fd, name, e, &err);
        run->counts->others++;
    }
    if (rc != HF_OK) report(run, &err, reading);
}

static enum hf_code restore_levels(struct run *run, struct hf_err *err)
{
    while (run->top != NULL) {
        struct level *level = run->top;
        const struct tree_entry *entry;
        struct hf_err why;

        if (run->options->cancelled != NULL && run->options->cancelled(run->options->arg))
            return hf_fail(err, HF_CANCELLED, "interrupted");
        if (tree_reader_next(level->reader, &entry, &why) != HF_OK) {
            run->path[level->path_size] = '\0';
            report(run, &why, true); /* the rest of this directory is lost */
            entry = NULL;
        }
        if (entry != NULL) {
            restore_entry(run, level->fd, entry);
        } else if (pop(run, &why) != HF_OK) {
            report(run, &why, false);
        }
    }
    return HF_OK;
}

enum hf_code restore_run(const struct restore_options *options,
                         struct restore_counts *counts, struct hf_err *err)
{
    struct run *run = calloc(1, sizeof *run);
    struct lookup lookup;
    enum hf_code rc;

    memset(counts, 0, sizeof *counts);
    if (run == NULL) return hf_fail(err, HF_NO_MEMORY, "restore: out of memory");
    run->options = options;
    run->counts = counts;
    rc = lookup_path(options->fetcher, &options->root, options->path, &lookup, err);
    if (rc == HF_OK) {
        bool dir = lookup.entry == NULL || lookup.entry->type == TREE_DIR;
        struct stream_root empty = {0};

        rc = push(run, options->target_fd, dir ? &lookup.dir : &empty, NULL, err);
        if (rc == HF_OK && !dir) restore_entry(run, options->target_fd, lookup.entry);
        if (rc == HF_OK) rc = restore_levels(run, err);
        while (run->top != NULL) { /* cancelled: leave times of directories as they are */
            run->top->has_meta = false;
            (void)pop(run, err);
        }
        lookup_done(&lookup);
    }
    free(run);
    return rc;
}
