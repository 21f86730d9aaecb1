/* tree.h - a directory: a stream of entries sorted by name.
 *
 * Each chunk holds whole entries behind a small header, and is cut after an entry whose
 * name says so: one new file in a huge directory rewrites one chunk. */
#ifndef HOLDFAST_SNAPSHOT_TREE_H
#define HOLDFAST_SNAPSHOT_TREE_H

#include "base/err.h"
#include "snapshot/fetch.h"
#include "snapshot/packer.h"
#include "snapshot/reference.h"
#include "snapshot/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tree_type {
    TREE_FILE = 1,
    TREE_DIR = 2,
    TREE_SYMLINK = 3,
    TREE_FIFO = 4,
    TREE_SOCKET = 5,
    TREE_CHAR = 6,
    TREE_BLOCK = 7
};

/* Bytes somewhere else. */
struct span {
    const uint8_t *bytes; /* NULL: absent */
    size_t size;
};

/* One entry.  Where it borrows from is said by whoever hands it out. */
struct tree_entry {
    struct span name; /* raw bytes, no '/', no NUL, not "." or ".." */
    enum tree_type type;
    uint32_t mode; /* 07777 */
    uint32_t uid, gid;
    struct span user, group; /* names; empty when unknown */
    int64_t mtime_ns, ctime_ns;
    bool has_btime;
    int64_t btime_ns;
    uint64_t size; /* of a file */
    uint64_t inode;
    struct span content; /* a very small file's bytes; then there is no stream */
    bool has_stream;     /* file or directory */
    struct stream_root stream;
    struct span target; /* of a symbolic link */
    uint32_t device_major, device_minor;
    uint64_t link_group; /* entries of one number are one inode; 0: none */
    struct span xattrs;  /* encoded (xattrs.h) */
    uint64_t flags;      /* inode flags (FS_IOC_GETFLAGS), recorded only; 0: none */
    struct span holes;   /* of a file, encoded (holes.h) */
    bool changed;        /* while it was read */
    struct span set;
    struct span extra; /* pairs with negative keys, kept as they are */
    size_t extra_count;
};

/* ---- writing ---- */

/* An entry with the stream that the packer knows. */
struct tree_item {
    struct tree_entry entry; /* has_stream and stream are not looked at */
    bool has_stream;
    bool waiting; /* its stream is still to come */
    struct stream_packed stream;
    uint8_t *owned; /* what `entry` borrows, when whoever keeps the items copied it */
};

/* How many of items[0..count), sorted by name, make the next chunk; 0: it goes on beyond
 * them (and with `last`, when nothing comes after them, 0 only for none). */
size_t tree_group(const struct tree_item *items, size_t count, bool last);

/* True when every stream among the items is there and can be referred to. */
bool tree_items_ready(struct packer *packer, struct tree_item *items, size_t count);

/* Writes a group of items, all ready, as the next chunk of the directory's stream. */
HF_MUST_CHECK enum hf_code tree_write_group(struct packer *packer, struct tree_item *items,
                                            size_t count, struct stream_writer *stream,
                                            struct hf_err *err);

/* ---- reading; one thread at a time ---- */

struct tree_reader; /* opaque */

/* Reads the directory whose stream is `root`.  NULL: out of memory. */
struct tree_reader *tree_reader_new(struct fetcher *fetcher,
                                    const struct stream_root *root);
void tree_reader_free(struct tree_reader *reader);

/* The next entry, in order of names (checked), or *entry = NULL at the end.  It and what it
 * borrows stay valid until the next call.  HF_CORRUPT: it does not parse, a name is not a
 * file name, or names are not in order. */
HF_MUST_CHECK enum hf_code tree_reader_next(struct tree_reader *reader,
                                            const struct tree_entry **entry,
                                            struct hf_err *err);

/* Finds one entry by name; HF_NOT_FOUND.  The entry borrows from the reader, which is new.
 */
HF_MUST_CHECK enum hf_code tree_find(struct tree_reader *reader, const void *name,
                                     size_t size, const struct tree_entry **entry,
                                     struct hf_err *err);

/* Order of names: bytes, as memcmp, the shorter first. */
int tree_name_compare(struct span a, struct span b);

#endif
