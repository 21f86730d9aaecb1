#include "blockstore/log_reclaim.h"

#include "blockstore/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define DEAD_BATCH 1024u
#define DROP_BATCH 64u
#define PAGE       4096u

static enum hf_code overwrite(struct hf_files *files, const struct log_identity *identity,
                              int fd, const struct log_dead *dead, struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    size_t n = log_filler_encode(identity, dead->segment, dead->offset, dead->sequence,
                                 dead->footprint, frame);
    uint64_t start = (dead->offset + n + PAGE - 1) / PAGE * PAGE;
    uint64_t end = (dead->offset + dead->footprint) / PAGE * PAGE;
    enum hf_code rc = hf_file_write(files, fd, frame, n, (off_t)dead->offset, err);

    if (rc != HF_OK || start >= end) return rc;
    /* Where holes cannot be punched the space comes back with the segment. */
    if (files->punch(files, fd, (off_t)start, (off_t)(end - start)) != 0 &&
        errno != EOPNOTSUPP)
        return hf_fail_errno(err, errno, "punch a hole");
    return HF_OK;
}

/* The run of dead[0..count) that lies in one segment; durable on return. */
static enum hf_code overwrite_run(struct hf_files *files,
                                  const struct log_identity *identity, int segments_fd,
                                  const struct log_dead *dead, size_t count,
                                  struct hf_err *err)
{
    char name[LOG_SEGMENT_NAME_SIZE];
    enum hf_code rc = HF_OK;
    int fd;

    log_segment_name(dead->segment, name);
    fd = files->open(files, segments_fd, name, O_RDWR, 0);
    if (fd < 0 && errno == ENOENT) return HF_OK;
    if (fd < 0) return hf_fail_errno(err, errno, "open segment %s", name);
    for (size_t i = 0; rc == HF_OK && i < count; i++)
        rc = overwrite(files, identity, fd, &dead[i], err);
    if (rc == HF_OK && files->datasync(files, fd) != 0)
        rc = hf_fail_errno(err, errno, "sync");
    (void)files->close(files, fd);
    return rc == HF_OK ? HF_OK : hf_prefix(err, "segment %s", name);
}

static enum hf_code overwrite_dead(struct hf_files *files,
                                   const struct log_identity *identity, int segments_fd,
                                   struct log_map *map, struct log_dead *dead,
                                   struct hf_err *err)
{
    for (;;) {
        size_t count, run;
        enum hf_code rc = log_map_dead(map, dead, DEAD_BATCH, &count, err);

        if (rc != HF_OK || count == 0) return rc;
        for (size_t i = 0; i < count; i += run) {
            for (run = 1; i + run < count && dead[i + run].segment == dead[i].segment;)
                run++;
            rc = overwrite_run(files, identity, segments_fd, dead + i, run, err);
            if (rc != HF_OK) return rc;
        }
        rc = log_map_forget(map, dead, count, NULL, 0, err);
        if (rc != HF_OK) return rc;
    }
}

static enum hf_code drop_empty(struct hf_files *files, int segments_fd, struct log_map *map,
                               struct hf_err *err)
{
    uint64_t numbers[DROP_BATCH];
    size_t count = log_map_empty_segments(map, numbers, DROP_BATCH);
    char name[LOG_SEGMENT_NAME_SIZE];

    if (count == 0) return HF_OK;
    for (size_t i = 0; i < count; i++) {
        log_segment_name(numbers[i], name);
        if (files->unlink(files, segments_fd, name) != 0 && errno != ENOENT)
            return hf_fail_errno(err, errno, "remove segment %s", name);
    }
    /* Should a crash bring one back, the next writer finds it and drops it again. */
    return log_map_forget(map, NULL, 0, numbers, count, err);
}

enum hf_code log_reclaim(struct hf_files *files, const struct log_identity *identity,
                         int segments_fd, struct log_map *map, struct hf_err *err)
{
    struct log_dead *dead = malloc(DEAD_BATCH * sizeof *dead);
    enum hf_code rc;

    if (dead == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory to free space");
    rc = overwrite_dead(files, identity, segments_fd, map, dead, err);
    free(dead);
    if (rc == HF_OK) rc = drop_empty(files, segments_fd, map, err);
    return rc;
}
