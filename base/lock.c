#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define TRIES 5

/* Somebody who only looks (hf_lock_is_held) has it for some microseconds. */
static bool take(int lock)
{
    static const struct timespec pause = {.tv_nsec = 2000000};

    for (int i = 0; flock(lock, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK || i == TRIES) return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

enum hf_code hf_lock_take(int dir_fd, const char *name, const char *what, int *fd,
                          struct hf_err *err)
{
    char holder[128];
    ssize_t n;
    int lock = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    *fd = -1;
    if (lock < 0) return hf_fail_errno(err, errno, "open lock %s", name);
    if (take(lock)) {
        n = snprintf(holder, sizeof holder, "%ld %s\n", (long)getpid(), what);
        /* The name is for people; the lock holds without it. */
        if (ftruncate(lock, 0) == 0)
            n = pwrite(lock, holder, strnlen(holder, sizeof holder), 0);
        (void)n;
        *fd = lock;
        return HF_OK;
    }
    if (errno != EWOULDBLOCK) {
        int why = errno;

        (void)close(lock);
        return hf_fail_errno(err, why, "lock %s", name);
    }
    n = pread(lock, holder, sizeof holder - 1, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    (void)close(lock);
    return hf_fail(err, HF_LOCKED,
                   "in use by process %s; wait for it to end, then try again",
                   holder[0] != '\0' ? holder : "(unknown)");
}

bool hf_lock_is_held(int dir_fd, const char *name)
{
    int lock = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    bool held;

    if (lock < 0) return false;
    held = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(lock);
    return held;
}

void hf_lock_release(int fd)
{
    if (fd >= 0) (void)close(fd);
}
