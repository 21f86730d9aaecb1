#include "blockstore/log_replay.h"

#include "base/alloc.h"
#include "base/log.h"
#include "blockstore/log_scan.h"
#include "blockstore/log_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the directory ---- */

static bool parse_name(const char *name, uint64_t *number)
{
    char again[LOG_SEGMENT_NAME_SIZE];

    if (strlen(name) != LOG_SEGMENT_NAME_SIZE - 1) return false;
    *number = strtoull(name, NULL, 16);
    log_segment_name(*number, again);
    return *number != 0 && strcmp(name, again) == 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

enum hf_code log_segments_list(int segments_fd, uint64_t **numbers, size_t *count,
                               struct hf_err *err)
{
    size_t capacity = 0;
    enum hf_code rc = HF_OK;
    struct dirent *item;
    int fd = openat(segments_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    *numbers = NULL;
    *count = 0;
    if (dir == NULL) {
        rc = hf_fail_errno(err, errno, "list the segments");
        if (fd >= 0) (void)close(fd);
        return rc;
    }
    /* One DIR, one thread: readdir is safe. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (errno = 0, (item = readdir(dir)) != NULL) {
        uint64_t number, *grown;

        if (!parse_name(item->d_name, &number)) continue;
        grown = hf_grow_array(*numbers, &capacity, *count + 1, sizeof *grown);
        if (grown == NULL) {
            rc = hf_fail(err, HF_NO_MEMORY, "no memory to list the segments");
            goto out;
        }
        *numbers = grown;
        grown[(*count)++] = number;
    }
    if (errno != 0) rc = hf_fail_errno(err, errno, "list the segments");
    if (*count > 0) qsort(*numbers, *count, sizeof **numbers, compare_numbers);
out:
    (void)closedir(dir);
    if (rc != HF_OK) {
        free(*numbers);
        *numbers = NULL;
        *count = 0;
    }
    return rc;
}

/* ---- entries ---- */

enum hf_code log_replay_entry(struct log_map *map, const struct log_entry *entry,
                              struct hf_err *err)
{
    struct log_row row = {.segment = entry->segment,
                          .offset = entry->offset,
                          .sequence = entry->sequence,
                          .arrival_ns = entry->arrival_ns,
                          .frame_size = entry->frame_size,
                          .payload_size = entry->payload_size};
    struct log_row gone = row;
    struct log_key target;
    enum hf_code rc;

    gone.removed = true;
    switch (entry->key.b[0]) {
    case LOG_FILLER: return HF_OK;
    case LOG_REMOVAL:
        target = log_removal_target(&entry->key);
        rc = log_map_apply(map, &target, &gone, err);
        /* Remembered when there is something to remember; what is forgotten is not. */
        if (rc != HF_OK || entry->meta_size == 0 || target.b[0] == LOG_REMOVAL) return rc;
        break;
    default: break;
    }
    return log_map_apply(map, &entry->key, &row, err);
}

static enum hf_code replay_entry(void *arg, const struct log_entry *entry,
                                 struct hf_err *err)
{
    struct log_replay *replay = arg;
    struct log_position position = {.segment = entry->segment, .offset = entry->offset};
    enum hf_code rc;

    if (entry->sequence >= replay->next_sequence)
        replay->next_sequence = entry->sequence + 1;
    replay->entries++;
    if (replay->save_rows > 0 && log_map_unsaved(replay->map).rows >= replay->save_rows) {
        rc = log_map_freeze(replay->map, &position, replay->next_sequence, err);
        if (rc == HF_OK) rc = log_map_save(replay->map, err);
        if (rc != HF_OK) return rc;
    }
    return log_replay_entry(replay->map, entry, err);
}

/* ---- segments ---- */

static enum hf_code scan_segment(struct log_replay *replay, struct log_scan *scan,
                                 struct hf_err *err)
{
    enum hf_code rc = log_scan_run(scan, err);

    if (rc == HF_IO) {
        hf_log(HF_LOG_WARN, "store", "segment %" PRIx64 " cannot be read: %s",
               scan->segment, err->msg);
        scan->damaged = true;
        scan->clean_end = scan->from;
        rc = HF_OK;
    }
    if (rc != HF_OK) return rc;
    if (scan->damaged)
        hf_log(HF_LOG_WARN, "store",
               "segment %" PRIx64 " is damaged: %" PRIu64 " entries read, %" PRIu64
               " stretches skipped",
               scan->segment, scan->good, scan->bad);
    /* What a killed writer left in the page cache is made durable before anybody
     * relies on it. */
    if (replay->save_rows > 0 && scan->good > 0 &&
        replay->files->datasync(replay->files, scan->fd) != 0)
        return hf_fail_errno(err, errno, "sync segment %" PRIx64, scan->segment);
    return log_map_segment(replay->map, scan->segment, scan->damaged, err);
}

static enum hf_code replay_segment(struct log_replay *replay, uint64_t number,
                                   struct hf_err *err)
{
    struct hf_files *files = replay->files;
    struct log_scan scan = {.files = files,
                            .identity = replay->identity,
                            .segment = number,
                            .fn = replay_entry,
                            .arg = replay};
    char name[LOG_SEGMENT_NAME_SIZE];
    struct stat st;
    enum hf_code rc;

    log_segment_name(number, name);
    scan.fd = files->open(files, replay->segments_fd, name, O_RDONLY, 0);
    /* The writer may have dropped it under a reader. */
    if (scan.fd < 0 && errno == ENOENT) return HF_OK;
    if (scan.fd < 0) return hf_fail_errno(err, errno, "open segment %s", name);
    if (number == replay->position.segment) scan.from = replay->position.offset;
    if (fstat(scan.fd, &st) != 0) {
        rc = hf_fail_errno(err, errno, "stat segment %s", name);
    } else {
        scan.size = (uint64_t)st.st_size;
        rc = scan_segment(replay, &scan, err);
    }
    (void)files->close(files, scan.fd);
    if (rc != HF_OK) return rc;
    replay->position = (struct log_position){.segment = number, .offset = scan.clean_end};
    replay->last_segment = number;
    /* Shorter than what the index covers is torn, too. */
    replay->last_size = scan.clean_end == scan.size && !scan.damaged ? scan.size : 0;
    return HF_OK;
}

enum hf_code log_replay_run(struct log_replay *replay, struct hf_err *err)
{
    uint64_t *numbers, from = replay->position.segment;
    size_t count;
    enum hf_code rc = log_segments_list(replay->segments_fd, &numbers, &count, err);

    /* What the index knows of a segment that failed and is gone must not be taken for
     * what a new one of its number holds. */
    replay->last_segment = from;
    replay->last_size = 0;
    replay->entries = 0;
    if (rc != HF_OK) return rc;
    if (count > 0 && numbers[count - 1] > from) replay->last_segment = numbers[count - 1];
    if (replay->save_rows > 0) {
        size_t missing = log_map_segments_present(replay->map, numbers, count);

        if (missing > 0)
            hf_log(HF_LOG_WARN, "store", "%zu segments with live entries are missing",
                   missing);
    }
    for (size_t i = 0; rc == HF_OK && i < count; i++) {
        if (numbers[i] >= from) {
            rc = replay_segment(replay, numbers[i], err);
        } else if (replay->save_rows > 0) {
            rc = log_map_segment(replay->map, numbers[i], false, err);
        }
    }
    free(numbers);
    return rc;
}
