/* Reading files.  The chunk that a handle read last stays open in its cursor. */
#include "fuse/dump_ops.h"

#include "fuse/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AHEAD_KB "1024"

struct open_file {
    struct open_handle base; /* first */
    atomic_uint references;  /* of the kernel, and of each read: once it has its reply the
                                kernel may release the file before the handler returns */
    pthread_mutex_t mutex;   /* guards all below */
    const struct inode *inode;
    struct stream_cursor *cursor; /* NULL: not begun */
    uint8_t *buf;
    size_t buf_size;
};

static struct open_file *handle_of(const struct fuse_file_info *fi)
{
    return (struct open_file *)(uintptr_t)fi->fh;
}

static void handle_unref(struct open_file *h)
{
    if (atomic_fetch_sub(&h->references, 1) != 1) return;
    stream_cursor_free(h->cursor);
    free(h->buf);
    (void)pthread_mutex_destroy(&h->mutex);
    free(h);
}

static void drop(struct open_handle *handle)
{
    handle_unref((struct open_file *)handle);
}

/* The kernel asks for 128 KiB ahead, which one can only change here, once the mount is
 * there and only as root.  A file opened from now on is read faster; else nothing is lost.
 */
static void raise_read_ahead(struct dump *dump)
{
    struct mount_found found;
    char path[96];
    int fd;

    if (geteuid() != 0 || atomic_flag_test_and_set(&dump->ahead_is_set)) return;
    if (!mount_find(dump->mount_point, &found)) return;
    (void)snprintf(path, sizeof path, "/sys/class/bdi/%s/read_ahead_kb", found.device);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, READ_AHEAD_KB, sizeof READ_AHEAD_KB - 1) < 0) {
        (void)close(fd);
        return;
    }
    (void)close(fd);
}

void dump_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dump *dump = fuse_req_userdata(req);
    struct inode *inode = dump_inode(req, ino);
    struct open_file *h = NULL;

    if (inode == NULL) return;
    if (!S_ISREG(inode->attr.mode)) {
        (void)fuse_reply_err(req, EINVAL); /* the kernel opens devices and FIFOs itself */
        return;
    }
    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        (void)fuse_reply_err(req, EROFS);
        return;
    }
    raise_read_ahead(dump);
    h = calloc(1, sizeof *h);
    if (h == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    atomic_init(&h->references, 1);
    (void)pthread_mutex_init(&h->mutex, NULL);
    h->inode = inode;
    fi->fh = (uintptr_t)h;
    fi->keep_cache = 1;
    fi->noflush = 1; /* nothing to write on close */
    open_handles_add(&dump->handles, &h->base, drop);
    if (fuse_reply_open(req, fi) == 0) return;
    open_handles_remove(&dump->handles, &h->base);
    handle_unref(h);
}

void dump_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dump *dump = fuse_req_userdata(req);
    struct open_file *h = handle_of(fi);

    (void)ino;
    open_handles_remove(&dump->handles, &h->base);
    handle_unref(h);
    (void)fuse_reply_err(req, 0);
}

static enum hf_code read_stream(struct dump *dump, struct open_file *h, size_t size,
                                uint64_t offset, size_t *got, struct hf_err *err)
{
    enum hf_code rc;

    if (size > h->buf_size) {
        uint8_t *grown = realloc(h->buf, size);

        if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
        h->buf = grown;
        h->buf_size = size;
    }
    if (h->cursor == NULL)
        h->cursor = stream_cursor_new(dump->nodes.fetcher, FRAME_DATA, &h->inode->stream);
    if (h->cursor == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    rc = stream_cursor_read(h->cursor, offset, h->buf, size, got, err);
    if (rc == HF_OK && *got != size)
        rc = hf_fail(err, HF_CORRUPT, "its stream ends at byte %llu",
                     (unsigned long long)(offset + *got));
    if (rc == HF_OK) return HF_OK;
    stream_cursor_free(h->cursor); /* the next read starts afresh */
    h->cursor = NULL;
    return rc;
}

void dump_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
    struct open_file *h = handle_of(fi);
    const struct inode *inode = h->inode;
    uint64_t end = inode->attr.size;
    uint64_t at = (uint64_t)offset;
    struct hf_err err;
    size_t got;

    (void)ino;
    if (at >= end) {
        (void)fuse_reply_buf(req, NULL, 0);
        return;
    }
    if (size > end - at) size = (size_t)(end - at);
    if (inode->data_size > 0) {
        char data[TREE_INLINE_MAX]; /* the inode may go with the reply */

        memcpy(data, inode->data + at, size);
        (void)fuse_reply_buf(req, data, size);
        return;
    }
    (void)atomic_fetch_add(&h->references, 1);
    (void)pthread_mutex_lock(&h->mutex);
    if (read_stream(fuse_req_userdata(req), h, size, at, &got, &err) == HF_OK)
        (void)fuse_reply_buf(req, (const char *)h->buf, got);
    else
        dump_reply_failure(req, inode, &err);
    (void)pthread_mutex_unlock(&h->mutex);
    handle_unref(h);
}
