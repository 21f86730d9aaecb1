/* index_rebuild.h - the chunk index, made again from a host's own trees.
 *
 * Newest snapshot first; a subtree that the index holds already is not entered again, so
 * the cost is that of what differs between snapshots.  One thread. */
#ifndef HOLDFAST_SNAPSHOT_INDEX_REBUILD_H
#define HOLDFAST_SNAPSHOT_INDEX_REBUILD_H

#include "base/err.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_rebuild {
    struct index *index; /* borrowed */
    struct fetcher *fetcher;
    const struct catalog *catalog;
    bool (*cancelled)(void *arg); /* may be NULL */
    void *arg;
};

struct index_rebuilt {
    uint64_t chunks;
    uint64_t unreadable; /* directories and files whose trees could not be read */
};

/* HF_OK also when some trees could not be read: what only they refer to is stored again.
 * HF_CANCELLED, HF_UNAVAILABLE, and the errors of the index: what was found is kept. */
HF_MUST_CHECK enum hf_code index_rebuild(const struct index_rebuild *rebuild,
                                         struct index_rebuilt *done, struct hf_err *err);

#endif
