#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the system's own operations ---- */

static int system_open(struct hf_files *files, int dir_fd, const char *name, int flags,
                       mode_t mode)
{
    (void)files;
    return openat(dir_fd, name, flags | O_CLOEXEC, mode);
}

static int system_close(struct hf_files *files, int fd)
{
    (void)files;
    return close(fd);
}

static ssize_t system_pread(struct hf_files *files, int fd, void *buf, size_t n,
                            off_t offset)
{
    (void)files;
    return pread(fd, buf, n, offset);
}

static ssize_t system_pwritev(struct hf_files *files, int fd, const struct iovec *iov,
                              int count, off_t offset)
{
    (void)files;
    return pwritev(fd, iov, count, offset);
}

static int system_sync(struct hf_files *files, int fd)
{
    (void)files;
    return fsync(fd);
}

static int system_datasync(struct hf_files *files, int fd)
{
    (void)files;
    return fdatasync(fd);
}

static int system_truncate(struct hf_files *files, int fd, off_t size)
{
    (void)files;
    return ftruncate(fd, size);
}

static int system_punch(struct hf_files *files, int fd, off_t offset, off_t size)
{
    (void)files;
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}

static int system_rename(struct hf_files *files, int dir_fd, const char *from,
                         const char *to)
{
    (void)files;
    return renameat(dir_fd, from, dir_fd, to);
}

static int system_unlink(struct hf_files *files, int dir_fd, const char *name)
{
    (void)files;
    return unlinkat(dir_fd, name, 0);
}

static int system_mkdir(struct hf_files *files, int dir_fd, const char *name, mode_t mode)
{
    (void)files;
    return mkdirat(dir_fd, name, mode);
}

static int system_room(struct hf_files *files, int fd, uint64_t *bytes)
{
    struct statvfs fs;

    (void)files;
    if (fstatvfs(fd, &fs) != 0) return -1;
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

struct hf_files *hf_files_system(void)
{
    static struct hf_files files = {
        .open = system_open,
        .close = system_close,
        .pread = system_pread,
        .pwritev = system_pwritev,
        .sync = system_sync,
        .datasync = system_datasync,
        .truncate = system_truncate,
        .punch = system_punch,
        .rename = system_rename,
        .unlink = system_unlink,
        .mkdir = system_mkdir,
        .room = system_room,
    };

    return &files;
}

/* ---- helpers over any struct hf_files ---- */

enum hf_code hf_file_read(struct hf_files *files, int fd, void *buf, size_t n, off_t offset,
                          size_t *got, struct hf_err *err)
{
    uint8_t *p = buf;

    *got = 0;
    while (*got < n) {
        ssize_t r = files->pread(files, fd, p + *got, n - *got, offset + (off_t)*got);

        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return hf_fail_errno(err, errno, "read");
        if (r == 0) break;
        *got += (size_t)r;
    }
    return HF_OK;
}

enum hf_code hf_file_writev(struct hf_files *files, int fd, struct iovec *iov, int count,
                            off_t offset, struct hf_err *err)
{
    while (count > 0) {
        ssize_t w =
            files->pwritev(files, fd, iov, count > IOV_MAX ? IOV_MAX : count, offset);

        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return hf_fail_errno(err, errno, "write");
        if (w == 0) return hf_fail_errno(err, ENOSPC, "write");
        offset += w;
        while (count > 0 && (size_t)w >= iov->iov_len) {
            w -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (w > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + w;
            iov->iov_len -= (size_t)w;
        }
        while (count > 0 && iov->iov_len == 0) {
            iov++;
            count--;
        }
    }
    return HF_OK;
}

enum hf_code hf_file_write(struct hf_files *files, int fd, const void *buf, size_t n,
                           off_t offset, struct hf_err *err)
{
    union {
        const void *from;
        void *to;
    } bytes = {.from = buf}; /* an iovec is not const; writing does not change it */
    struct iovec iov = {.iov_base = bytes.to, .iov_len = n};

    return n == 0 ? HF_OK : hf_file_writev(files, fd, &iov, 1, offset, err);
}

static enum hf_code load(struct hf_files *files, int dir_fd, const char *name, bool private,
                         void *buf, size_t max, size_t *n, struct hf_err *err)
{
    enum hf_code rc;
    struct stat st;
    uint8_t more;
    size_t extra;
    int fd = files->open(files, dir_fd, name, O_RDONLY, 0);

    *n = 0;
    if (fd < 0) return hf_fail_errno(err, errno, "open %s", name);
    if (private) {
        if (fstat(fd, &st) != 0) {
            rc = hf_fail_errno(err, errno, "stat %s", name);
            goto out;
        }
        if ((st.st_mode & 077) != 0) {
            rc = hf_fail(err, HF_DENIED,
                         "%s: others may read or write it (mode %04o); run 'chmod 600 %s'",
                         name, (unsigned)(st.st_mode & 07777), name);
            goto out;
        }
    }
    rc = hf_file_read(files, fd, buf, max, 0, n, err);
    if (rc == HF_OK && *n == max) {
        rc = hf_file_read(files, fd, &more, 1, (off_t)max, &extra, err);
        if (rc == HF_OK && extra > 0)
            rc = hf_fail(err, HF_TOO_LARGE, "%s: larger than %zu bytes", name, max);
    }
    if (rc != HF_OK && rc != HF_TOO_LARGE) rc = hf_prefix(err, "%s", name);
out:
    (void)files->close(files, fd);
    return rc;
}

enum hf_code hf_file_load(struct hf_files *files, int dir_fd, const char *name, void *buf,
                          size_t max, size_t *n, struct hf_err *err)
{
    return load(files, dir_fd, name, false, buf, max, n, err);
}

enum hf_code hf_file_load_private(struct hf_files *files, int dir_fd, const char *name,
                                  void *buf, size_t max, size_t *n, struct hf_err *err)
{
    return load(files, dir_fd, name, true, buf, max, n, err);
}

static enum hf_code sync_dir(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    int fd = files->open(files, dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    int failed;

    if (fd < 0) return hf_fail_errno(err, errno, "open the directory");
    failed = files->sync(files, fd) != 0 ? errno : 0;
    (void)files->close(files, fd);
    return failed == 0 ? HF_OK : hf_fail_errno(err, failed, "sync the directory");
}

enum hf_code hf_file_replace(struct hf_files *files, int dir_fd, const char *name,
                             const void *bytes, size_t n, mode_t mode, struct hf_err *err)
{
    enum hf_code rc;
    char tmp[NAME_MAX + 1];
    int fd;

    if (snprintf(tmp, sizeof tmp, "%s.new", name) >= (int)sizeof tmp)
        return hf_fail(err, HF_TOO_LARGE, "%s: name too long", name);
    if (files->unlink(files, dir_fd, tmp) != 0 && errno != ENOENT)
        return hf_fail_errno(err, errno, "remove %s", tmp);
    fd = files->open(files, dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0) return hf_fail_errno(err, errno, "create %s", tmp);
    rc = hf_file_write(files, fd, bytes, n, 0, err);
    if (rc == HF_OK && files->sync(files, fd) != 0) rc = hf_fail_errno(err, errno, "sync");
    if (files->close(files, fd) != 0 && rc == HF_OK)
        rc = hf_fail_errno(err, errno, "close");
    if (rc == HF_OK && files->rename(files, dir_fd, tmp, name) != 0)
        rc = hf_fail_errno(err, errno, "rename");
    if (rc == HF_OK) rc = sync_dir(files, dir_fd, err);
    if (rc == HF_OK) return HF_OK;
    (void)files->unlink(files, dir_fd, tmp);
    return hf_prefix(err, "write %s", name);
}

enum hf_code hf_dir_make(const char *path, int *fd, struct hf_err *err)
{
    char part[PATH_MAX];
    size_t size = strlen(path);

    *fd = -1;
    if (size == 0 || size >= sizeof part)
        return hf_fail(err, HF_INVALID, "directory '%.64s': empty or too long a path",
                       path);
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != '\0') continue;
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return hf_fail_errno(err, errno, "make directory %s", part);
        if (i < size) part[i] = '/';
    }
    return hf_dir_open(path, fd, err);
}

enum hf_code hf_dir_open(const char *path, int *fd, struct hf_err *err)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open directory %s", path);
}
