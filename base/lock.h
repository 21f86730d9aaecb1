/* lock.h - a lock between processes that names its holder. */
#ifndef HOLDFAST_BASE_LOCK_H
#define HOLDFAST_BASE_LOCK_H

#include "base/err.h"

#include <stdbool.h>

/* Takes dir/name exclusively (flock) and writes "<pid> <what>" to it.  *fd holds the
 * lock until it is closed or the process ends.  HF_LOCKED: the message names the holder. */
HF_MUST_CHECK enum hf_code hf_lock_take(int dir_fd, const char *name, const char *what,
                                        int *fd, struct hf_err *err);

/* True: a process holds dir/name.  Where that cannot be told: false. */
bool hf_lock_is_held(int dir_fd, const char *name);

/* Releases; fd < 0 is allowed. */
void hf_lock_release(int fd);

#endif
