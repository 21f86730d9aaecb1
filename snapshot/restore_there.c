#include "snapshot/restore_there.h"

#include "snapshot/restore_delete.h"
#include "snapshot/restore_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *restore_file_name(const struct restore_file *f)
{
    return restore_entry_name(f->entry);
}

int restore_file_close(struct restore_file *f)
{
    int errnum = 0;

    if (f->write_fd >= 0 && close(f->write_fd) != 0) errnum = errno;
    if (f->fd >= 0 && f->fd != f->write_fd) (void)close(f->fd);
    f->fd = f->write_fd = -1;
    return errnum;
}

/* ---- regular files ---- */

bool restore_file_stays(const struct restore_file *f, const struct stat *st)
{
    if (restore_unfinished(st)) return false;
    switch (f->job->options->overwrite) {
    case RESTORE_NEVER:
        return f->job->pass != RESTORE_VERIFY || !restore_time_same(st, f->entry);
    case RESTORE_IF_NEWER:
        if (f->job->pass == RESTORE_VERIFY) return !restore_time_same(st, f->entry);
        return !restore_time_newer(st, f->entry);
    case RESTORE_ALWAYS:
    case RESTORE_IF_CHANGED: return false;
    }
    return false;
}

static bool taken_as_right(const struct restore_file *f, const struct stat *st)
{
    return f->job->options->overwrite == RESTORE_IF_CHANGED &&
           f->job->pass != RESTORE_VERIFY && S_ISREG(st->st_mode) &&
           !restore_unfinished(st) && (uint64_t)st->st_size == f->entry->size &&
           restore_time_same(st, f->entry);
}

static enum hf_code create(struct restore_file *f, struct hf_err *err)
{
    f->fd = f->write_fd = openat(f->dir_fd, restore_file_name(f),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                 RESTORE_UNFINISHED_MODE);
    if (f->fd < 0) return hf_fail_errno(err, errno, "create");
    f->fresh = true;
    f->touched = true;
    atomic_store(&f->changed, true);
    f->state = RESTORE_FILE_OPEN;
    return HF_OK;
}

enum hf_code restore_replace(struct restore_file *f, struct hf_err *err)
{
    enum hf_code rc =
        restore_clear_way(f->job, f->dir, f->dir_fd, restore_file_name(f), err);

    return rc == HF_OK ? create(f, err) : rc;
}

/* Its owner can read also what he has forbidden himself to, but not without a trace. */
static int open_to_read(const struct restore_file *f, const struct stat *st)
{
    const char *name = restore_file_name(f);
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const mode_t mode = st->st_mode & 07777;
    int fd = openat(f->dir_fd, name, flags);

    if (fd >= 0 || errno != EACCES || f->job->pass == RESTORE_LOOK ||
        fchmodat(f->dir_fd, name, mode | 0400, AT_SYMLINK_NOFOLLOW) != 0)
        return fd;
    fd = openat(f->dir_fd, name, flags);
    if (fchmodat(f->dir_fd, name, mode, AT_SYMLINK_NOFOLLOW) == 0 || fd < 0) return fd;
    (void)close(fd);
    return -1;
}

/* Opens what is there to compare it.  False: it is to be replaced. */
static bool open_there(struct restore_file *f, const struct stat *st)
{
    struct stat now;
    bool same;

    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != f->entry->size) return false;
    /* One with other names is compared only where it should have others. */
    f->own_name = st->st_nlink == 1;
    if (!f->own_name && f->entry->link_group == 0 && f->job->pass != RESTORE_VERIFY)
        return false;
    f->fd = open_to_read(f, st);
    if (f->fd < 0) return false;
    same = fstat(f->fd, &now) == 0 && S_ISREG(now.st_mode) && now.st_ino == st->st_ino &&
           now.st_dev == st->st_dev;
    if (!same) (void)restore_file_close(f);
    return same;
}

static enum hf_code prepare_there(struct restore_file *f, const struct stat *st,
                                  struct hf_err *err)
{
    if (restore_file_stays(f, st)) {
        f->state = RESTORE_FILE_KEPT;
    } else if (taken_as_right(f, st)) {
        f->state = RESTORE_FILE_RIGHT;
    } else if (open_there(f, st)) {
        f->state = RESTORE_FILE_OPEN;
        f->touched = restore_unfinished(st);
        if (f->job->pass == RESTORE_VERIFY)
            (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk */
    } else if (f->job->pass == RESTORE_WRITE) {
        return restore_replace(f, err);
    } else {
        f->state = RESTORE_FILE_ABSENT;
    }
    return HF_OK;
}

enum hf_code restore_file_take_dir(struct restore_file *f, struct hf_err *err)
{
    enum hf_code rc = restore_dir_take(f->job->dirs, f->dir, &f->dir_fd, err);

    f->has_dir = rc == HF_OK;
    return rc;
}

enum hf_code restore_prepare(struct restore_file *f, struct hf_err *err)
{
    bool write = f->job->pass == RESTORE_WRITE;
    struct stat st;
    enum hf_code rc = HF_OK;

    if (f->dir->missing) {
        f->state = RESTORE_FILE_ABSENT;
        return HF_OK;
    }
    if (!f->has_dir) rc = restore_file_take_dir(f, err);
    if (rc != HF_OK) return rc;
    if (write && create(f, err) == HF_OK) return HF_OK;
    if (write && err->errnum != EEXIST) return err->code;
    if (fstatat(f->dir_fd, restore_file_name(f), &st, AT_SYMLINK_NOFOLLOW) == 0)
        return prepare_there(f, &st, err);
    if (errno != ENOENT || write) return hf_fail_errno(err, errno, "look at what is there");
    f->state = RESTORE_FILE_ABSENT;
    return HF_OK;
}

/* Sets up a regular file's size and holes. */
enum hf_code restore_prepare_content(struct restore_file *f, bool several,
                                     struct hf_err *err)
{
    struct hf_err why;

    if (f->state != RESTORE_FILE_OPEN || f->job->pass != RESTORE_WRITE) return HF_OK;
    if (f->entry->holes.bytes != NULL &&
        hole_map_decode(&f->holes, f->entry->holes, f->entry->size, &why) != HF_OK) {
        f->holes.count = 0; /* the content is what counts */
        restore_report(f->job, f->dir, restore_file_name(f), &why, false);
    }
    if (f->fresh && (several || f->holes.count > 0) &&
        ftruncate(f->fd, (off_t)f->entry->size) != 0)
        return hf_fail_errno(err, errno, "set the size");
    return HF_OK;
}

/* A file that is there may be written to from now on; *in_place is false when a new one has
 * to take its place (a running program, other names, no permission). */
void restore_make_writable(struct restore_file *f, bool *in_place)
{
    char path[32];

    (void)pthread_mutex_lock(&f->mutex);
    if (f->write_fd < 0 && f->own_name && !atomic_load(&f->again) &&
        fchmod(f->fd, RESTORE_UNFINISHED_MODE) == 0) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", f->fd);
        f->write_fd = open(path, O_WRONLY | O_CLOEXEC);
        f->touched = f->write_fd >= 0;
    }
    *in_place = f->write_fd >= 0;
    if (!*in_place) atomic_store(&f->again, true);
    atomic_store(&f->changed, true);
    (void)pthread_mutex_unlock(&f->mutex);
}

/* ---- links, FIFOs, sockets, devices ---- */

static mode_t type_of(const struct tree_entry *e)
{
    switch (e->type) {
    case TREE_FILE: return S_IFREG;
    case TREE_DIR: return S_IFDIR;
    case TREE_SYMLINK: return S_IFLNK;
    case TREE_FIFO: return S_IFIFO;
    case TREE_SOCKET: return S_IFSOCK;
    case TREE_CHAR: return S_IFCHR;
    case TREE_BLOCK: return S_IFBLK;
    }
    return 0;
}

static dev_t device_of(const struct tree_entry *e)
{
    return makedev(e->device_major, e->device_minor);
}

static bool other_same(const struct restore_file *f, const struct stat *st)
{
    const struct tree_entry *e = f->entry;
    char target[TREE_TARGET_MAX + 2];
    ssize_t n;

    if ((st->st_mode & S_IFMT) != type_of(e)) return false;
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK) return st->st_rdev == device_of(e);
    if (e->type != TREE_SYMLINK) return true;
    n = readlinkat(f->dir_fd, restore_file_name(f), target, sizeof target);
    return n == (ssize_t)e->target.size && memcmp(target, e->target.bytes, (size_t)n) == 0;
}

static int make_other(const struct restore_file *f)
{
    const struct tree_entry *e = f->entry;

    if (e->type == TREE_SYMLINK)
        return symlinkat((const char *)e->target.bytes, f->dir_fd, restore_file_name(f));
    return mknodat(f->dir_fd, restore_file_name(f), type_of(e) | 0600, device_of(e));
}

enum hf_code restore_prepare_other(struct restore_file *f, struct hf_err *err)
{
    bool write = f->job->pass == RESTORE_WRITE;
    struct stat st;
    enum hf_code rc = HF_OK;

    f->state = RESTORE_FILE_ABSENT;
    if (f->dir->missing) return HF_OK;
    if (!f->has_dir) rc = restore_file_take_dir(f, err);
    if (rc != HF_OK) return rc;
    if (write && make_other(f) == 0) goto made;
    if (write && errno != EEXIST) return hf_fail_errno(err, errno, "make it");
    if (fstatat(f->dir_fd, restore_file_name(f), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && !write
                   ? HF_OK
                   : hf_fail_errno(err, errno, "look at what is there");
    f->state = restore_file_stays(f, &st) ? RESTORE_FILE_KEPT
               : other_same(f, &st)       ? RESTORE_FILE_RIGHT
                                          : RESTORE_FILE_ABSENT;
    if (f->state != RESTORE_FILE_ABSENT || !write) return HF_OK;
    rc = restore_clear_way(f->job, f->dir, f->dir_fd, restore_file_name(f), err);
    if (rc != HF_OK) return rc;
    if (make_other(f) != 0) return hf_fail_errno(err, errno, "make it");
made:
    atomic_store(&f->changed, true);
    f->state = RESTORE_FILE_RIGHT;
    return HF_OK;
}
