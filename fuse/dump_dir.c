/* Listing.  Offset i + 1 stands behind item i: 0 is ".", 1 is "..", then the entries in
 * order.  A handle reads on where it stands; an offset before that starts again. */
#include "fuse/dump_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DOTS            2u
#define DIRENT_SIZE_MIN 24u /* of any item in a reply */

struct open_dir {
    struct open_handle base; /* first */
    pthread_mutex_t mutex;   /* guards all below */
    struct inode *inode;
    struct calendar *calendar;      /* kept while the listing lasts; or NULL: */
    struct stream_root stream;      /* a tree */
    struct tree_reader *reader;     /* NULL: not begun */
    const struct tree_entry *entry; /* read, and not yet given; or NULL */
    uint64_t next;                  /* item that `entry` is, or that is read next */
};

/* A reply in the making. */
struct listing {
    char *bytes;
    size_t size, used;
    bool plus;
    uint64_t *entered; /* numbers, to give back should the reply fail */
    size_t entered_count;
};

static struct open_dir *handle_of(const struct fuse_file_info *fi)
{
    return (struct open_dir *)(uintptr_t)fi->fh;
}

static void handle_free(struct open_dir *h)
{
    calendar_unref(h->calendar);
    tree_reader_free(h->reader);
    (void)pthread_mutex_destroy(&h->mutex);
    free(h);
}

static void drop(struct open_handle *handle)
{
    handle_free((struct open_dir *)handle);
}

void dump_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dump *dump = fuse_req_userdata(req);
    struct inode *inode = dump_inode(req, ino);
    struct open_dir *h;
    struct hf_err err;

    if (inode == NULL) return;
    if (!S_ISDIR(inode->attr.mode)) {
        (void)fuse_reply_err(req, ENOTDIR);
        return;
    }
    h = calloc(1, sizeof *h);
    if (h == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    (void)pthread_mutex_init(&h->mutex, NULL);
    h->inode = inode;
    if (inode->kind <= INODE_YEAR) {
        nodes_refresh(&dump->nodes);
        h->calendar = nodes_calendar(&dump->nodes);
    } else if (nodes_dir_stream(&dump->nodes, inode, &h->stream, &err) != HF_OK) {
        dump_reply_failure(req, inode, &err);
        handle_free(h);
        return;
    } else {
        fi->cache_readdir = 1;
        fi->keep_cache = 1;
    }
    fi->fh = (uintptr_t)h;
    open_handles_add(&dump->handles, &h->base, drop);
    if (fuse_reply_open(req, fi) == 0) return;
    open_handles_remove(&dump->handles, &h->base); /* nobody will release it */
    handle_free(h);
}

void dump_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dump *dump = fuse_req_userdata(req);
    struct open_dir *h = handle_of(fi);

    (void)ino;
    open_handles_remove(&dump->handles, &h->base);
    handle_free(h);
    (void)fuse_reply_err(req, 0);
}

/* ---- items ---- */

static bool calendar_item(struct dump *dump, const struct open_dir *h, uint64_t index,
                          char target[static CALENDAR_TARGET_SIZE], struct inode_spec *spec)
{
    const struct inode *dir = h->inode;
    const struct calendar_host *host;
    const struct calendar_year *year;

    if (dir->kind == INODE_TOP) {
        if (index >= h->calendar->host_count) return false;
        nodes_spec_host(&dump->nodes, dir, &h->calendar->hosts[index], spec);
        return true;
    }
    host = calendar_host_of(h->calendar, &dir->host);
    if (host == NULL) return false;
    if (dir->kind == INODE_YEAR) {
        year = calendar_year_named(host, (const char *)dir->data);
        if (year == NULL || index >= year->count) return false;
        nodes_spec_dump(&dump->nodes, dir, &host->dumps[year->first + index], spec);
        return true;
    }
    if (index < host->year_count) {
        nodes_spec_year(&dump->nodes, dir, host, &host->years[index], spec);
        return true;
    }
    if (index > host->year_count || host->dump_count == 0) return false;
    calendar_latest_target(host, target);
    nodes_spec_latest(&dump->nodes, dir, host, target, spec);
    return true;
}

/* Moves to item `index`, which is in h->entry afterwards: NULL at the end. */
static enum hf_code tree_item_at(struct dump *dump, struct open_dir *h, uint64_t index,
                                 struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (h->reader == NULL || index < h->next) {
        tree_reader_free(h->reader);
        h->entry = NULL;
        h->next = 0;
        h->reader = tree_reader_new(dump->nodes.fetcher, &h->stream);
        if (h->reader == NULL)
            return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    }
    while (rc == HF_OK && (h->entry == NULL || h->next < index)) {
        if (h->entry != NULL) h->next++;
        rc = tree_reader_next(h->reader, &h->entry, err);
        if (rc == HF_OK && h->entry == NULL) return HF_OK;
    }
    if (rc != HF_OK) {
        tree_reader_free(h->reader);
        h->reader = NULL;
        h->entry = NULL;
    }
    return rc;
}

/* ---- replies ---- */

/* Adds one item; false: it does not fit, and nothing was done. */
static bool add(fuse_req_t req, struct listing *list, const char *name,
                const struct fuse_entry_param *e, uint64_t index)
{
    size_t left = list->size - list->used;
    size_t n = list->plus ? fuse_add_direntry_plus(req, list->bytes + list->used, left,
                                                   name, e, (off_t)index + 1)
                          : fuse_add_direntry(req, list->bytes + list->used, left, name,
                                              &e->attr, (off_t)index + 1);

    if (n > left) return false;
    list->used += n;
    return true;
}

static bool add_dots(fuse_req_t req, struct listing *list, const struct inode *dir,
                     uint64_t index)
{
    const struct inode *which = index == 1 && dir->parent != NULL ? dir->parent : dir;
    struct fuse_entry_param e = {.ino = 0}; /* not a lookup */

    e.attr.st_ino = which->number;
    e.attr.st_mode = S_IFDIR;
    return add(req, list, index == 0 ? "." : "..", &e, index);
}

/* With attributes, as long as the table is not too full: what the kernel then does not
 * know it looks up when somebody asks. */
static bool add_spec(fuse_req_t req, struct listing *list, struct dump *dump,
                     struct inode *dir, const struct inode_spec *spec, uint64_t index)
{
    struct inodes *table = dump->nodes.inodes;
    struct fuse_entry_param e = {.ino = 0};
    struct inode *inode = NULL;
    char name[CALENDAR_NAME_SIZE];

    memcpy(name, spec->name.bytes, spec->name.size);
    name[spec->name.size] = '\0';
    if (list->plus && dir->depth < TREE_DEPTH_MAX &&
        inodes_count(table) < INODES_READ_AHEAD_MAX) {
        /* Only when there is room for it. */
        if (fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0) > list->size - list->used)
            return false;
        inode = inodes_enter(table, dir, spec);
        if (inode != NULL && !dump_fill_entry(dump, inode, &e)) {
            inodes_forget(table, inode->number, 1);
            inode = NULL;
        }
    }
    if (inode == NULL) {
        memset(&e, 0, sizeof e);
        e.attr.st_ino = inode_key_number(&spec->key);
        e.attr.st_mode = spec->attr.mode;
    } else {
        list->entered[list->entered_count++] = inode->number;
    }
    return add(req, list, name, &e, index);
}

/* Fills the reply from item `index` on. */
static enum hf_code fill(fuse_req_t req, struct listing *list, struct open_dir *h,
                         uint64_t index, struct hf_err *err)
{
    struct dump *dump = fuse_req_userdata(req);
    char target[CALENDAR_TARGET_SIZE];
    struct inode_spec spec;
    enum hf_code rc;

    for (;; index++) {
        if (index < DOTS) {
            if (!add_dots(req, list, h->inode, index)) return HF_OK;
            continue;
        }
        if (h->calendar != NULL) {
            if (!calendar_item(dump, h, index - DOTS, target, &spec)) return HF_OK;
        } else {
            rc = tree_item_at(dump, h, index - DOTS, err);
            if (rc != HF_OK || h->entry == NULL) return rc;
            nodes_spec_entry(h->inode, h->entry, &spec);
        }
        if (!add_spec(req, list, dump, h->inode, &spec, index)) return HF_OK;
    }
}

static void reply_list(fuse_req_t req, size_t size, off_t offset,
                       const struct fuse_file_info *fi, bool plus)
{
    struct dump *dump = fuse_req_userdata(req);
    struct open_dir *h = handle_of(fi);
    struct inode *dir = h->inode;
    struct listing list = {.bytes = malloc(size), .size = size, .plus = plus};
    struct hf_err err;
    enum hf_code rc;

    list.entered = malloc((size / DIRENT_SIZE_MIN + 1) * sizeof *list.entered);
    if (list.bytes == NULL || list.entered == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        goto out;
    }
    (void)pthread_mutex_lock(&h->mutex);
    rc = fill(req, &list, h, (uint64_t)offset, &err);
    (void)pthread_mutex_unlock(&h->mutex);
    /* What was read before the failure is shown; the next call meets it again. */
    if (rc != HF_OK && list.used == 0) {
        dump_reply_failure(req, dir, &err);
    } else if (fuse_reply_buf(req, list.bytes, list.used) != 0) {
        for (size_t i = 0; i < list.entered_count; i++)
            inodes_forget(dump->nodes.inodes, list.entered[i], 1);
    }
out:
    free(list.bytes);
    free(list.entered);
}

void dump_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    (void)ino;
    reply_list(req, size, offset, fi, false);
}

void dump_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
    (void)ino;
    reply_list(req, size, offset, fi, true);
}
