/* dir_cache.h - finding names in directories without reading each from its start.
 *
 * Keeps, for the directories asked last, a window of consecutive parsed entries and the
 * reader that stands behind it.  A directory of up to DIR_WINDOW_ENTRIES is read once; in a
 * larger one, names asked for in order are found in one pass.  At most DIR_CACHE_WINDOWS
 * windows are kept: about 32 MiB when all are full of small files. */
#ifndef HOLDFAST_FUSE_DIR_CACHE_H
#define HOLDFAST_FUSE_DIR_CACHE_H

#include "snapshot/fetch.h"
#include "snapshot/tree.h"

#include <stddef.h>

#define DIR_WINDOW_ENTRIES 2048u
#define DIR_CACHE_WINDOWS  16u

struct dir_cache; /* opaque */

/* `fetcher` is borrowed.  NULL: out of memory. */
struct dir_cache *dir_cache_new(struct fetcher *fetcher);
void dir_cache_free(struct dir_cache *cache);

/* Finds `name` (size bytes) in the directory whose stream is `dir`.  *entry is a copy, the
 * caller's to free() in one piece, or NULL: there is no such name.  Any failure is one of
 * reading, also HF_NOT_FOUND.  Any thread; those that ask for one directory take turns. */
HF_MUST_CHECK enum hf_code dir_cache_find(struct dir_cache *cache,
                                          const struct stream_root *dir, const void *name,
                                          size_t size, struct tree_entry **entry,
                                          struct hf_err *err);

#endif
