/* log_directory.h - the directory of a segment log: its descriptors, lock and identity. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_DIRECTORY_H
#define HOLDFAST_BLOCKSTORE_LOG_DIRECTORY_H

#include "blockstore/log_index.h"
#include "blockstore/segment_log.h"

struct log_directory {
    struct hf_files *files;
    struct log_identity identity;
    int fd, segments_fd, index_fd, lock_fd; /* -1: not open */
    char *index_path;                       /* LMDB wants a path */
};

/* Opens it, as segment_log_open says: a writer makes what is missing and takes the lock.
 * After a failure, too, *directory is to be closed. */
HF_MUST_CHECK enum hf_code log_directory_open(const char *path,
                                              const struct log_options *options,
                                              struct log_directory *directory,
                                              struct hf_err *err);
void log_directory_close(struct log_directory *directory);

/* log_index_open, log_index_delete in it.  A reader waits while a writer is at the index;
 * one without a seal is HF_CORRUPT. */
HF_MUST_CHECK enum hf_code log_directory_index(struct log_directory *directory,
                                               bool read_only, struct log_index **index,
                                               struct hf_err *err);
HF_MUST_CHECK enum hf_code log_directory_drop_index(struct log_directory *directory,
                                                    struct hf_err *err);

#endif
