/* block_store.h - immutable blocks and a vault's small signed records.
 *
 * The only storage interface that snapshot/ and fuse/ see.  Implementations:
 * local_store.h (segment log in this process), ring_store.h (codes, signs and
 * talks to the daemon), memory_store.h (tests; can be told to fail).
 * A store is opened for one vault.  All calls block; all are safe from any thread. */
#ifndef HOLDFAST_BLOCKSTORE_BLOCK_STORE_H
#define HOLDFAST_BLOCKSTORE_BLOCK_STORE_H

#include "base/err.h"
#include "base/id.h"
#include "base/sign.h"

#include <stddef.h>
#include <stdint.h>

#define BLOCK_SIZE_MAX 4194304u /* bytes as stored */
#define BLOCK_SIZE_MIN 65536u
#define BLOCK_HAVE_MAX 1024u /* ids in one block_store_have */

struct block_store; /* opaque to callers; released by block_store_close */

/* Whose blocks these are.  The signer may be NULL in a store that is only read. */
struct block_owner {
    struct hf_id vault;
    struct hf_id host;
    const struct hf_signer *signer; /* borrowed; outlives the store */
};

/* True for a size class: a multiple of BLOCK_SIZE_MIN up to BLOCK_SIZE_MAX. */
bool block_size_valid(size_t size);

/* Names the run that the puts from now on belong to: the seq of the head that is being
 * built.  Called before the first put, and not while one is in progress. */
void block_store_begin(struct block_store *store, uint64_t seq);

/* Takes n bytes (a size class) at `data`, borrowed for the call, and writes their id,
 * the RFC 6962 tree hash over leaves of HF_LEAF_SIZE, to *id.  HF_OK means accepted
 * and durable (docs/design.md section 7, Put); block_store_flush tells whether all is safe.
 * Storing a block twice is success.  HF_NO_SPACE, HF_UNAVAILABLE and HF_IO leave the
 * store unchanged or the block present. */
HF_MUST_CHECK enum hf_code block_store_put(struct block_store *store, const uint8_t *data,
                                           size_t n, struct hf_id *id, struct hf_err *err);

/* Reads `size` bytes at `offset` of block `id`, whose stored size need not be known, into
 * buf (caller's).  Ranges may come unverified from a local disk: the caller opens an
 * authenticated frame anyway.  What came from a peer was verified.  HF_NOT_FOUND: nobody
 * has it.  HF_CORRUPT: answers came, but none that verifies, or the range is beyond the
 * block's end.  HF_UNAVAILABLE: too few holders answered.  On failure buf is unspecified.
 */
HF_MUST_CHECK enum hf_code block_store_get(struct block_store *store,
                                           const struct hf_id *id, size_t offset,
                                           size_t size, uint8_t *buf, struct hf_err *err);

/* Sets have[i] for each of ids[0..count), count <= BLOCK_HAVE_MAX: the block is there (on a
 * ring: enough of it answers).  HF_UNAVAILABLE: nothing is known, have[] is unspecified. */
HF_MUST_CHECK enum hf_code block_store_have(struct block_store *store,
                                            const struct hf_id *ids, size_t count,
                                            bool *have, struct hf_err *err);

/* Returns when every block put so far is as safe as it can be made now:
 * HF_OK all safe; HF_DEGRADED all accepted, some below target (the message says how many).
 */
HF_MUST_CHECK enum hf_code block_store_flush(struct block_store *store, struct hf_err *err);

/* Stores the signed record (base/record.h) of n bytes in the slot of the owner's host.
 * HF_OK: durable, on a ring with a majority of its holders.  HF_EXISTS: a record with a
 * higher {incarnation, seq}, or another one with the same, is there already. */
HF_MUST_CHECK enum hf_code block_store_put_record(struct block_store *store,
                                                  const uint8_t *record, size_t n,
                                                  struct hf_err *err);

/* One verified record; `record` is borrowed for the call. */
typedef void block_store_record_fn(void *arg, const uint8_t *record, size_t n);

/* Calls fn with the highest record of each slot of the vault, in order of host id.
 * HF_OK: a majority of the holders answered (none called: the vault has no record).
 * HF_INCOMPLETE: fewer did; what was found was passed on, but there may be newer. */
HF_MUST_CHECK enum hf_code block_store_get_records(struct block_store *store,
                                                   block_store_record_fn *fn, void *arg,
                                                   struct hf_err *err);

/* Releases the store.  NULL is allowed.  No call may be in progress. */
void block_store_close(struct block_store *store);

/* ---- for implementations ---- */

struct block_store_ops {
    void (*begin)(struct block_store *store, uint64_t seq);
    enum hf_code (*put)(struct block_store *store, const uint8_t *data, size_t n,
                        struct hf_id *id, struct hf_err *err);
    enum hf_code (*get)(struct block_store *store, const struct hf_id *id, size_t offset,
                        size_t size, uint8_t *buf, struct hf_err *err);
    enum hf_code (*have)(struct block_store *store, const struct hf_id *ids, size_t count,
                         bool *have, struct hf_err *err);
    enum hf_code (*flush)(struct block_store *store, struct hf_err *err);
    enum hf_code (*put_record)(struct block_store *store, const uint8_t *record, size_t n,
                               struct hf_err *err);
    enum hf_code (*get_records)(struct block_store *store, block_store_record_fn *fn,
                                void *arg, struct hf_err *err);
    void (*close)(struct block_store *store);
};

/* The first member of every implementation's struct. */
struct block_store {
    const struct block_store_ops *ops;
};

#endif
