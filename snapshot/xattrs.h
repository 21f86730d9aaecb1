/* xattrs.h - a file's extended attributes: POSIX ACLs, capabilities, labels, the user's
 * own.
 *
 * As raw bytes, in a tree entry as an array of [name, value] sorted by name
 * (docs/formats.md, Tree).  All functions: any thread. */
#ifndef HOLDFAST_SNAPSHOT_XATTRS_H
#define HOLDFAST_SNAPSHOT_XATTRS_H

#include "base/cbor.h"
#include "base/err.h"
#include "snapshot/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XATTR_NAME_BYTES_MAX  255u   /* the kernel's */
#define XATTR_VALUE_BYTES_MAX 65536u /* the kernel's */
#define XATTR_COUNT_MAX       4096u

/* What they are read with; one thread at a time.  Zeroed, it is empty. */
struct xattr_buffer {
    uint8_t *bytes; /* XATTRS_ENCODED_MAX, for the result, a list of names and a value */
};
void xattr_buffer_done(struct xattr_buffer *buffer);

/* A file that is open as `fd`, or where that is -1 dir_fd/name: a link itself, not what it
 * points to.  Asking by name costs five times as much. */
struct xattr_file {
    int fd, dir_fd;
    const char *name;
};

/* Sets *xattrs to the encoded attributes of the file, or to nothing when there are none or
 * the file system has no such thing.  Borrowed from the buffer until the next call.
 * HF_TOO_LARGE: more than XATTRS_ENCODED_MAX. HF_NOT_FOUND: the file has vanished. */
HF_MUST_CHECK enum hf_code xattrs_read(struct xattr_buffer *buffer, struct xattr_file file,
                                       struct span *xattrs, struct hf_err *err);

/* Goes through encoded attributes. */
struct xattr_walk {
    struct hf_reader r;
    uint32_t left;
};
struct xattr_walk xattr_walk_init(struct span xattrs);
/* False at the end, and when what follows does not parse: xattr_walk_ok then says no. */
bool xattr_walk_next(struct xattr_walk *walk, char name[static XATTR_NAME_BYTES_MAX + 1],
                     struct span *value);
bool xattr_walk_ok(const struct xattr_walk *walk);

/* Gives the file exactly these attributes: others that it has are removed
 * where that is allowed.  Those of namespaces that only root may set are left out for
 * others.  Goes on after a failure; the first one is returned, naming the attribute. */
HF_MUST_CHECK enum hf_code xattrs_restore(struct xattr_file file, struct span xattrs,
                                          struct hf_err *err);

#endif
