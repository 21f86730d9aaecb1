/* stream.h - a sequence of chunks under a hash tree of nodes: the Venti file.
 *
 * The content's chunks are role data (files), tree or catalog; the nodes above them
 * are always role tree.  Nodes are cut by content, so that an insertion changes few. */
#ifndef HOLDFAST_SNAPSHOT_STREAM_H
#define HOLDFAST_SNAPSHOT_STREAM_H

#include "base/err.h"
#include "snapshot/fetch.h"
#include "snapshot/packer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- writing; one thread, the packer's owner ---- */

struct stream_child {
    uint64_t size; /* bytes of content below it */
    struct packed packed;
};

struct stream_level {
    struct stream_child *children;
    size_t count, capacity;
    size_t ready; /* of the first so many it is known that nodes can refer to them */
};

struct stream_writer {
    struct packer *packer;
    struct stream_level levels[STREAM_DEPTH_MAX + 1];
    uint64_t size;
};

/* A stream that is complete: a root whose reference may still wait for its block. */
struct stream_packed {
    uint64_t size;
    uint32_t depth;
    struct packed chunk;
};

void stream_writer_init(struct stream_writer *writer, struct packer *packer);
void stream_writer_done(struct stream_writer *writer);

/* Appends a chunk of `size` bytes; takes over *packed. */
HF_MUST_CHECK enum hf_code stream_writer_add(struct stream_writer *writer, uint64_t size,
                                             struct packed *packed, struct hf_err *err);
/* When very many chunks wait for their block (of a huge hole, whose zeros are all one
 * chunk), has what is open stored.  Not while a file is being cut in the packer's room:
 * that would be taken away (packer_finish_data). */
HF_MUST_CHECK enum hf_code stream_writer_relieve(struct stream_writer *writer,
                                                 struct hf_err *err);
/* True when stream_writer_finish may be called: all that nodes must refer to is ready (a
 * stream of one chunk needs no node, and is ready at once). */
bool stream_writer_ready(struct stream_writer *writer);
/* Writes the nodes; *out is the caller's (stream_packed_done). */
HF_MUST_CHECK enum hf_code stream_writer_finish(struct stream_writer *writer,
                                                struct stream_packed *out,
                                                struct hf_err *err);
void stream_packed_done(struct stream_packed *stream);
/* A stream known from elsewhere. */
struct stream_packed stream_packed_known(const struct stream_root *root);

/* ---- reading; one thread at a time per cursor ---- */

struct stream_cursor; /* opaque */

/* `fetcher` is borrowed.  NULL: out of memory. */
struct stream_cursor *stream_cursor_new(struct fetcher *fetcher, enum frame_role role,
                                        const struct stream_root *root);
void stream_cursor_free(struct stream_cursor *cursor);

/* Has fn called with each node that the cursor opens from now on. */
typedef void stream_node_fn(void *arg, const struct chunk_ref *node);
void stream_cursor_watch(struct stream_cursor *cursor, stream_node_fn *fn, void *arg);

/* The next whole chunk: its bytes stay valid until the next call; *offset is where it
 * stands in the stream, *block (may be NULL) the block that it is in.  At the end *size
 * is 0.  HF_CORRUPT also when a node's sizes do not add up. */
HF_MUST_CHECK enum hf_code stream_cursor_next(struct stream_cursor *cursor,
                                              const uint8_t **bytes, size_t *size,
                                              uint64_t *offset, struct hf_id *block,
                                              struct hf_err *err);

/* As stream_cursor_next, but tells where the chunk is instead of reading it; at the end
 * ref->size is 0. */
HF_MUST_CHECK enum hf_code stream_cursor_next_ref(struct stream_cursor *cursor,
                                                  struct chunk_ref *ref, uint64_t *offset,
                                                  struct hf_err *err);

/* Up to n bytes at `offset` to buf; *got < n only at the end.  Cheap when the offset is in
 * the chunk read last or the one after. */
HF_MUST_CHECK enum hf_code stream_cursor_read(struct stream_cursor *cursor, uint64_t offset,
                                              void *buf, size_t n, size_t *got,
                                              struct hf_err *err);

#endif
