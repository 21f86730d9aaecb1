/* old_chunks.h - where the parent snapshot cut a file that is read again.
 *
 * Most of a large file that changes (a disk image, a database, a mailbox) stays as it was,
 * where it was.  A chunk's end depends on its own bytes alone, so where an old chunk begins
 * at the place that is to be cut, and the bytes there are the same, it ends where it ended:
 * nothing need be scanned for that.  Only where cuts were is told here. */
#ifndef HOLDFAST_SNAPSHOT_OLD_CHUNKS_H
#define HOLDFAST_SNAPSHOT_OLD_CHUNKS_H

#include "snapshot/fetch.h"
#include "snapshot/reference.h"
#include "snapshot/stream.h"

#include <stdbool.h>
#include <stdint.h>

/* One thread. */
struct old_chunks {
    struct stream_cursor *cursor; /* NULL: no more is known */
    uint64_t size;                /* of the old file */
    struct chunk_ref next;        /* the old chunk at `offset`; its size 0: none read yet */
    uint64_t offset;
};

/* `old` is the file's content in the parent snapshot; fetcher is borrowed.  Of files below
 * 16 MiB nothing is known: reading about a few chunks would cost more than it spares. */
void old_chunks_init(struct old_chunks *chunks, struct fetcher *fetcher,
                     const struct stream_root *old);
/* A zeroed struct is allowed. */
void old_chunks_done(struct old_chunks *chunks);

/* The old chunk that begins at `offset` (from call to call never smaller), or NULL; *last:
 * the old file ended with it, so its end was not its own choice.  A parent snapshot that
 * cannot be read knows nothing. */
const struct chunk_ref *old_chunks_at(struct old_chunks *chunks, uint64_t offset,
                                      bool *last);

#endif
