#include "snapshot/file_read.h"

#include "snapshot/old_chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Smaller holes are read like data: what they would spare is less than the chunks that a
 * cut at each of their ends would cost. */
#define SKIPPED_HOLE_MIN CHUNK_SIZE_MEAN

/* Files of this size are read from front to back with the system reading ahead. */
#define READ_AHEAD_MIN (1u << 20)

/* From here on another thread reads while this one cuts. */
#define LARGE_MIN (16u << 20)

void file_reader_init(struct file_reader *reader, struct packer *packer,
                      const uint8_t chunker_key[static 32])
{
    memset(reader, 0, sizeof *reader);
    reader->packer = packer;
    chunker_init(&reader->chunker, chunker_key);
}

void file_reader_done(struct file_reader *reader)
{
    hf_pool_free(reader->ahead);
    hole_map_done(&reader->holes);
    memset(reader, 0, sizeof *reader);
}

struct reading {
    struct file_reader *reader;
    struct stream_writer *stream;
    struct tree_entry *entry;
    int fd;
    uint64_t expected; /* the file's size as it was seen; 0: unknown */
    uint64_t taken;    /* bytes read, and skipped in holes */
    struct old_chunks old;
    bool *fatal;
};

static enum hf_code fatal(struct reading *r, enum hf_code rc)
{
    *r->fatal = true;
    return rc;
}

/* Fills [p + *have, p + room) as far as the file goes; *end when it goes no further. */
static enum hf_code fill(const struct reading *r, uint8_t *p, size_t room, size_t *have,
                         bool *end, struct hf_err *err)
{
    size_t before = *have;

    while (!*end && *have < room) {
        ssize_t n = read(r->fd, p + *have, room - *have);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hf_fail_errno(err, errno, "read");
        *have += (size_t)n;
        /* All that was there, and less than was asked for: no need to ask again. */
        if (n == 0 || (r->taken + *have - before == r->expected && *have < room))
            *end = true;
    }
    return HF_OK;
}

static void count(struct reading *r, size_t n)
{
    r->taken += n;
    r->reader->bytes_read += n;
}

static bool cancelled(const struct reading *r)
{
    return r->reader->cancelled != NULL && r->reader->cancelled(r->reader->arg);
}

/* Cuts off what was a chunk here in the parent snapshot, if the bytes are still the same.
 */
static bool cut_as_before(struct reading *r, size_t have, bool end, struct packed *packed)
{
    bool last;
    const struct chunk_ref *old = old_chunks_at(&r->old, r->taken - have, &last);

    if (old == NULL || old->size > have) return false;
    if (last && !(end && old->size == have)) return false; /* now it may go on */
    return packer_cut_again(r->reader->packer, old, packed);
}

/* Cuts the *have bytes at p: all of them at the end, else while it is sure where. */
static enum hf_code cut(struct reading *r, const uint8_t *p, size_t *have, bool end,
                        struct hf_err *err)
{
    while (*have > 0 && (end || *have >= CHUNK_SIZE_MAX)) {
        struct packed packed;
        size_t n;
        enum hf_code rc = HF_OK;

        if (cut_as_before(r, *have, end, &packed)) {
            n = packed.ref.size;
        } else {
            n = chunker_cut(&r->reader->chunker, p, *have);
            rc = packer_cut(r->reader->packer, n, r->reader->old != NULL, &packed, err);
        }
        if (rc == HF_OK) rc = stream_writer_add(r->stream, n, &packed, err);
        if (rc != HF_OK) return fatal(r, rc);
        p += n;
        *have -= n;
    }
    return HF_OK;
}

/* Chunks the next `limit` bytes, or all that there are: then *ended.  A file that fits into
 * its entry goes there. */
static enum hf_code read_data(struct reading *r, uint64_t limit, bool *ended,
                              struct hf_err *err)
{
    uint64_t left = limit;
    size_t have = 0;
    bool end = false;

    for (;;) {
        size_t room;
        size_t before = have;
        uint8_t *p = packer_room(r->reader->packer, have, &room, err);
        enum hf_code rc;

        if (p == NULL) return fatal(r, err->code);
        if (room - have > left) room = have + (size_t)left;
        rc = fill(r, p, room, &have, &end, err);
        if (rc != HF_OK) return rc;
        left -= have - before;
        count(r, have - before);
        *ended = end;
        if (end && r->taken == have && have <= TREE_INLINE_MAX) {
            memcpy(r->reader->small, p, have);
            r->entry->content = (struct span){r->reader->small, have};
            return HF_OK;
        }
        end = end || left == 0;
        rc = cut(r, p, &have, end, err);
        if (rc != HF_OK || end) return rc;
        if (cancelled(r)) return fatal(r, hf_fail(err, HF_CANCELLED, "interrupted"));
    }
}

/* ---- large files: one thread reads, the other cuts ---- */

struct ahead {
    const struct reading *r;
    uint8_t *bytes;
    size_t room, got;
    bool end;
    enum hf_code rc;
    struct hf_err err;
};

static void read_ahead(void *arg)
{
    struct ahead *a = arg;

    a->rc = fill(a->r, a->bytes, a->room, &a->got, &a->end, &a->err);
}

static enum hf_code begin_ahead(struct reading *r, struct ahead *a, uint64_t left,
                                struct hf_err *err)
{
    *a = (struct ahead){.r = r};
    a->bytes = packer_ahead(r->reader->packer, &a->room, err);
    if (a->bytes == NULL) return fatal(r, err->code);
    if (a->room > left) a->room = (size_t)left;
    hf_pool_submit(r->reader->ahead, read_ahead, a);
    return HF_OK;
}

/* As read_data, of much. */
static enum hf_code read_large(struct reading *r, uint64_t limit, bool *ended,
                               struct hf_err *err)
{
    struct packer *packer = r->reader->packer;
    struct ahead a = {0};
    uint64_t left = limit;
    size_t have = 0;
    enum hf_code rc = begin_ahead(r, &a, left, err);

    while (rc == HF_OK) {
        uint8_t *p;
        bool last;

        hf_pool_wait(r->reader->ahead);
        if (a.rc != HF_OK) {
            *err = a.err;
            rc = a.rc;
            break;
        }
        p = packer_join(packer, have);
        have += a.got;
        left -= a.got;
        count(r, a.got);
        *ended = a.end;
        last = a.end || left == 0;
        if (!last) rc = begin_ahead(r, &a, left, err);
        if (rc == HF_OK) rc = cut(r, p, &have, last, err);
        if (rc != HF_OK || last) break;
        if (cancelled(r)) rc = fatal(r, hf_fail(err, HF_CANCELLED, "interrupted"));
    }
    if (r->reader->ahead != NULL) hf_pool_wait(r->reader->ahead);
    packer_drop_ahead(packer);
    return rc;
}

/* The next `limit` bytes, or all that there are. */
static enum hf_code read_part(struct reading *r, uint64_t limit, bool *ended,
                              struct hf_err *err)
{
    uint64_t expected = r->expected > r->taken ? r->expected - r->taken : 0;

    if (limit < expected) expected = limit;
    if (expected >= LARGE_MIN && r->reader->ahead == NULL)
        r->reader->ahead = hf_pool_new(1, 1);
    return expected >= LARGE_MIN && r->reader->ahead != NULL
               ? read_large(r, limit, ended, err)
               : read_data(r, limit, ended, err);
}

static enum hf_code add_zeros(struct reading *r, uint64_t size, struct hf_err *err)
{
    static const uint8_t zeros[CHUNK_SIZE_MAX];
    struct packed whole = {0}; /* a chunk of zeros, which stands for many */
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && size > 0) {
        size_t n = size < CHUNK_SIZE_MAX ? (size_t)size : CHUNK_SIZE_MAX;
        struct packed packed;

        if (n < CHUNK_SIZE_MAX) {
            rc = packer_add(r->reader->packer, zeros, n, &packed, err);
        } else {
            if (whole.ref.size == 0)
                rc = packer_add(r->reader->packer, zeros, n, &whole, err);
            if (rc == HF_OK) packed = packed_copy(&whole);
        }
        if (rc == HF_OK) rc = stream_writer_add(r->stream, n, &packed, err);
        if (rc == HF_OK) rc = stream_writer_relieve(r->stream, err);
        size -= n;
        if (rc == HF_OK && cancelled(r)) rc = hf_fail(err, HF_CANCELLED, "interrupted");
    }
    packed_done(&whole);
    return rc == HF_OK ? HF_OK : fatal(r, rc);
}

/* Data between large holes, and zeros for these. */
static enum hf_code read_sparse(struct reading *r, struct hf_err *err)
{
    const struct hole_map *map = &r->reader->holes;
    bool ended = false;
    enum hf_code rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && !ended && i < map->count; i++) {
        const struct hole *hole = &map->holes[i];

        if (hole->size < SKIPPED_HOLE_MIN) continue;
        if (hole->offset > r->taken)
            rc = read_part(r, hole->offset - r->taken, &ended, err);
        if (rc != HF_OK || ended) break; /* it has shrunk: seen by its size */
        rc = add_zeros(r, hole->size, err);
        r->taken += hole->size;
        if (rc == HF_OK && lseek(r->fd, (off_t)r->taken, SEEK_SET) < 0)
            rc = hf_fail_errno(err, errno, "seek");
    }
    if (rc == HF_OK && !ended) rc = read_part(r, UINT64_MAX, &ended, err);
    return rc;
}

enum hf_code file_reader_read(struct file_reader *reader, int fd, struct tree_entry *entry,
                              struct stream_writer *stream, bool *is_fatal,
                              struct hf_err *err)
{
    struct reading r = {.reader = reader,
                        .stream = stream,
                        .entry = entry,
                        .fd = fd,
                        .expected = entry->size,
                        .fatal = is_fatal};
    enum hf_code rc = HF_OK;

    *is_fatal = false;
    entry->content = entry->holes = (struct span){0};
    reader->holes.count = 0;
    if (entry->size > 0) { /* how many blocks it has does not tell: attributes count too */
        rc = hole_map_find(&reader->holes, fd, entry->size, err);
        if (rc == HF_OK) rc = hole_map_encode(&reader->holes, &entry->holes, err);
    }
    if (entry->size >= READ_AHEAD_MIN) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (reader->old != NULL) old_chunks_init(&r.old, reader->fetcher, reader->old);
    if (rc == HF_OK) rc = read_sparse(&r, err);
    old_chunks_done(&r.old);
    entry->size = r.taken;
    return rc;
}
