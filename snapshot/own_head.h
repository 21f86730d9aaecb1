/* own_head.h - this host's newest head, kept on its own disk as well as in the store.
 *
 * The copy on disk is what makes an interrupted write of the head complete: it is written
 * first, and the next run hands it to the store before it signs another.  Safety does not
 * rest on what the store remembers (docs/design.md section 7, Records). */
#ifndef HOLDFAST_SNAPSHOT_OWN_HEAD_H
#define HOLDFAST_SNAPSHOT_OWN_HEAD_H

#include "base/err.h"
#include "base/record.h"
#include "blockstore/block_store.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/vault.h"

/* The catalog that the next snapshot continues: from the newer of the store's head and the
 * one on disk; an empty one (seq 0) for a host without.  A head that only the disk has is
 * stored first.  HF_UNAVAILABLE: the store cannot say, and neither can the disk.
 * HF_NOT_FOUND: the catalog is gone; when the store has no head of this host either, it is
 * not the store that it was, and the message says what to do. */
HF_MUST_CHECK enum hf_code own_head_open(struct block_store *store, struct fetcher *fetcher,
                                         const struct vault *vault,
                                         const struct vault_keys *keys, int state_fd,
                                         struct catalog *catalog, struct hf_err *err);

/* Writes the head record to disk, then to the store. */
HF_MUST_CHECK enum hf_code own_head_write(struct block_store *store, int state_fd,
                                          const struct vault_keys *keys,
                                          const uint8_t *record, size_t n,
                                          struct hf_err *err);

#endif
