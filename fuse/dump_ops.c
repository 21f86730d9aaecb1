#include "fuse/dump_ops.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define FOREVER_S    1e9
#define SHORT_S      1.0
#define LOG_PATH_MAX 600u

struct inode *dump_inode(fuse_req_t req, fuse_ino_t ino)
{
    struct dump *dump = fuse_req_userdata(req);
    struct inode *inode = inodes_get(dump->nodes.inodes, ino);

    if (inode == NULL) (void)fuse_reply_err(req, ESTALE);
    return inode;
}

void dump_reply_failure(fuse_req_t req, const struct inode *inode, const struct hf_err *err)
{
    char path[LOG_PATH_MAX];

    hf_log(HF_LOG_ERROR, "mount", "%s: %s", inode_path(inode, path, sizeof path), err->msg);
    /* A block that nobody has is no missing file: whatever went wrong below, the name is
     * there and its data cannot be had. */
    (void)fuse_reply_err(req, err->code == HF_NO_MEMORY ? hf_code_errno(err->code) : EIO);
}

bool dump_fill_entry(struct dump *dump, const struct inode *inode,
                     struct fuse_entry_param *e)
{
    memset(e, 0, sizeof *e);
    e->ino = inode->number;
    e->attr_timeout = inode->kind <= INODE_YEAR ? SHORT_S : FOREVER_S;
    e->entry_timeout = inode->kind == INODE_ENTRY ? FOREVER_S : SHORT_S;
    return nodes_stat(&dump->nodes, inode, &e->attr);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct dump *dump = userdata;

    /* libfuse refuses the mount when the option and this differ. */
    if (dump->max_read != 0) conn->max_read = dump->max_read;
    conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                                   FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS);
    /* Always with attributes: they are at hand, and whoever lists mostly wants them.
     * Splicing would move what has to be opened in memory anyway. */
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
                              FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_AUTO_INVAL_DATA);
    if (dump->ready != NULL) dump->ready(dump->arg);
}

/* Names of a dump that are not there stay so; a day may come. */
static void reply_no_entry(fuse_req_t req, const struct inode *dir)
{
    const struct fuse_entry_param none = {.entry_timeout = FOREVER_S};

    if (dir->kind == INODE_DUMP || dir->kind == INODE_ENTRY)
        (void)fuse_reply_entry(req, &none);
    else
        (void)fuse_reply_err(req, ENOENT);
}

static void reply_inode(fuse_req_t req, struct dump *dump, const struct inode *inode)
{
    struct fuse_entry_param e;
    uint64_t number = inode->number;

    /* Without a reply the kernel does not count the lookup either. */
    if (!dump_fill_entry(dump, inode, &e)) {
        (void)fuse_reply_err(req, ENOENT);
        inodes_forget(dump->nodes.inodes, number, 1);
    } else if (fuse_reply_entry(req, &e) != 0) {
        inodes_forget(dump->nodes.inodes, number, 1);
    }
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct dump *dump = fuse_req_userdata(req);
    struct inode *dir = dump_inode(req, parent);
    struct inode *found;
    struct hf_err err;

    if (dir == NULL) return;
    if (strlen(name) > TREE_NAME_MAX) {
        (void)fuse_reply_err(req, ENAMETOOLONG);
    } else if (!S_ISDIR(dir->attr.mode)) {
        (void)fuse_reply_err(req, ENOTDIR);
    } else if (dir->depth >= TREE_DEPTH_MAX) {
        (void)fuse_reply_err(req, ELOOP); /* deeper than any backup goes */
    } else if (nodes_lookup(&dump->nodes, dir, name, &found, &err) != HF_OK) {
        dump_reply_failure(req, dir, &err);
    } else if (found == NULL) {
        reply_no_entry(req, dir);
    } else {
        reply_inode(req, dump, found);
    }
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    struct dump *dump = fuse_req_userdata(req);

    inodes_forget(dump->nodes.inodes, ino, n);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct dump *dump = fuse_req_userdata(req);

    for (size_t i = 0; i < count; i++)
        inodes_forget(dump->nodes.inodes, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dump *dump = fuse_req_userdata(req);
    struct inode *inode = dump_inode(req, ino);
    struct fuse_entry_param e;

    (void)fi;
    if (inode == NULL) return;
    if (dump_fill_entry(dump, inode, &e))
        (void)fuse_reply_attr(req, &e.attr, e.attr_timeout);
    else
        (void)fuse_reply_err(req, ENOENT);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct inode *inode = dump_inode(req, ino);
    char target[TREE_TARGET_MAX + 1];

    if (inode == NULL) return;
    if (!S_ISLNK(inode->attr.mode) || inode->data_size > TREE_TARGET_MAX) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    memcpy(target, inode->data, inode->data_size);
    target[inode->data_size] = '\0';
    (void)fuse_reply_readlink(req, target);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = TREE_NAME_MAX};

    (void)ino;
    st.f_flag = ST_RDONLY | ST_NOSUID;
    (void)fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops dump_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .statfs = op_statfs,
    .opendir = dump_opendir,
    .readdir = dump_readdir,
    .readdirplus = dump_readdirplus,
    .releasedir = dump_releasedir,
    .open = dump_open,
    .read = dump_read,
    .release = dump_release,
};
