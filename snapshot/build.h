/* build.h - directories under construction.
 *
 * A directory is written when all that its entries refer to has a place: the data of its
 * files, and the directories below it; a very large one bit by bit.  Until then it waits
 * here.  Of a directory that is just as in the parent snapshot nothing is written or even
 * kept: its old stream is taken over; its entries so far are read again from there when the
 * first difference shows.  One thread, the packer's owner. */
#ifndef HOLDFAST_SNAPSHOT_BUILD_H
#define HOLDFAST_SNAPSHOT_BUILD_H

#include "base/err.h"
#include "snapshot/packer.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <stdbool.h>
#include <stddef.h>

struct build;     /* opaque: one tree */
struct build_dir; /* opaque: one directory, until it is written */

/* Both are borrowed; `fetcher` reads the parent snapshot.  NULL: out of memory. */
struct build *build_new(struct packer *packer, struct fetcher *fetcher);
/* Drops what is not written.  NULL is allowed. */
void build_free(struct build *build);

/* Begins the directory that is entry `item` of `parent` (NULL: the root).  `old`, copied,
 * is its stream in the parent snapshot; NULL: it has none.  NULL: out of memory. */
struct build_dir *build_dir_open(struct build *build, struct build_dir *parent, size_t item,
                                 const struct stream_root *old);

/* Appends an entry, in order of names; copies all it borrows.  `same`
 * says that the parent snapshot has it just so (of a directory: what is seen from outside).
 * A file without content in the entry is then to be given its stream.  *item is its number.
 */
HF_MUST_CHECK enum hf_code build_dir_add(struct build_dir *dir,
                                         const struct tree_entry *entry, bool same,
                                         size_t *item, struct hf_err *err);
/* The directory differs from the parent snapshot: an entry is no longer there. */
void build_dir_changed(struct build_dir *dir);

/* Gives a file's entry its stream; takes over *stream.  A failure shows in a later call. */
void build_dir_set_stream(struct build_dir *dir, size_t item, struct stream_packed *stream);
/* The same with a stream whose nodes are still to be written; takes over *writer. */
HF_MUST_CHECK enum hf_code build_dir_set_writer(struct build_dir *dir, size_t item,
                                                struct stream_writer *writer,
                                                struct hf_err *err);

/* No more entries: the directory is written as soon as it can be, and dir is no longer the
 * caller's. */
HF_MUST_CHECK enum hf_code build_dir_close(struct build *build, struct build_dir *dir,
                                           struct hf_err *err);

/* Writes what can be written now.  When very much waits, the open data block is closed. */
HF_MUST_CHECK enum hf_code build_settle(struct build *build, struct hf_err *err);

/* After packer_finish_data: writes all; *root is the caller's. */
HF_MUST_CHECK enum hf_code build_finish(struct build *build, struct stream_packed *root,
                                        struct hf_err *err);

#endif
