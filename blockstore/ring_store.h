/* ring_store.h - a block store on the ring: codes and signs here, hands to the daemon.
 *
 * The daemon places, finds and verifies fragments and holds no vault key.  Whole blocks are
 * fetched, and the last ones kept, because frames of one block are mostly read together. */
#ifndef HOLDFAST_BLOCKSTORE_RING_STORE_H
#define HOLDFAST_BLOCKSTORE_RING_STORE_H

#include "blockstore/block_store.h"
#include "blockstore/local_client.h"

#define RING_STORE_BLOCKS 12u /* decoded blocks kept: up to 48 MiB */

/* Opens the store of the daemon whose run directory is given; the owner is copied.  What
 * waits for the daemon ends with HF_CANCELLED when `cancel` (copied; NULL: never) says so.
 * HF_IO: no daemon is running here. */
HF_MUST_CHECK enum hf_code ring_store_open(const char *run_dir,
                                           const struct block_owner *owner,
                                           const struct local_cancel *cancel,
                                           struct block_store **store, struct hf_err *err);

#endif
