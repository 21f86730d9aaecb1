/* holes.h - where a sparse file has no data.
 *
 * The stream of a sparse file holds its zeros like any others (they are one chunk, over and
 * over), so every reader sees the whole content; the map only says which of them were
 * never written, so that restoring leaves them unwritten too.  In a tree entry: an array
 * of uints [data, hole, data, hole, ...], the sizes from the file's beginning on
 * (docs/formats.md, Tree). */
#ifndef HOLDFAST_SNAPSHOT_HOLES_H
#define HOLDFAST_SNAPSHOT_HOLES_H

#include "base/cbor.h"
#include "base/err.h"
#include "snapshot/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of more, the smaller ones are forgotten; a map of so many says that there were more, and
 * pages of zeros stand for them (restore_write.h). */
#define HOLES_MAX 4096u

struct hole {
    uint64_t offset, size;
};

/* The holes of one file; reused for the next.  Zeroed, it is empty. */
struct hole_map {
    struct hole *holes; /* ascending, not touching */
    size_t count, capacity;
    uint8_t *encoded;
};
void hole_map_done(struct hole_map *map);

/* Finds the holes of an open file of `size` bytes.  A file system that cannot tell, and a
 * file that changes meanwhile, have none.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code hole_map_find(struct hole_map *map, int fd, uint64_t size,
                                         struct hf_err *err);

/* The map for an entry, borrowed until the map changes; nothing when there are no holes.
 * Of more than HOLES_MAX holes the smaller ones leave the map.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code hole_map_encode(struct hole_map *map, struct span *encoded,
                                           struct hf_err *err);

/* Reads the map of an entry for a file of `size` bytes.  HF_CORRUPT: it does not parse or
 * goes beyond the file's end.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code hole_map_decode(struct hole_map *map, struct span encoded,
                                           uint64_t size, struct hf_err *err);

#endif
