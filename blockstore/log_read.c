#include "blockstore/log_read.h"

#include "base/tree_hash.h"
#include "blockstore/log_scan.h"
#include "blockstore/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

static enum hf_code open_segment(const struct log_place *place, int *fd, struct hf_err *err)
{
    char name[LOG_SEGMENT_NAME_SIZE];

    log_segment_name(place->row->segment, name);
    *fd = place->files->open(place->files, place->segments_fd, name, O_RDONLY, 0);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open segment %s", name);
}

/* Reads the frame and checks that it is the entry's; *entry borrows from frame. */
static enum hf_code read_frame(const struct log_place *place, int fd,
                               uint8_t frame[static LOG_FRAME_MAX], struct log_entry *entry,
                               struct hf_err *err)
{
    const struct log_row *row = place->row;
    size_t got;
    enum hf_code rc = hf_file_read(place->files, fd, frame, row->frame_size,
                                   (off_t)row->offset, &got, err);

    if (rc != HF_OK) return rc;
    if (!log_entry_parse(place->identity, frame, got, entry))
        return hf_fail(err, HF_CORRUPT, "its header is damaged");
    if (entry->key.b[0] == LOG_FILLER) return hf_fail(err, HF_NOT_FOUND, "it was removed");
    if (entry->sequence != row->sequence || entry->segment != row->segment ||
        entry->offset != row->offset || entry->payload_size != row->payload_size ||
        log_key_compare(&entry->key, place->key) != 0)
        return hf_fail(err, HF_CORRUPT, "another entry stands in its place");
    return HF_OK;
}

static enum hf_code read_exactly(const struct log_place *place, int fd, uint64_t offset,
                                 uint8_t *buf, size_t size, struct hf_err *err)
{
    uint64_t at = place->row->offset + place->row->frame_size + offset;
    size_t got;
    enum hf_code rc = hf_file_read(place->files, fd, buf, size, (off_t)at, &got, err);

    if (rc == HF_OK && got < size)
        return hf_fail(err, HF_CORRUPT, "the segment ends inside the entry");
    return rc;
}

/* Closes fd and says where a failure happened. */
static enum hf_code finish(const struct log_place *place, int fd, enum hf_code rc,
                           struct hf_err *err)
{
    (void)place->files->close(place->files, fd);
    if (rc == HF_OK) return HF_OK;
    return hf_prefix(err, "segment %" PRIx64 ", offset %" PRIu64, place->row->segment,
                     place->row->offset);
}

enum hf_code log_read_range(const struct log_place *place, struct log_range *range,
                            struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    struct log_entry entry;
    uint32_t size = place->row->payload_size;
    enum hf_code rc;
    int fd;

    if (range->size > size || range->offset > size - range->size)
        return hf_fail(err, HF_CORRUPT, "bytes %zu+%zu of an entry of %u", range->offset,
                       range->size, size);
    rc = open_segment(place, &fd, err);
    if (rc != HF_OK) return rc;
    rc = read_exactly(place, fd, range->offset, range->buf, range->size, err);
    if (rc == HF_OK) rc = read_frame(place, fd, frame, &entry, err);
    return finish(place, fd, rc, err);
}

enum hf_code log_read_whole(const struct log_place *place, struct log_range *range,
                            struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    struct hf_id root;
    struct log_entry entry;
    uint32_t size = place->row->payload_size;
    enum hf_code rc;
    int fd;

    if (size > range->size)
        return hf_fail(err, HF_TOO_LARGE, "an entry of %u bytes, at most %zu", size,
                       range->size);
    rc = open_segment(place, &fd, err);
    if (rc != HF_OK) return rc;
    rc = read_exactly(place, fd, 0, range->buf, size, err);
    if (rc == HF_OK) rc = read_frame(place, fd, frame, &entry, err);
    if (rc == HF_OK && size > 0) {
        hf_tree_hash(range->buf, size, &root);
        if (!hf_id_equal(&root, &entry.payload_root))
            rc = hf_fail(err, HF_CORRUPT, "the stored bytes do not match their checksum");
    }
    if (rc == HF_OK) range->got = size;
    return finish(place, fd, rc, err);
}

enum hf_code log_read_meta(const struct log_place *place, struct log_range *range,
                           struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    struct log_entry entry;
    int fd;
    enum hf_code rc = open_segment(place, &fd, err);

    if (rc != HF_OK) return rc;
    rc = read_frame(place, fd, frame, &entry, err);
    if (rc == HF_OK && entry.meta_size > range->size)
        rc = hf_fail(err, HF_TOO_LARGE, "meta of %zu bytes, at most %zu", entry.meta_size,
                     range->size);
    if (rc == HF_OK) {
        memcpy(range->buf, entry.meta, entry.meta_size);
        range->got = entry.meta_size;
    }
    return finish(place, fd, rc, err);
}

enum hf_code log_read_check(const struct log_place *place, struct log_range *range,
                            struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    struct log_entry entry;
    int fd;
    enum hf_code rc = open_segment(place, &fd, err);

    (void)range;
    if (rc != HF_OK) return rc;
    rc = read_frame(place, fd, frame, &entry, err);
    if (rc == HF_OK && entry.payload_size > 0) {
        struct hf_id root = entry.payload_root;

        rc = log_payload_check(place->files, fd, entry.offset + entry.frame_size,
                               entry.payload_size, &root, err);
        /* Once more, should it have been removed meanwhile. */
        if (rc == HF_CORRUPT && read_frame(place, fd, frame, &entry, err) == HF_NOT_FOUND)
            rc = HF_NOT_FOUND;
    }
    return finish(place, fd, rc, err);
}
