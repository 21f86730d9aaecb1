#include "blockstore/log_scan.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_SIZE (128u * 1024u)
#define READ_LEAVES 16u /* leaves read at once: 256 KiB */

/* A stretch of the file in memory. */
struct window {
    uint8_t *bytes; /* WINDOW_SIZE */
    uint64_t start;
    size_t size;
};

/* Makes bytes at `at` visible: *p and *n, at least LOG_FRAME_MAX of them unless the file
 * ends before. */
static enum hf_code look(const struct log_scan *scan, struct window *w, uint64_t at,
                         const uint8_t **p, size_t *n, struct hf_err *err)
{
    uint64_t left = scan->size - at;
    uint64_t need = left < LOG_FRAME_MAX ? left : LOG_FRAME_MAX;

    if (at < w->start || at - w->start > w->size || w->size - (at - w->start) < need) {
        size_t want = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
        enum hf_code rc =
            hf_file_read(scan->files, scan->fd, w->bytes, want, (off_t)at, &w->size, err);

        w->start = at;
        if (rc != HF_OK) {
            w->size = 0;
            return rc;
        }
    }
    *p = w->bytes + (at - w->start);
    *n = w->size - (size_t)(at - w->start);
    return HF_OK;
}

/* True when *entry is one of this segment, here, and whole. */
static bool entry_here(const struct log_scan *scan, uint64_t at, const uint8_t *p, size_t n,
                       struct log_entry *entry)
{
    return log_entry_parse(scan->identity, p, n, entry) &&
           entry->segment == scan->segment && entry->offset == at &&
           (uint64_t)entry->frame_size + entry->payload_size <= scan->size - at;
}

/* The payload of what a scan found; a filler's means nothing. */
static enum hf_code check_entry(const struct log_scan *scan, const struct log_entry *entry,
                                struct hf_err *err)
{
    if (entry->key.b[0] == LOG_FILLER || entry->payload_size == 0) return HF_OK;
    return log_payload_check(scan->files, scan->fd, entry->offset + entry->frame_size,
                             entry->payload_size, &entry->payload_root, err);
}

static enum hf_code run(struct log_scan *scan, struct window *w, struct hf_err *err)
{
    uint64_t at = scan->from;
    uint64_t durable = 0;                   /* the highest mark seen */
    uint64_t first_bad = UINT64_MAX;        /* of all */
    uint64_t first_unreadable = UINT64_MAX; /* of those whose key is lost */
    bool in_stretch = false;

    while (at < scan->size) {
        struct log_entry entry;
        const uint8_t *p;
        size_t n;
        enum hf_code rc = look(scan, w, at, &p, &n, err);

        if (rc != HF_OK) return rc;
        if (n == 0) break; /* the file became shorter */
        if (!entry_here(scan, at, p, n, &entry)) {
            if (!in_stretch) scan->bad++;
            in_stretch = true;
            if (at < first_bad) first_bad = at;
            if (at < first_unreadable) first_unreadable = at;
            at += LOG_ALIGN;
            continue;
        }
        in_stretch = false;
        if (entry.durable > durable) durable = entry.durable;
        rc = check_entry(scan, &entry, err);
        if (rc == HF_OK) {
            scan->good++;
            rc = scan->fn(scan->arg, &entry, err);
        } else if (rc == HF_CORRUPT) {
            scan->bad++;
            if (at < first_bad) first_bad = at;
            rc = HF_OK;
        }
        if (rc != HF_OK) return rc;
        at += log_entry_footprint(entry.frame_size, entry.payload_size);
    }
    scan->clean_end = first_bad < at ? first_bad : at;
    scan->damaged = first_unreadable < durable;
    return HF_OK;
}

enum hf_code log_scan_run(struct log_scan *scan, struct hf_err *err)
{
    struct window w = {.bytes = malloc(WINDOW_SIZE)};
    enum hf_code rc;

    scan->clean_end = scan->from;
    scan->good = scan->bad = 0;
    scan->damaged = false;
    if (w.bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory to read a segment");
    rc = run(scan, &w, err);
    free(w.bytes);
    return rc;
}

enum hf_code log_payload_check(struct hf_files *files, int fd, uint64_t at, uint32_t size,
                               const struct hf_id *root, struct hf_err *err)
{
    struct hf_id leaves[HF_LEAVES_MAX], group[HF_LEAVES_MAX], have;
    uint8_t *buf;
    size_t count = 0;
    uint32_t done = 0;
    enum hf_code rc = HF_OK;

    if (size > LOG_PAYLOAD_MAX)
        return hf_fail(err, HF_CORRUPT, "a payload of %u bytes is too large", size);
    buf = malloc(READ_LEAVES * HF_LEAF_SIZE);
    if (buf == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory to check a payload");
    do {
        size_t left = size - done, got;
        size_t want = left < READ_LEAVES * HF_LEAF_SIZE ? left : READ_LEAVES * HF_LEAF_SIZE;
        size_t n;

        rc = hf_file_read(files, fd, buf, want, (off_t)(at + done), &got, err);
        if (rc == HF_OK && got < want)
            rc = hf_fail(err, HF_CORRUPT, "the segment ends inside an entry");
        if (rc != HF_OK) goto out;
        n = hf_leaf_hashes(buf, want, group);
        memcpy(leaves + count, group, n * sizeof *group);
        count += n;
        done += (uint32_t)want;
    } while (done < size);
    hf_tree_root(leaves, count, &have);
    if (!hf_id_equal(&have, root))
        rc = hf_fail(err, HF_CORRUPT, "the stored bytes do not match their checksum");
out:
    free(buf);
    return rc;
}
