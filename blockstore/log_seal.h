/* log_seal.h - the hash of a quiet index, so that damage to it is noticed at opening.
 *
 * index/seal is a CBOR byte string, the SHA-256 of index/data.mdb.  It is there only
 * while no writer has changed the index since it was closed. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_SEAL_H
#define HOLDFAST_BLOCKSTORE_LOG_SEAL_H

#include "base/err.h"
#include "base/file.h"

#include <stdbool.h>

#define LOG_SEAL_NAME "seal"
#define LOG_SEAL_DATA "data.mdb"

/* *sealed: there is a seal, and it holds.  Without a seal HF_OK as well: nothing is known.
 * HF_CORRUPT: the index is not what it was when it was sealed. */
HF_MUST_CHECK enum hf_code log_seal_check(struct hf_files *files, int dir_fd, bool *sealed,
                                          struct hf_err *err);

/* For the writer, with the index closed. */
HF_MUST_CHECK enum hf_code log_seal_write(struct hf_files *files, int dir_fd,
                                          struct hf_err *err);

/* Before the first change.  Should a crash bring the seal back, it no longer holds, and the
 * index is built anew. */
HF_MUST_CHECK enum hf_code log_seal_remove(struct hf_files *files, int dir_fd,
                                           struct hf_err *err);

#endif
