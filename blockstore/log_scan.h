/* log_scan.h - reading a segment from its bytes alone.
 *
 * A bad entry loses only itself: behind a damaged header the scan goes on at the next
 * multiple of LOG_ALIGN where a valid frame stands, behind a damaged payload at the next
 * entry.  Frames are authenticated (log_entry.h), so nothing inside a payload passes for
 * an entry.  Any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_SCAN_H
#define HOLDFAST_BLOCKSTORE_LOG_SCAN_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_entry.h"

/* One entry whose payload was checked; fillers are passed on, too.  Borrowed for the
 * call.  Anything but HF_OK ends the scan with that code. */
typedef enum hf_code log_scan_fn(void *arg, const struct log_entry *entry,
                                 struct hf_err *err);

struct log_scan {
    /* set by the caller */
    struct hf_files *files;
    const struct log_identity *identity;
    int fd;
    uint64_t segment; /* its number; entries that name another one are not believed */
    uint64_t from;    /* offset to start at, a multiple of LOG_ALIGN */
    uint64_t size;    /* of the file */
    log_scan_fn *fn;
    void *arg;
    /* set by log_scan_run */
    uint64_t clean_end; /* the first bad byte, or `size` when all was good */
    uint64_t good, bad; /* entries passed on; entries and stretches skipped */
    bool damaged;       /* an unreadable stretch lies below what was durable */
};

/* HF_OK: scanned to the end, whatever was found.  HF_IO: the file cannot be read.
 * HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code log_scan_run(struct log_scan *scan, struct hf_err *err);

/* Reads and checks the payload of an entry at offset `at` of fd.  HF_CORRUPT: it is not
 * what was written.  HF_IO. */
HF_MUST_CHECK enum hf_code log_payload_check(struct hf_files *files, int fd, uint64_t at,
                                             uint32_t size, const struct hf_id *root,
                                             struct hf_err *err);

#endif
