#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum hf_code hf_lock_take(int dir_fd, const char *name, const char *what, int *fd,
                          struct hf_err *err)
{
    char holder[128];
    ssize_t n;
    int lock = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    *fd = -1;
    if (lock < 0) return hf_fail_errno(err, errno, "open lock %s", name);
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
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

void hf_lock_release(int fd)
{
    if (fd >= 0) (void)close(fd);
}
