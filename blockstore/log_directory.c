#include "blockstore/log_directory.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/random.h"
#include "blockstore/log_identity.h"
#include "blockstore/log_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SEAL_PATIENCE_MS 10000u

static enum hf_code open_below(struct log_directory *directory, const char *name, bool make,
                               int *fd, struct hf_err *err)
{
    struct hf_files *files = directory->files;

    if (make && files->mkdir(files, directory->fd, name, 0700) != 0 && errno != EEXIST)
        return hf_fail_errno(err, errno, "make directory %s", name);
    *fd = files->open(files, directory->fd, name, O_RDONLY | O_DIRECTORY, 0);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open directory %s", name);
}

/* The names of the directories must be durable before anything in them is. */
static enum hf_code make_directories(struct log_directory *directory, struct hf_err *err)
{
    struct hf_files *files = directory->files;
    enum hf_code rc = open_below(directory, "segments", true, &directory->segments_fd, err);

    if (rc == HF_OK) rc = open_below(directory, "index", true, &directory->index_fd, err);
    if (rc == HF_OK && files->sync(files, directory->fd) != 0)
        rc = hf_fail_errno(err, errno, "sync the directory");
    return rc;
}

static enum hf_code load_or_make_identity(struct log_directory *directory,
                                          struct hf_err *err)
{
    struct log_identity *identity = &directory->identity;
    uint64_t *numbers;
    size_t count;
    enum hf_code rc = log_identity_load(directory->files, directory->fd, identity, err);

    if (rc == HF_NOT_FOUND) {
        rc = log_segments_list(directory->segments_fd, &numbers, &count, err);
        if (rc != HF_OK) return rc;
        free(numbers);
        if (count > 0)
            return hf_fail(err, HF_CORRUPT,
                           "the files 'store' and 'store.copy' are missing, but there "
                           "are segments; put one of them back");
        hf_random(identity->store.b, sizeof identity->store.b);
        hf_random(identity->check_key, sizeof identity->check_key);
    }
    if (rc != HF_OK) return rc;
    return log_identity_save(directory->files, directory->fd, identity, err);
}

static enum hf_code open_for_reading(struct log_directory *directory, struct hf_err *err)
{
    struct hf_err ignored;
    enum hf_code rc =
        log_identity_load(directory->files, directory->fd, &directory->identity, err);

    if (rc == HF_OK)
        rc = open_below(directory, "segments", false, &directory->segments_fd, err);
    /* Without an index it works, too. */
    if (rc == HF_OK &&
        open_below(directory, "index", false, &directory->index_fd, &ignored) != HF_OK)
        directory->index_fd = -1;
    return rc;
}

enum hf_code log_directory_open(const char *path, const struct log_options *options,
                                struct log_directory *directory, struct hf_err *err)
{
    enum hf_code rc;

    *directory = (struct log_directory){.files = options->files,
                                        .fd = -1,
                                        .segments_fd = -1,
                                        .index_fd = -1,
                                        .lock_fd = -1};
    if (asprintf(&directory->index_path, "%s/index", path) < 0) {
        directory->index_path = NULL;
        return hf_fail(err, HF_NO_MEMORY, "no memory for the log");
    }
    if (options->read_only) {
        rc = hf_dir_open(path, &directory->fd, err);
        if (rc == HF_OK) rc = open_for_reading(directory, err);
        if (rc == HF_NOT_FOUND)
            rc = hf_fail(err, HF_NOT_FOUND,
                         "there is no store here; check the directory, or make one with "
                         "'holdfast init' or the first backup");
        return rc;
    }
    rc = hf_dir_make(path, &directory->fd, err);
    if (rc == HF_OK)
        rc = hf_lock_take(directory->fd, "lock", options->holder, &directory->lock_fd, err);
    if (rc == HF_OK) rc = make_directories(directory, err);
    if (rc == HF_OK) rc = load_or_make_identity(directory, err);
    return rc;
}

void log_directory_close(struct log_directory *directory)
{
    const int fds[] = {directory->segments_fd, directory->index_fd, directory->fd};

    if (directory->files == NULL) return; /* never opened */
    hf_lock_release(directory->lock_fd);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0) (void)close(fds[i]);
    free(directory->index_path);
}

/* A writer takes the seal away for a moment only, if it lives. */
static enum hf_code wait_for_seal(struct log_directory *directory, struct log_index **index,
                                  struct hf_err *err)
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    const uint64_t limit_ms = hf_clock_monotonic_ms() + SEAL_PATIENCE_MS;
    enum hf_code rc = HF_INCOMPLETE;
    bool held = true;

    while (rc == HF_INCOMPLETE && held && hf_clock_monotonic_ms() < limit_ms) {
        held = hf_lock_is_held(directory->fd, "lock");
        if (held) (void)nanosleep(&pause, NULL);
        rc = log_index_open(directory->files, directory->index_path, directory->index_fd,
                            true, index, err);
    }
    return rc;
}

enum hf_code log_directory_index(struct log_directory *directory, bool read_only,
                                 struct log_index **index, struct hf_err *err)
{
    enum hf_code rc;

    *index = NULL;
    if (directory->index_fd < 0) return hf_fail(err, HF_NOT_FOUND, "there is no index");
    rc = log_index_open(directory->files, directory->index_path, directory->index_fd,
                        read_only, index, err);
    if (rc == HF_INCOMPLETE && read_only) rc = wait_for_seal(directory, index, err);
    if (rc == HF_INCOMPLETE)
        return hf_fail(err, HF_CORRUPT,
                       "the index has no seal: its writer ended in the middle of a change");
    return rc;
}

enum hf_code log_directory_drop_index(struct log_directory *directory, struct hf_err *err)
{
    return log_index_delete(directory->files, directory->index_fd, err);
}
