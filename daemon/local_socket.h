/* local_socket.h - the daemon's Unix socket: one for each home, for its owner and root. */
#ifndef HOLDFAST_DAEMON_LOCAL_SOCKET_H
#define HOLDFAST_DAEMON_LOCAL_SOCKET_H

#include "base/err.h"
#include "base/home.h"

struct local_socket {
    int fd;      /* listening, not blocking; -1: closed */
    int lock_fd; /* held as long as the socket lives */
    char path[HF_PATH_MAX];
};

/* Listens on `path`.  Its directory is made (mode 0700) when it is missing; the socket of
 * a daemon that died is replaced.  HF_LOCKED: a daemon is running, named.  HF_DENIED: the
 * directory is another user's, or open to others.  HF_TOO_LARGE: the path is too long for
 * a socket.  HF_EXISTS: something else has that name.  HF_IO. */
HF_MUST_CHECK enum hf_code local_socket_open(const char *path, struct local_socket *socket,
                                             struct hf_err *err);
/* Removes the socket: who connects from now on finds no daemon. */
void local_socket_close(struct local_socket *socket);

/* The next connection, not blocking, the caller's; *fd is -1 when none is waiting.  Those
 * of other users (but root) are logged and closed.  HF_IO: no descriptors are left. */
HF_MUST_CHECK enum hf_code local_socket_accept(const struct local_socket *socket, int *fd,
                                               struct hf_err *err);

#endif
