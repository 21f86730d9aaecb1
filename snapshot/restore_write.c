#include "snapshot/restore_write.h"

#include "base/tree_hash.h"
#include "snapshot/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void restore_buffer_done(struct restore_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

/* Reads just n bytes. */
static bool read_back(struct restore_buffer *buffer, int fd, size_t n, uint64_t offset)
{
    size_t got = 0;

    if (buffer->bytes == NULL) buffer->bytes = malloc(CHUNK_SIZE_MAX);
    if (buffer->bytes == NULL || n > CHUNK_SIZE_MAX) return false;
    while (got < n) {
        ssize_t r = pread(fd, buffer->bytes + got, n - got, (off_t)(offset + got));

        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) return false;
        got += (size_t)r;
    }
    return true;
}

bool restore_chunk_there(struct restore_buffer *buffer, int fd,
                         const struct restore_chunk *chunk)
{
    struct hf_id id;

    if (!read_back(buffer, fd, chunk->ref.size, chunk->offset)) return false;
    hf_tree_hash(buffer->bytes, chunk->ref.size, &id);
    return hf_id_equal(&id, &chunk->ref.id);
}

bool restore_bytes_there(struct restore_buffer *buffer, int fd, const uint8_t *bytes,
                         size_t size)
{
    return size == 0 ||
           (read_back(buffer, fd, size, 0) && memcmp(buffer->bytes, bytes, size) == 0);
}

/* ---- holes ---- */

/* The first hole that ends behind `offset`, or holes->count. */
static size_t find_hole(const struct hole_map *holes, uint64_t offset)
{
    size_t low = 0;
    size_t high = holes->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (holes->holes[middle].offset + holes->holes[middle].size <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool restore_chunk_in_hole(struct restore_buffer *buffer, const struct hole_map *holes,
                           const struct restore_chunk *chunk)
{
    const size_t n = chunk->ref.size;
    size_t at = find_hole(holes, chunk->offset);

    if (at == holes->count || holes->holes[at].offset > chunk->offset ||
        holes->holes[at].offset + holes->holes[at].size < chunk->offset + n)
        return false;
    if (buffer->zeros_size != n) {
        static const uint8_t zeros[CHUNK_SIZE_MAX]; /* pages that nothing occupies */

        hf_tree_hash(zeros, n, &buffer->zeros);
        buffer->zeros_size = n;
    }
    return hf_id_equal(&buffer->zeros, &chunk->ref.id);
}

bool restore_hole_there(int fd, const struct restore_chunk *chunk)
{
    const off_t end = (off_t)(chunk->offset + chunk->ref.size);
    struct stat st;
    off_t data = lseek(fd, (off_t)chunk->offset, SEEK_DATA); /* all else uses pread */

    if (data >= end) return true;
    return data < 0 && errno == ENXIO && fstat(fd, &st) == 0 && st.st_size >= end;
}

static bool all_zeros(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

bool restore_holes_true(const struct hole_map *holes, const uint8_t *bytes, size_t n,
                        uint64_t offset)
{
    for (size_t i = find_hole(holes, offset); i < holes->count; i++) {
        const struct hole *hole = &holes->holes[i];
        uint64_t from = hole->offset > offset ? hole->offset : offset;
        uint64_t to = hole->offset + hole->size;

        if (from >= offset + n) break;
        if (to > offset + n) to = offset + n;
        if (!all_zeros(bytes + (from - offset), (size_t)(to - from))) return false;
    }
    return true;
}

/* ---- writing ---- */

static enum hf_code write_at(int fd, const uint8_t *p, size_t n, uint64_t offset,
                             struct hf_err *err)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, p, n, (off_t)offset);

        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return hf_fail_errno(err, errno, "write");
        p += w;
        n -= (size_t)w;
        offset += (uint64_t)w;
    }
    return HF_OK;
}

#define PAGE 4096u

/* Bytes from `offset` on to the next page. */
static size_t to_page(uint64_t offset, size_t n)
{
    size_t to = PAGE - (size_t)(offset % PAGE);

    return to < n ? to : n;
}

static bool is_zero_page(const uint8_t *p, size_t n, uint64_t offset)
{
    return offset % PAGE == 0 && n >= PAGE && all_zeros(p, PAGE);
}

enum hf_code restore_output_punch(const struct restore_output *output, uint64_t offset,
                                  uint64_t size, struct hf_err *err)
{
    static const uint8_t zeros[16384];
    enum hf_code rc = HF_OK;

    if (output->fresh || size == 0) return HF_OK;
    if (fallocate(output->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)size) == 0)
        return HF_OK;
    for (uint64_t i = 0; rc == HF_OK && i < size; i += sizeof zeros) {
        size_t n = size - i < sizeof zeros ? (size_t)(size - i) : sizeof zeros;

        rc = write_at(output->fd, zeros, n, offset + i, err);
    }
    return rc;
}

/* Of a map as full as it may be the smaller holes are missing: pages of zeros stand for
 * them. */
static enum hf_code write_around_zeros(const struct restore_output *output,
                                       const uint8_t *p, size_t n, uint64_t offset,
                                       struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && n > 0) {
        size_t data = 0;
        size_t end;

        while (data < n && !is_zero_page(p + data, n - data, offset + data))
            data += to_page(offset + data, n - data);
        for (end = data; is_zero_page(p + end, n - end, offset + end);)
            end += PAGE;
        rc = write_at(output->fd, p, data, offset, err);
        if (rc == HF_OK) rc = restore_output_punch(output, offset + data, end - data, err);
        p += end;
        offset += end;
        n -= end;
    }
    return rc;
}

enum hf_code restore_output_write(const struct restore_output *output, const uint8_t *bytes,
                                  size_t n, uint64_t offset, struct hf_err *err)
{
    size_t at = find_hole(output->holes, offset);
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && n > 0) {
        const struct hole *hole =
            at < output->holes->count ? &output->holes->holes[at] : NULL;
        bool inside = hole != NULL && hole->offset <= offset;
        uint64_t end = hole == NULL ? offset + n
                       : inside     ? hole->offset + hole->size
                                    : hole->offset;
        size_t piece = end - offset < n ? (size_t)(end - offset) : n;

        if (inside && all_zeros(bytes, piece))
            rc = restore_output_punch(output, offset, piece, err);
        else if (output->holes->count == HOLES_MAX)
            rc = write_around_zeros(output, bytes, piece, offset, err);
        else
            rc = write_at(output->fd, bytes, piece, offset, err);
        if (inside) at++;
        bytes += piece;
        offset += piece;
        n -= piece;
    }
    return rc;
}

void restore_output_punch_all(const struct restore_output *output)
{
    for (size_t i = 0; i < output->holes->count; i++) {
        const struct hole *hole = &output->holes->holes[i];

        if (hole->size > 0)
            (void)fallocate(output->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)hole->offset, (off_t)hole->size);
    }
}
