/* tree_build.h - trees made by hand in a memory store: what no backup would make. */
#ifndef HOLDFAST_TESTS_TREE_BUILD_H
#define HOLDFAST_TESTS_TREE_BUILD_H

#include "blockstore/block_store.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"
#include "snapshot/packer.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <stddef.h>
#include <stdint.h>

struct tree_build {
    struct hf_secret *secret;
    struct vault_keys keys;
    struct block_store *store;
    struct packer *packer;
    struct fetcher *fetcher;
};

void tree_build_init(struct tree_build *b);
void tree_build_done(struct tree_build *b);

/* An entry of mode 0644 (a directory: 0755), owned by whoever runs the test, of 2001; the
 * name is borrowed. */
struct tree_entry tree_build_entry(const char *name, enum tree_type type);

/* An item whose content is n bytes in a stream, in chunks of at most 100,000 bytes. */
struct tree_item tree_build_file(struct tree_build *b, const char *name,
                                 const uint8_t *bytes, size_t n);
/* The same file under another name. */
struct tree_item tree_build_again(const struct tree_item *item, const char *name);
/* As tree_build_file, of one chunk, which may share its frame with those that follow, until
 * tree_build_stored. */
struct tree_item tree_build_queue(struct tree_build *b, const char *name,
                                  const uint8_t *bytes, size_t n);
void tree_build_stored(struct tree_build *b, struct tree_item *items, size_t count);
/* One whose content (n <= TREE_INLINE_MAX, borrowed) is in the entry. */
struct tree_item tree_build_small(const char *name, const char *text);
struct tree_item tree_build_link(const char *name, const char *target);
/* The stream of a directory of items[0..count), sorted by name. */
struct stream_packed tree_build_write(struct packer *packer, struct tree_item *items,
                                      size_t count);
/* A directory of items[0..count), sorted by name, which it releases. */
struct tree_item tree_build_dir(struct tree_build *b, const char *name,
                                struct tree_item *items, size_t count);
/* The root of a snapshot that holds just these, which it releases; all is stored. */
struct stream_root tree_build_root(struct tree_build *b, struct tree_item *items,
                                   size_t count);

#endif
