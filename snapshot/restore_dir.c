#include "snapshot/restore_dir.h"

#include "snapshot/limits.h"
#include "snapshot/restore_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct restore_dirs {
    pthread_mutex_t mutex; /* guards all below, and handles and users of directories */
    struct restore_dir target;
    struct restore_dir *newest, *oldest; /* open and not in use */
    size_t open_count, open_max;
};

struct restore_dirs *restore_dirs_new(int target_fd, size_t open_max)
{
    struct restore_dirs *dirs = calloc(1, sizeof *dirs);

    if (dirs == NULL) return NULL;
    (void)pthread_mutex_init(&dirs->mutex, NULL);
    dirs->open_max = open_max;
    dirs->target.fd = target_fd;
    dirs->target.missing = target_fd < 0;
    dirs->target.users = 1; /* never closed here */
    atomic_init(&dirs->target.references, 1);
    atomic_init(&dirs->target.pending, 1);
    return dirs;
}

void restore_dirs_free(struct restore_dirs *dirs)
{
    if (dirs == NULL) return;
    (void)pthread_mutex_destroy(&dirs->mutex);
    free(dirs);
}

struct restore_dir *restore_dirs_target(struct restore_dirs *dirs)
{
    return &dirs->target;
}

/* ---- idle handles, under the mutex ---- */

static void leave_idle(struct restore_dirs *dirs, struct restore_dir *dir)
{
    *(dir->newer != NULL ? &dir->newer->older : &dirs->newest) = dir->older;
    *(dir->older != NULL ? &dir->older->newer : &dirs->oldest) = dir->newer;
    dir->newer = dir->older = NULL;
}

static void close_handle(struct restore_dirs *dirs, struct restore_dir *dir)
{
    (void)close(dir->fd);
    dir->fd = -1;
    dirs->open_count--;
}

static void enter_idle(struct restore_dirs *dirs, struct restore_dir *dir)
{
    dir->older = dirs->newest;
    *(dirs->newest != NULL ? &dirs->newest->newer : &dirs->oldest) = dir;
    dirs->newest = dir;
    while (dirs->open_count > dirs->open_max && dirs->oldest != NULL) {
        struct restore_dir *oldest = dirs->oldest;

        leave_idle(dirs, oldest);
        close_handle(dirs, oldest);
    }
}

/* ---- directories ---- */

struct restore_dir *restore_dir_new(struct restore_dirs *dirs, struct restore_dir *up,
                                    struct tree_entry *entry, int fd)
{
    struct restore_dir *dir = calloc(1, sizeof *dir);
    struct stat st = {0};

    if (dir == NULL || (fd >= 0 && fstat(fd, &st) != 0)) {
        if (fd >= 0) (void)close(fd);
        free(entry);
        free(dir);
        return NULL;
    }
    dir->up = up;
    dir->entry = entry;
    dir->missing = fd < 0;
    dir->fd = fd;
    dir->device = st.st_dev;
    dir->inode = st.st_ino;
    atomic_init(&dir->references, 1);
    atomic_init(&dir->pending, 1);
    (void)atomic_fetch_add(&up->pending, 1); /* until this one is finished */
    restore_dir_hold(up);
    if (fd < 0) return dir;
    (void)pthread_mutex_lock(&dirs->mutex);
    dirs->open_count++;
    enter_idle(dirs, dir);
    (void)pthread_mutex_unlock(&dirs->mutex);
    return dir;
}

void restore_dir_hold(struct restore_dir *dir)
{
    (void)atomic_fetch_add(&dir->references, 1);
}

void restore_dir_drop(struct restore_dirs *dirs, struct restore_dir *dir)
{
    while (dir->up != NULL && atomic_fetch_sub(&dir->references, 1) == 1) {
        struct restore_dir *up = dir->up;

        if (!dir->missing) {
            (void)pthread_mutex_lock(&dirs->mutex);
            if (dir->fd >= 0) {
                leave_idle(dirs, dir);
                close_handle(dirs, dir);
            }
            (void)pthread_mutex_unlock(&dirs->mutex);
        }
        free(dir->entry);
        free(dir);
        dir = up;
    }
    if (dir->up == NULL) (void)atomic_fetch_sub(&dir->references, 1);
}

static enum hf_code open_below(struct restore_dirs *dirs, int up_fd,
                               struct restore_dir *dir, struct hf_err *err)
{
    struct stat st;
    int fd = openat(up_fd, restore_entry_name(dir->entry),
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) return hf_fail_errno(err, errno, "open the directory again");
    if (fstat(fd, &st) != 0 || st.st_dev != dir->device || st.st_ino != dir->inode) {
        (void)close(fd);
        return hf_fail(err, HF_IO, "the directory was replaced by another one meanwhile");
    }
    dir->fd = fd;
    dirs->open_count++;
    return HF_OK;
}

/* Opens it from its nearest ancestor that is open; those between stay open too, because
 * whoever comes from deep below needs them next. */
static enum hf_code open_again(struct restore_dirs *dirs, struct restore_dir *dir,
                               struct hf_err *err)
{
    struct restore_dir *chain[TREE_DEPTH_MAX + 2];
    size_t n = 0;
    enum hf_code rc = HF_OK;

    for (; dir->fd < 0 && n < sizeof chain / sizeof chain[0]; dir = dir->up)
        chain[n++] = dir;
    if (dir->fd < 0) return hf_fail(err, HF_TOO_LARGE, "too many directories deep");
    while (rc == HF_OK && n-- > 0) {
        /* Not idle while the one below it is opened. */
        bool idle = dir->users == 0;

        if (idle && (dir->newer != NULL || dir->older != NULL || dirs->newest == dir))
            leave_idle(dirs, dir);
        rc = open_below(dirs, dir->fd, chain[n], err);
        if (idle) enter_idle(dirs, dir);
        dir = chain[n];
    }
    return rc;
}

enum hf_code restore_dir_take(struct restore_dirs *dirs, struct restore_dir *dir, int *fd,
                              struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    (void)pthread_mutex_lock(&dirs->mutex);
    if (dir->fd < 0)
        rc = open_again(dirs, dir, err);
    else if (dir->users == 0)
        leave_idle(dirs, dir);
    if (rc == HF_OK) dir->users++;
    *fd = dir->fd;
    (void)pthread_mutex_unlock(&dirs->mutex);
    return rc;
}

void restore_dir_give(struct restore_dirs *dirs, struct restore_dir *dir)
{
    (void)pthread_mutex_lock(&dirs->mutex);
    if (--dir->users == 0) enter_idle(dirs, dir);
    (void)pthread_mutex_unlock(&dirs->mutex);
}

/* ---- paths, for messages and patterns ---- */

char *restore_dir_path(const struct restore_dir *dir, const char *prefix, const char *name)
{
    size_t start = strlen(prefix);
    size_t size = start + 2 + (name != NULL ? strlen(name) + 1 : 0);
    char *path;
    char *at;

    for (const struct restore_dir *d = dir; d->up != NULL; d = d->up)
        size += d->entry->name.size + 1;
    path = malloc(size);
    if (path == NULL) return NULL;
    at = path + size - 1;
    *at = '\0';
    if (name != NULL) {
        at -= strlen(name);
        memcpy(at, name, strlen(name));
        *--at = '/';
    }
    for (; dir->up != NULL; dir = dir->up) {
        at -= dir->entry->name.size;
        memcpy(at, dir->entry->name.bytes, dir->entry->name.size);
        *--at = '/';
    }
    if (*at == '\0' && start == 0) *--at = '/';
    memmove(path + start, at, strlen(at) + 1);
    memcpy(path, prefix, start);
    return path;
}
