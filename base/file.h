/* file.h - every file operation of what must survive a crash.
 *
 * Stores, logs, key files, heads and configuration go through a struct hf_files,
 * so that a test can record, fail and replay what they do.  The user's own files
 * (walk, restore) do not: they are not ours to keep consistent.
 *
 * Operations follow the system calls: they return -1 (or NULL) with errno set, and
 * are retried on EINTR by the helpers below.  Any thread. */
#ifndef HOLDFAST_BASE_FILE_H
#define HOLDFAST_BASE_FILE_H

#include "base/err.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct hf_files {
    int (*open)(struct hf_files *files, int dir_fd, const char *name, int flags,
                mode_t mode);
    int (*close)(struct hf_files *files, int fd);
    ssize_t (*pread)(struct hf_files *files, int fd, void *buf, size_t n, off_t offset);
    ssize_t (*pwritev)(struct hf_files *files, int fd, const struct iovec *iov, int count,
                       off_t offset);
    int (*sync)(struct hf_files *files, int fd);     /* fsync; also of a directory */
    int (*datasync)(struct hf_files *files, int fd); /* fdatasync */
    int (*truncate)(struct hf_files *files, int fd, off_t size);
    int (*punch)(struct hf_files *files, int fd, off_t offset, off_t size); /* a hole */
    int (*rename)(struct hf_files *files, int dir_fd, const char *from, const char *to);
    int (*unlink)(struct hf_files *files, int dir_fd, const char *name);
    int (*mkdir)(struct hf_files *files, int dir_fd, const char *name, mode_t mode);
    int (*room)(struct hf_files *files, int fd, uint64_t *bytes); /* left where fd is */
};

/* The system's own; never NULL, static. */
struct hf_files *hf_files_system(void);

/* Loops over short transfers and EINTR.  Reading: *got < n only at the end of the file. */
HF_MUST_CHECK enum hf_code hf_file_read(struct hf_files *files, int fd, void *buf, size_t n,
                                        off_t offset, size_t *got, struct hf_err *err);
HF_MUST_CHECK enum hf_code hf_file_write(struct hf_files *files, int fd, const void *buf,
                                         size_t n, off_t offset, struct hf_err *err);
/* Writes all of iov[0..count), which it may change. */
HF_MUST_CHECK enum hf_code hf_file_writev(struct hf_files *files, int fd, struct iovec *iov,
                                          int count, off_t offset, struct hf_err *err);

/* The whole of a small file: at most max bytes to buf, *n set.  HF_TOO_LARGE beyond. */
HF_MUST_CHECK enum hf_code hf_file_load(struct hf_files *files, int dir_fd,
                                        const char *name, void *buf, size_t max, size_t *n,
                                        struct hf_err *err);

/* Replaces dir/name by n bytes so that a crash leaves the old or the new: a temporary
 * file, fsync, rename, fsync of the directory.  `mode` as for open. */
HF_MUST_CHECK enum hf_code hf_file_replace(struct hf_files *files, int dir_fd,
                                           const char *name, const void *bytes, size_t n,
                                           mode_t mode, struct hf_err *err);

/* As hf_file_load for a file of secrets: HF_DENIED with the remedy when its mode lets
 * anybody but its owner read or write it. */
HF_MUST_CHECK enum hf_code hf_file_load_private(struct hf_files *files, int dir_fd,
                                                const char *name, void *buf, size_t max,
                                                size_t *n, struct hf_err *err);

/* Makes `path` and its missing parents (mode 0700) and opens it: *fd is the caller's. */
HF_MUST_CHECK enum hf_code hf_dir_make(const char *path, int *fd, struct hf_err *err);
/* Opens an existing directory. */
HF_MUST_CHECK enum hf_code hf_dir_open(const char *path, int *fd, struct hf_err *err);

#endif
