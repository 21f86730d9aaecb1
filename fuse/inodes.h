/* inodes.h - the inodes that the kernel knows of, until it forgets them.
 *
 * An inode's number is drawn from what it stands for: the first 63 bits of a SHA-256 over
 * host id, snapshot id and path, link by link (struct inode_key).  So it is the same in
 * every mount.  Two keys with one number (not before billions of files) are told apart by
 * taking the next free number, for the one that is looked up second.
 *
 * Memory.  An inode takes sizeof(struct inode) (about 300 bytes), its name, and its small
 * content or link target; it lives while the kernel counts lookups of it or of anything
 * below it.  The kernel's own inode and dentry of a file take about three times that, so
 * its memory pressure, which makes it forget, comes first.  Above INODES_READ_AHEAD_MAX
 * directory listings should stop entering what nobody asked for by name.
 *
 * Any thread.  An inode's fields never change once it is entered, but for those said. */
#ifndef HOLDFAST_FUSE_INODES_H
#define HOLDFAST_FUSE_INODES_H

#include "base/id.h"
#include "snapshot/reference.h"
#include "snapshot/tree.h"

#include <stddef.h>
#include <stdint.h>

#define INODES_READ_AHEAD_MAX (1u << 20)
#define INODE_ROOT            1u

enum inode_kind {
    INODE_TOP,
    INODE_HOST,
    INODE_YEAR,
    INODE_LATEST,
    INODE_DUMP,
    INODE_ENTRY
};

struct inode_key {
    uint8_t b[16];
};

/* The key of what `name` is in the directory `parent`; `kind` keeps the levels apart. */
struct inode_key inode_key_below(const struct inode_key *parent, enum inode_kind kind,
                                 const void *name, size_t size);
/* The number that the key asks for; never 0 or INODE_ROOT. */
uint64_t inode_key_number(const struct inode_key *key);

struct inode_attr {
    uint32_t mode; /* with the type, as st_mode */
    uint32_t uid, gid;
    uint32_t device_major, device_minor;
    int64_t mtime_ns, ctime_ns;
    uint64_t size;
};

/* What an inode is made from; all is copied. */
struct inode_spec {
    enum inode_kind kind;
    struct inode_key key;
    struct span name;
    struct span data; /* of ENTRY: a file's whole content, or a link's target; of LATEST:
                         the target; of YEAR: its name */
    struct inode_attr attr;
    struct hf_id host;         /* HOST, YEAR */
    struct chunk_ref snapshot; /* DUMP */
    struct stream_root stream; /* ENTRY: a file or directory without data */
};

struct inode {
    uint64_t number;
    struct inode_key key;
    enum inode_kind kind;
    uint32_t depth;       /* below the root */
    struct inode *parent; /* lives as long as this; NULL: the root */
    struct inode_attr attr;
    union {
        struct hf_id host;         /* HOST, YEAR */
        struct chunk_ref snapshot; /* DUMP */
        struct stream_root stream; /* ENTRY */
    };
    const struct stream_root *_Atomic opened; /* DUMP: its tree, once known; owned */
    size_t name_size, data_size;
    const uint8_t *name, *data; /* behind the struct */

    /* the table's, under its mutex */
    struct inode *next;
    uint64_t lookups, children;
};

struct inodes; /* opaque */

/* A table with the root, which is never forgotten.  NULL: out of memory. */
struct inodes *inodes_new(void);
void inodes_free(struct inodes *table);

/* The inode of that number, NULL when the kernel made it up.  It stays valid while the
 * kernel's request that names it is served. */
struct inode *inodes_get(struct inodes *table, uint64_t number);

/* Finds or adds the inode of spec->key below `parent`, and counts one lookup.  NULL: no
 * memory. */
struct inode *inodes_enter(struct inodes *table, struct inode *parent,
                           const struct inode_spec *spec);

/* The kernel gives n lookups back; the last frees the inode.  Unknown numbers and counts
 * too high are let pass. */
void inodes_forget(struct inodes *table, uint64_t number, uint64_t n);

/* How many there are now, with the root. */
size_t inodes_count(struct inodes *table);

/* The path below the mount point to buf, cut in front ("...") when it is too long. */
const char *inode_path(const struct inode *inode, char *buf, size_t size);

#endif
