/* parent.h - the snapshot that a backup compares with. */
#ifndef HOLDFAST_SNAPSHOT_PARENT_H
#define HOLDFAST_SNAPSHOT_PARENT_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"

#include <stdbool.h>

/* Reads the newest snapshot with the same paths as `like`, or the newest one when none of
 * the last few has them, to *parent (snapshot_done).  False: there is none, or it cannot be
 * read, which the log says. */
bool parent_find(struct fetcher *fetcher, const struct catalog *catalog,
                 const struct snapshot *like, struct snapshot *parent);

/* The host's catalog as the store has it, without touching anything: an empty one for a
 * host without.  The codes of vault_view_read. */
HF_MUST_CHECK enum hf_code parent_catalog(struct block_store *store,
                                          struct fetcher *fetcher,
                                          const struct vault_keys *keys,
                                          const struct hf_id *host, struct catalog *catalog,
                                          struct hf_err *err);

#endif
