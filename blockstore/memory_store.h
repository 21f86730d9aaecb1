/* memory_store.h - a block store in memory, for tests, that fails on demand. */
#ifndef HOLDFAST_BLOCKSTORE_MEMORY_STORE_H
#define HOLDFAST_BLOCKSTORE_MEMORY_STORE_H

#include "blockstore/block_store.h"

/* A store for one owner, who is copied.  NULL: no memory. */
struct block_store *memory_store_new(const struct block_owner *owner);

/* The same blocks and records as seen by another owner, for example the same vault from
 * another host.  Closed like any store; the contents live as long as one of them. */
struct block_store *memory_store_share(struct block_store *store,
                                       const struct block_owner *owner);

enum memory_op {
    MEMORY_PUT,
    MEMORY_GET,
    MEMORY_HAVE,
    MEMORY_FLUSH,
    MEMORY_PUT_RECORD,
    MEMORY_GET_RECORDS,
    MEMORY_OPS
};

/* The nth (from 1) next call of `op` fails with `code` and has no effect; with `sticky`
 * all later ones, too.  n = 0: none fails any more.  A flush may be told HF_DEGRADED. */
void memory_store_fail(struct block_store *store, enum memory_op op, uint64_t n,
                       enum hf_code code, bool sticky);

/* Calls of `op` so far, failed ones included. */
uint64_t memory_store_calls(struct block_store *store, enum memory_op op);

size_t memory_store_block_count(struct block_store *store);

/* The id of the index-th block stored, in order of storing. */
struct hf_id memory_store_block_id(struct block_store *store, size_t index);

/* The block is no more; its byte at `offset` is inverted.  False: there is none. */
bool memory_store_lose(struct block_store *store, const struct hf_id *id);
bool memory_store_alter(struct block_store *store, const struct hf_id *id, size_t offset);

/* The seq given by the last block_store_begin. */
uint64_t memory_store_seq(struct block_store *store);

#endif
