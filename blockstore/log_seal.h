/* log_seal.h - the hash of the index, without which nobody believes it.
 *
 * LMDB (0.9) does not check its pages, and what is damaged in them may end a process that
 * walks there.  index/seal is a CBOR byte string, the SHA-256 of index/data.mdb.  The
 * writer takes it away before it changes the index and writes it anew afterwards: so it is
 * missing for the moment of a checkpoint, and after a crash in that moment. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_SEAL_H
#define HOLDFAST_BLOCKSTORE_LOG_SEAL_H

#include "base/err.h"
#include "base/file.h"

#define LOG_SEAL_NAME "seal"
#define LOG_SEAL_DATA "data.mdb"

/* HF_OK: the index is what it was when it was sealed.  HF_NOT_FOUND: there is none.
 * HF_INCOMPLETE: it has no seal at the moment.  HF_CORRUPT: it is damaged.  HF_IO,
 * HF_DENIED, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code log_seal_check(struct hf_files *files, int dir_fd,
                                          struct hf_err *err);

/* For the writer, while nothing changes the index. */
HF_MUST_CHECK enum hf_code log_seal_write(struct hf_files *files, int dir_fd,
                                          struct hf_err *err);

/* Before the first change.  Should a crash bring the seal back, it no longer holds, and the
 * index is built anew. */
HF_MUST_CHECK enum hf_code log_seal_remove(struct hf_files *files, int dir_fd,
                                           struct hf_err *err);

#endif
