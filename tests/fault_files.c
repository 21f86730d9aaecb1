#include "fault_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fault_files *faults_of(struct hf_files *files)
{
    return (struct fault_files *)files;
}

/* Counts an operation; true, with errno set, when it is to fail. */
static bool strike(struct fault_files *f)
{
    bool hit;

    f->calls++;
    hit =
        f->fail_at != 0 && (f->calls == f->fail_at || (f->sticky && f->calls > f->fail_at));
    if (hit) errno = f->errnum;
    return hit;
}

static bool strike_locked(struct hf_files *files)
{
    struct fault_files *f = faults_of(files);
    bool hit;

    (void)pthread_mutex_lock(&f->lock);
    hit = strike(f);
    (void)pthread_mutex_unlock(&f->lock);
    return hit;
}

static struct fault_sealed *find_sealed(struct fault_files *f, ino_t inode)
{
    for (size_t i = 0; i < f->sealed_count; i++)
        if (f->sealed[i].inode == inode) return &f->sealed[i];
    return NULL;
}

static struct fault_sealed *sealed_of(struct fault_files *f, int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? find_sealed(f, st.st_ino) : NULL;
}

static void seal(struct fault_files *f, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || f->sealed_count == FAULT_SEALED_MAX) return;
    f->sealed[f->sealed_count++] =
        (struct fault_sealed){.inode = st.st_ino, .size = st.st_size};
}

static int fault_open(struct hf_files *files, int dir_fd, const char *name, int flags,
                      mode_t mode)
{
    if ((flags & O_CREAT) != 0 && strike_locked(files)) return -1;
    return openat(dir_fd, name, flags | O_CLOEXEC, mode);
}

static int fault_close(struct hf_files *files, int fd)
{
    (void)files;
    return close(fd);
}

static ssize_t fault_pread(struct hf_files *files, int fd, void *buf, size_t n,
                           off_t offset)
{
    (void)files;
    return pread(fd, buf, n, offset);
}

static ssize_t fault_pwritev(struct hf_files *files, int fd, const struct iovec *iov,
                             int count, off_t offset)
{
    struct fault_files *f = faults_of(files);
    struct fault_sealed *sealed;
    ssize_t n;
    bool hit;

    (void)pthread_mutex_lock(&f->lock);
    if (f->hold_write && !f->held) {
        f->held = true;
        (void)pthread_cond_broadcast(&f->changed);
        while (f->hold_write)
            (void)pthread_cond_wait(&f->changed, &f->lock);
    }
    hit = strike(f);
    sealed = sealed_of(f, fd);
    if (sealed != NULL) {
        sealed->rewritten = true;
        if (offset >= sealed->size) f->broken_promise = true;
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (hit && f->short_once) return pwrite(fd, iov->iov_base, iov->iov_len / 2, offset);
    if (hit) return -1;
    n = pwritev(fd, iov, count, offset);
    (void)pthread_mutex_lock(&f->lock);
    f->writes++;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}

static int fault_sync(struct hf_files *files, int fd)
{
    return strike_locked(files) ? -1 : fsync(fd);
}

static int fault_datasync(struct hf_files *files, int fd)
{
    struct fault_files *f = faults_of(files);
    struct fault_sealed *sealed;
    bool hit;

    if (f->kill_at_datasync) (void)kill(getpid(), SIGKILL);
    (void)pthread_mutex_lock(&f->lock);
    f->datasyncs++;
    while (f->datasyncs == 1 && f->writes < f->hold_until)
        (void)pthread_cond_wait(&f->changed, &f->lock);
    hit = strike(f) || f->fail_datasyncs;
    sealed = sealed_of(f, fd);
    if (sealed != NULL && !sealed->rewritten) f->broken_promise = true;
    if (sealed != NULL) sealed->rewritten = false;
    if (hit && sealed == NULL) seal(f, fd);
    (void)pthread_mutex_unlock(&f->lock);
    if (!hit) return fdatasync(fd);
    errno = f->fail_datasyncs ? EIO : f->errnum;
    return -1;
}

static int fault_truncate(struct hf_files *files, int fd, off_t size)
{
    return strike_locked(files) ? -1 : ftruncate(fd, size);
}

static int fault_punch(struct hf_files *files, int fd, off_t offset, off_t size)
{
    if (strike_locked(files)) return -1;
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}

static int fault_rename(struct hf_files *files, int dir_fd, const char *from,
                        const char *to)
{
    return strike_locked(files) ? -1 : renameat(dir_fd, from, dir_fd, to);
}

static int fault_unlink(struct hf_files *files, int dir_fd, const char *name)
{
    struct fault_files *f = faults_of(files);
    struct fault_sealed *sealed;
    struct stat st;

    if (strike_locked(files)) return -1;
    (void)pthread_mutex_lock(&f->lock);
    /* Its number will be used again. */
    if (fstatat(dir_fd, name, &st, 0) == 0 && (sealed = find_sealed(f, st.st_ino)) != NULL)
        *sealed = f->sealed[--f->sealed_count];
    (void)pthread_mutex_unlock(&f->lock);
    return unlinkat(dir_fd, name, 0);
}

static int fault_mkdir(struct hf_files *files, int dir_fd, const char *name, mode_t mode)
{
    return strike_locked(files) ? -1 : mkdirat(dir_fd, name, mode);
}

static int fault_room(struct hf_files *files, int fd, uint64_t *bytes)
{
    struct fault_files *f = faults_of(files);
    struct hf_files *system = hf_files_system();

    if (f->room == 0) return system->room(system, fd, bytes);
    *bytes = f->room;
    return 0;
}

void fault_files_init(struct fault_files *faults)
{
    memset(faults, 0, sizeof *faults);
    (void)pthread_mutex_init(&faults->lock, NULL);
    (void)pthread_cond_init(&faults->changed, NULL);
    faults->ops = (struct hf_files){.open = fault_open,
                                    .close = fault_close,
                                    .pread = fault_pread,
                                    .pwritev = fault_pwritev,
                                    .sync = fault_sync,
                                    .datasync = fault_datasync,
                                    .truncate = fault_truncate,
                                    .punch = fault_punch,
                                    .rename = fault_rename,
                                    .unlink = fault_unlink,
                                    .mkdir = fault_mkdir,
                                    .room = fault_room};
}

void fault_files_done(struct fault_files *faults)
{
    (void)pthread_cond_destroy(&faults->changed);
    (void)pthread_mutex_destroy(&faults->lock);
}
