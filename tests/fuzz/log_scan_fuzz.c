/* What a disk may hold: the bytes of a segment, and headers that carry a right check. */
#include "base/cbor.h"
#include "base/hash.h"
#include "blockstore/log_scan.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC_SIZE 10u /* of a frame: everything before the header */

/* A segment in memory. */
struct memory_files {
    struct hf_files ops; /* first */
    const uint8_t *bytes;
    size_t size;
};

static ssize_t memory_pread(struct hf_files *files, int fd, void *buf, size_t n,
                            off_t offset)
{
    const struct memory_files *m = (const struct memory_files *)files;
    size_t at = (size_t)offset;

    (void)fd;
    if (at >= m->size) return 0;
    if (n > m->size - at) n = m->size - at;
    memcpy(buf, m->bytes + at, n);
    return (ssize_t)n;
}

static enum hf_code look(void *arg, const struct log_entry *entry, struct hf_err *err)
{
    uint64_t *last = arg;

    (void)err;
    /* In order, aligned, within the limits, with a key that a row can hold. */
    if (entry->offset < *last || entry->offset % LOG_ALIGN != 0 ||
        entry->meta_size > LOG_META_MAX || entry->key.size > sizeof entry->key.b ||
        entry->frame_size > LOG_FRAME_MAX)
        abort();
    *last = entry->offset + 1;
    return HF_OK;
}

static void scan(const struct log_identity *identity, const uint8_t *bytes, size_t size)
{
    struct memory_files files = {
        .ops = {.pread = memory_pread}, .bytes = bytes, .size = size};
    uint64_t last = 0;
    struct log_scan run = {.files = &files.ops,
                           .identity = identity,
                           .fd = -1,
                           .segment = 1,
                           .size = size,
                           .fn = look,
                           .arg = &last};
    struct hf_err err;

    if (log_scan_run(&run, &err) != HF_OK) abort();
    if (run.clean_end > size + LOG_ALIGN) abort();
}

/* The input as a header with a right check, twice behind one another. */
static void scan_checked(const struct log_identity *identity, const uint8_t *header,
                         size_t size)
{
    static uint8_t segment[64u * 1024u];
    uint8_t frame[LOG_FRAME_MAX];
    struct log_entry entry = {.key = {.size = 1 + LOG_KEY_MIN, .b = {LOG_BLOCK}},
                              .sequence = 1,
                              .segment = 1,
                              .meta = frame};
    struct hf_writer w = hf_writer_init(segment, sizeof segment);
    struct hf_id check;
    size_t n;

    if (size > LOG_FRAME_MAX) size = LOG_FRAME_MAX;
    (void)log_entry_encode(identity, &entry, frame);
    hf_put_raw(&w, frame, MAGIC_SIZE);
    hf_put_bytes(&w, header, size);
    hf_hmac_sha256(identity->check_key, header, size, &check);
    hf_put_bytes(&w, check.b, LOG_CHECK_SIZE);
    n = hf_writer_size(&w);
    if (log_entry_parse(identity, segment, n, &entry) && entry.frame_size != n) abort();
    memset(segment + n, 0, sizeof segment - n);
    memcpy(segment + 32768, segment, n);
    scan(identity, segment, sizeof segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct log_identity identity = {.store = {{1}}, .check_key = {2}};

    if (size == 0) return 0;
    if (data[0] % 2 == 0) {
        scan(&identity, data + 1, size - 1);
    } else {
        scan_checked(&identity, data + 1, size - 1);
    }
    return 0;
}
