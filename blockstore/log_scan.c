#include "blockstore/log_scan.h"

#include "base/tree_hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_SIZE ((size_t)128 << 10)
#define READ_SIZE   ((size_t)256 << 10) /* of a payload, at once; whole leaves */

static_assert(READ_SIZE % HF_LEAF_SIZE == 0, "leaves are read whole");

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

/* Where a scan is, and what it has seen. */
struct progress {
    uint64_t at;
    uint64_t durable;          /* the highest mark */
    uint64_t first_bad;        /* of all that was skipped */
    uint64_t first_unreadable; /* of that whose key is lost */
    bool in_stretch;
};

/* No entry here: on to the next place where there may be one. */
static void skip_unit(struct log_scan *scan, struct progress *p)
{
    if (!p->in_stretch) scan->bad++;
    p->in_stretch = true;
    if (p->at < p->first_bad) p->first_bad = p->at;
    if (p->at < p->first_unreadable) p->first_unreadable = p->at;
    p->at += LOG_ALIGN;
}

/* Checks the payload (a filler's means nothing) and passes the entry on. */
static enum hf_code take_entry(struct log_scan *scan, struct progress *p,
                               const struct log_entry *entry, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    p->in_stretch = false;
    if (entry->durable > p->durable) p->durable = entry->durable;
    if (entry->key.b[0] != LOG_FILLER && entry->payload_size > 0)
        rc = log_payload_check(scan->files, scan->fd, p->at + entry->frame_size,
                               entry->payload_size, &entry->payload_root, err);
    if (rc == HF_OK) {
        scan->good++;
        rc = scan->fn(scan->arg, entry, err);
    } else if (rc == HF_CORRUPT) {
        scan->bad++;
        if (p->at < p->first_bad) p->first_bad = p->at;
        rc = HF_OK;
    }
    p->at += log_entry_footprint(entry->frame_size, entry->payload_size);
    return rc;
}

static enum hf_code run(struct log_scan *scan, struct window *w, struct hf_err *err)
{
    struct progress p = {
        .at = scan->from, .first_bad = UINT64_MAX, .first_unreadable = UINT64_MAX};

    while (p.at < scan->size) {
        struct log_entry entry;
        const uint8_t *bytes;
        size_t n;
        enum hf_code rc = look(scan, w, p.at, &bytes, &n, err);

        if (rc != HF_OK) return rc;
        if (n == 0) break; /* the file became shorter */
        if (!entry_here(scan, p.at, bytes, n, &entry)) {
            skip_unit(scan, &p);
            continue;
        }
        rc = take_entry(scan, &p, &entry, err);
        if (rc != HF_OK) return rc;
    }
    scan->clean_end = p.first_bad < p.at ? p.first_bad : p.at;
    scan->damaged = p.first_unreadable < p.durable;
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
    buf = malloc(READ_SIZE);
    if (buf == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory to check a payload");
    do {
        size_t left = size - done, got;
        size_t want = left < READ_SIZE ? left : READ_SIZE;
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
