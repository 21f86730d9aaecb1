/* restore_write.h - the bytes of one file: what is there already, and what is written.
 *
 * The content alone says what a file's bytes are.  Its hole map only says which zeros need
 * not be written: a map that lies costs nothing but room. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_WRITE_H
#define HOLDFAST_SNAPSHOT_RESTORE_WRITE_H

#include "base/err.h"
#include "base/id.h"
#include "snapshot/holes.h"
#include "snapshot/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A chunk and its place in the file. */
struct restore_chunk {
    struct chunk_ref ref;
    uint64_t offset;
};

/* One thread's.  Zeroed, it is empty. */
struct restore_buffer {
    uint8_t *bytes;     /* CHUNK_SIZE_MAX */
    struct hf_id zeros; /* the id of a chunk of zeros_size zeros */
    size_t zeros_size;
};
void restore_buffer_done(struct restore_buffer *buffer);

/* True when the open file has just these bytes there; also false when it cannot be read. */
bool restore_chunk_there(struct restore_buffer *buffer, int fd,
                         const struct restore_chunk *chunk);
bool restore_bytes_there(struct restore_buffer *buffer, int fd, const uint8_t *bytes,
                         size_t size); /* at its beginning; size <= CHUNK_SIZE_MAX */

/* True when the open file has only a hole where the chunk belongs, and goes on behind it or
 * ends there. */
bool restore_hole_there(int fd, const struct restore_chunk *chunk);
/* True when the chunk is nothing but zeros (its id says so) and lies in one hole. */
bool restore_chunk_in_hole(struct restore_buffer *buffer, const struct hole_map *holes,
                           const struct restore_chunk *chunk);

/* True when the n bytes that stand at `offset` are zeros where they are in holes. */
bool restore_holes_true(const struct hole_map *holes, const uint8_t *bytes, size_t n,
                        uint64_t offset);

struct restore_output {
    int fd;
    const struct hole_map *holes;
    bool fresh; /* nothing was ever written to it: holes need not be punched */
};
/* Writes n bytes at `offset`, zeros in holes excepted; where the map may lack holes, all
 * whole pages of zeros excepted.  HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code restore_output_write(const struct restore_output *output,
                                                const uint8_t *bytes, size_t n,
                                                uint64_t offset, struct hf_err *err);
/* Makes a hole of what lies in one, or writes zeros where that cannot be. */
HF_MUST_CHECK enum hf_code restore_output_punch(const struct restore_output *output,
                                                uint64_t offset, uint64_t size,
                                                struct hf_err *err);
/* Makes the holes of a file that holds zeros there: what was punched piece by piece still
 * has the blocks in which pieces meet. */
void restore_output_punch_all(const struct restore_output *output);

#endif
