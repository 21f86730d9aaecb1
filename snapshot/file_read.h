/* file_read.h - one file's bytes into chunks, or into its entry when there are few. */
#ifndef HOLDFAST_SNAPSHOT_FILE_READ_H
#define HOLDFAST_SNAPSHOT_FILE_READ_H

#include "base/err.h"
#include "base/pool.h"
#include "snapshot/chunker.h"
#include "snapshot/fetch.h"
#include "snapshot/holes.h"
#include "snapshot/packer.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <stdbool.h>
#include <stdint.h>

/* What a run reads all its files with.  One thread, the packer's. */
struct file_reader {
    struct packer *packer; /* borrowed */
    struct chunker chunker;
    struct hole_map holes;          /* of the file read last */
    struct hf_pool *ahead;          /* one thread, once there is a large file */
    uint64_t bytes_read;            /* of all files so far */
    uint8_t small[TREE_INLINE_MAX]; /* the content of the file read last, if it is small */
    /* The caller's to set: */
    struct fetcher *fetcher;       /* borrowed: reads the parent snapshot */
    const struct stream_root *old; /* the next file's content there, or NULL */
    bool (*cancelled)(void *arg);  /* asked now and then; may be NULL */
    void *arg;
};

void file_reader_init(struct file_reader *reader, struct packer *packer,
                      const uint8_t chunker_key[static 32]);
/* A zeroed struct is allowed. */
void file_reader_done(struct file_reader *reader);

/* Reads fd to its end: sets entry->size and entry->holes (borrowed until the next call)
 * and, for TREE_INLINE_MAX bytes or less, entry->content (likewise); else adds the chunks
 * to `stream`, which is empty.  entry->size says what to expect (0: unknown). When
 * it fails, *fatal tells that it was the store, memory or the user rather than the file. */
HF_MUST_CHECK enum hf_code file_reader_read(struct file_reader *reader, int fd,
                                            struct tree_entry *entry,
                                            struct stream_writer *stream, bool *fatal,
                                            struct hf_err *err);

#endif
