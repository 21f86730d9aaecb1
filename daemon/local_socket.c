#include "daemon/local_socket.h"

#include "base/file.h"
#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

/* Splits path into its directory (to dir) and its name, which is returned. */
static const char *split(const char *path, char dir[static HF_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n;

    if (slash == NULL) {
        memcpy(dir, ".", 2);
        return path;
    }
    n = slash == path ? 1 : (size_t)(slash - path);
    memcpy(dir, path, n);
    dir[n] = '\0';
    return slash + 1;
}

static enum hf_code check_directory(int fd, const char *dir, struct hf_err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) return hf_fail_errno(err, errno, "directory %s", dir);
    if (st.st_uid != geteuid())
        return hf_fail(err, HF_DENIED, "directory %s belongs to another user", dir);
    if ((st.st_mode & 077) != 0)
        return hf_fail(err, HF_DENIED, "directory %s is open to others; try: chmod 700 %s",
                       dir, dir);
    return HF_OK;
}

/* What is left of a daemon that died.  With the lock held nobody can be listening. */
static enum hf_code remove_dead(int dir_fd, const char *name, struct hf_err *err)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? HF_OK : hf_fail_errno(err, errno, "socket %s", name);
    if (!S_ISSOCK(st.st_mode))
        return hf_fail(err, HF_EXISTS, "%s is there and no socket; remove it", name);
    return unlinkat(dir_fd, name, 0) == 0 ? HF_OK
                                          : hf_fail_errno(err, errno, "remove %s", name);
}

static enum hf_code listen_on(struct local_socket *s, struct hf_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(s->path) >= sizeof address.sun_path)
        return hf_fail(err, HF_TOO_LARGE, "the path of the socket is longer than %zu: %s",
                       sizeof address.sun_path - 1, s->path);
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) return hf_fail_errno(err, errno, "socket");
    /* Between bind and chmod the directory keeps others out. */
    if (bind(s->fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(s->path, 0600) != 0 || listen(s->fd, BACKLOG) != 0)
        return hf_fail_errno(err, errno, "listen on %s", s->path);
    return HF_OK;
}

enum hf_code local_socket_open(const char *path, struct local_socket *socket,
                               struct hf_err *err)
{
    char dir[HF_PATH_MAX], lock[HF_PATH_MAX];
    const char *name;
    int dir_fd = -1;
    enum hf_code rc;

    *socket = (struct local_socket){.fd = -1, .lock_fd = -1};
    if (strlen(path) > sizeof socket->path - sizeof ".lock")
        return hf_fail(err, HF_TOO_LARGE, "the path of the socket is too long");
    memcpy(socket->path, path, strlen(path) + 1);
    name = split(path, dir);
    (void)snprintf(lock, sizeof lock, "%s.lock", name);
    rc = hf_dir_make(dir, &dir_fd, err);
    if (rc == HF_OK) rc = check_directory(dir_fd, dir, err);
    if (rc == HF_OK) rc = hf_lock_take(dir_fd, lock, "holdfastd", &socket->lock_fd, err);
    if (rc == HF_OK) rc = remove_dead(dir_fd, name, err);
    if (rc == HF_OK) rc = listen_on(socket, err);
    if (dir_fd >= 0) (void)close(dir_fd);
    if (rc == HF_OK) return HF_OK;
    if (socket->fd >= 0) (void)close(socket->fd);
    hf_lock_release(socket->lock_fd);
    *socket = (struct local_socket){.fd = -1, .lock_fd = -1};
    return rc;
}

void local_socket_close(struct local_socket *socket)
{
    if (socket->fd < 0) return;
    (void)unlink(socket->path);
    (void)close(socket->fd);
    hf_lock_release(socket->lock_fd);
    socket->fd = socket->lock_fd = -1;
}

static bool allowed(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
        (peer.uid == geteuid() || peer.uid == 0))
        return true;
    hf_log(HF_LOG_WARN, "local", "a program of another user connected, and was closed");
    return false;
}

enum hf_code local_socket_accept(const struct local_socket *socket, int *fd,
                                 struct hf_err *err)
{
    for (;;) {
        *fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (*fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (*fd < 0)
            return errno == EAGAIN ? HF_OK : hf_fail_errno(err, errno, "accept a program");
        if (allowed(*fd)) return HF_OK;
        (void)close(*fd);
    }
}
