/* local_store.h - a block store in a directory of this machine: whole blocks and records
 * in a segment log (segment_log.h), in this process, without a daemon. */
#ifndef HOLDFAST_BLOCKSTORE_LOCAL_STORE_H
#define HOLDFAST_BLOCKSTORE_LOCAL_STORE_H

#include "base/file.h"
#include "blockstore/block_store.h"

/* Opens the store in `dir` for one owner, who is copied.  One process opens it for writing,
 * which makes what is missing; any number open it read_only, take no lock and see what
 * the writer has stored.  `files` may be NULL: the system's.
 * HF_NOT_FOUND: read_only, and there is none.  HF_LOCKED: another writer, named.
 * HF_CORRUPT, HF_IO, HF_DENIED, HF_NO_SPACE, HF_NO_MEMORY as segment_log_open. */
HF_MUST_CHECK enum hf_code local_store_open(const char *dir,
                                            const struct block_owner *owner, bool read_only,
                                            struct hf_files *files,
                                            struct block_store **store, struct hf_err *err);

struct local_store_status {
    uint64_t blocks, block_bytes; /* of all vaults in it */
    uint64_t records;
    uint64_t disk_bytes;     /* of what is live, headers and padding included */
    size_t damaged_segments; /* where entries may have been lost */
};

/* `store` is one of local_store_open.  A reader sees the last checkpoint's figures. */
HF_MUST_CHECK enum hf_code local_store_status(struct block_store *store,
                                              struct local_store_status *status,
                                              struct hf_err *err);

/* Reads a whole block and checks that its bytes hash to its id.  HF_NOT_FOUND,
 * HF_CORRUPT, HF_IO. */
HF_MUST_CHECK enum hf_code local_store_verify(struct block_store *store,
                                              const struct hf_id *id, struct hf_err *err);

#endif
