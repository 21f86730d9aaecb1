/* lookup.h - the entry at a path of a snapshot. */
#ifndef HOLDFAST_SNAPSHOT_LOOKUP_H
#define HOLDFAST_SNAPSHOT_LOOKUP_H

#include "base/err.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/tree.h"

struct lookup {
    struct stream_root dir;     /* of the directory, when entry is NULL or a directory */
    struct tree_reader *reader; /* what entry borrows from; or NULL */
    const struct tree_entry *entry; /* NULL: the root of the snapshot */
};

/* Finds `path` ("", "/" or "/usr/include"; doubled slashes are taken as one) below `root`.
 * HF_NOT_FOUND names the path.  *lookup is released by lookup_done. */
HF_MUST_CHECK enum hf_code lookup_path(struct fetcher *fetcher,
                                       const struct stream_root *root, const char *path,
                                       struct lookup *lookup, struct hf_err *err);
void lookup_done(struct lookup *lookup);

#endif
