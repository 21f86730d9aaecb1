/* dump_ops.h - the requests of the kernel, each answered from nodes.h.
 *
 * Replies go out from within the handler; libfuse calls them from several threads.  Every
 * failure to read is EIO (ENOMEM when memory is short), with one line in the log that names
 * the path.  What is in a dump never changes: the kernel may keep it for ever. */
#ifndef HOLDFAST_FUSE_DUMP_OPS_H
#define HOLDFAST_FUSE_DUMP_OPS_H

#define FUSE_USE_VERSION 312

#include "fuse/handles.h"
#include "fuse/nodes.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>

/* The session's user data. */
struct dump {
    struct nodes nodes;
    struct open_handles handles;
    unsigned max_read;        /* as given with -o max_read; 0: not given */
    const char *mount_point;  /* resolved */
    atomic_flag ahead_is_set; /* read-ahead was raised, or tried to be */
    void (*ready)(void *arg); /* or NULL */
    void *arg;
};

extern const struct fuse_lowlevel_ops dump_ops;

/* ---- shared by the handlers ---- */

/* The inode of the request, or NULL after the reply ESTALE. */
struct inode *dump_inode(fuse_req_t req, fuse_ino_t ino);

/* Logs "<path>: <message>" and replies. */
void dump_reply_failure(fuse_req_t req, const struct inode *inode,
                        const struct hf_err *err);

/* Fills what the kernel is told about `inode`; false: it is there no more. */
bool dump_fill_entry(struct dump *dump, const struct inode *inode,
                     struct fuse_entry_param *e);

/* ---- dump_dir.c ---- */
void dump_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void dump_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void dump_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi);
void dump_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ---- dump_file.c ---- */
void dump_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void dump_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
               struct fuse_file_info *fi);
void dump_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
