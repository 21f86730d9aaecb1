/* log_identity.h - the two small files that say which store a directory is.
 *
 * `store` and `store.copy` hold the same HF_TYPE_LOG_STORE: the random id of the store,
 * the key of its checks, the version of its format.  Without one of them nothing in the
 * segments can be told from garbage, so there are two, and a damaged one is written
 * again from the other. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_IDENTITY_H
#define HOLDFAST_BLOCKSTORE_LOG_IDENTITY_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_entry.h"

/* Reads the identity of the store in dir_fd.  HF_NOT_FOUND: neither file is there.
 * HF_CORRUPT: both are damaged, or of a version that this program does not know. */
HF_MUST_CHECK enum hf_code log_identity_load(struct hf_files *files, int dir_fd,
                                             struct log_identity *identity,
                                             struct hf_err *err);

/* Writes the files that are missing or damaged; durable on return.  For the writer. */
HF_MUST_CHECK enum hf_code log_identity_save(struct hf_files *files, int dir_fd,
                                             const struct log_identity *identity,
                                             struct hf_err *err);

#endif
