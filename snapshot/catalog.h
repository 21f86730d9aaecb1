/* catalog.h - snapshots, the catalog that lists a host's, and the head that points to it.
 *
 * Listing hosts opens heads only, listing days catalogs only; a snapshot and its trees are
 * opened when somebody looks inside. */
#ifndef HOLDFAST_SNAPSHOT_CATALOG_H
#define HOLDFAST_SNAPSHOT_CATALOG_H

#include "base/err.h"
#include "base/record.h"
#include "blockstore/block_store.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"
#include "snapshot/limits.h"
#include "snapshot/packer.h"
#include "snapshot/reference.h"
#include "snapshot/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_totals {
    uint64_t files, dirs, others; /* entries */
    uint64_t bytes;               /* of all files */
    uint64_t errors;              /* files that could not be read */
};

/* One dated tree. */
struct snapshot {
    struct hf_id id; /* SHA-256 of the encoded snapshot */
    struct hf_id vault, host;
    char host_name[NAME_TEXT_MAX];
    uint32_t incarnation;
    int64_t time_ns;      /* UTC */
    int32_t utc_offset_s; /* of the host, then and there */
    uint32_t ordinal;     /* of the day: 0, 1, 2, ...; never changes */
    char set[NAME_TEXT_MAX];
    char **paths; /* absolute, sorted */
    size_t path_count;
    char **tags;
    size_t tag_count;
    char **options; /* what was left out, as text for people: "exclude=*.o" */
    size_t option_count;
    struct stream_root root; /* the tree that holds "/" */
    struct snapshot_totals totals;
    bool has_parent;
    struct hf_id parent;
};
void snapshot_done(struct snapshot *snapshot);

/* A line of the catalog: what lists need. */
struct catalog_entry {
    struct hf_id snapshot; /* its id */
    struct chunk_ref ref;  /* where it is */
    char host_name[NAME_TEXT_MAX];
    int64_t time_ns;
    int32_t utc_offset_s;
    uint32_t ordinal;
    char **tags;
    size_t tag_count;
};

/* A host's catalog, oldest first. */
struct catalog {
    struct hf_id host;
    char host_name[NAME_TEXT_MAX]; /* newest */
    uint32_t incarnation;
    uint64_t seq;           /* of the head that it came from; 0: the host has none yet */
    struct hf_id head_hash; /* SHA-256 of that head record */
    struct catalog_entry *entries;
    size_t count, capacity;
};
void catalog_done(struct catalog *catalog);

/* ---- reading ---- */

/* Opens the sealed head record of n bytes and reads its catalog.  HF_CORRUPT, HF_WRONG_KEY
 * (a record of another vault), and the errors of fetch_chunk. */
HF_MUST_CHECK enum hf_code catalog_read(struct fetcher *fetcher,
                                        const struct vault_keys *keys,
                                        const uint8_t *record, size_t n,
                                        struct catalog *catalog, struct hf_err *err);

/* Reads one snapshot of a catalog; *snapshot is the caller's (snapshot_done). */
HF_MUST_CHECK enum hf_code snapshot_read(struct fetcher *fetcher,
                                         const struct catalog_entry *entry,
                                         struct snapshot *snapshot, struct hf_err *err);

/* The catalogs of all hosts of the vault, in order of host id. */
struct vault_view {
    struct catalog *hosts;
    size_t host_count, capacity;
    bool incomplete; /* too few holders answered: there may be newer heads */
};
/* HF_OK also when incomplete.  A host whose catalog cannot be read is left out and named in
 * the log; HF_CORRUPT or HF_UNAVAILABLE when that is true of every host. */
HF_MUST_CHECK enum hf_code vault_view_read(struct block_store *store,
                                           struct fetcher *fetcher,
                                           const struct vault_keys *keys,
                                           struct vault_view *view, struct hf_err *err);
void vault_view_done(struct vault_view *view);

/* Finds the snapshot that SPEC names: "latest", "latest~N", 8 or more hex digits of an id,
 * "HOST/yyyy/mmdd[n]", "yyyy-mm-dd" (the last of that day).  `latest` and dates are those
 * of host `prefer` if it has any snapshot, else of all.  HF_NOT_FOUND, HF_INVALID
 * (ambiguous). */
HF_MUST_CHECK enum hf_code vault_view_find(const struct vault_view *view, const char *spec,
                                           const struct hf_id *prefer,
                                           const struct catalog_entry **entry,
                                           struct hf_err *err);

/* "1120" or "11201": the name of a dump's directory, and "2026" its year's, in the local
 * time of its host.  buf holds 16 bytes. */
void catalog_entry_day(const struct catalog_entry *entry, char day[static 16],
                       char year[static 16]);

/* The ordinal of a snapshot whose time and host name are set: the first that is free on its
 * day.  It is given once and never changes. */
uint32_t catalog_next_ordinal(const struct catalog *catalog,
                              const struct snapshot *snapshot);

/* ---- writing; the packer's thread ---- */

/* Writes the snapshot into the tree lane: sets snapshot->id and its place. `root` is ready.
 */
HF_MUST_CHECK enum hf_code snapshot_write(struct packer *packer, struct snapshot *snapshot,
                                          struct stream_packed *root, struct packed *out,
                                          struct hf_err *err);

/* Writes the catalog with one more line for `snapshot` at `place`; afterwards the tree lane
 * must be finished (packer_finish_tree) before the head is sealed. */
HF_MUST_CHECK enum hf_code catalog_write(struct packer *packer,
                                         const struct catalog *catalog,
                                         const struct snapshot *snapshot,
                                         struct packed *place, struct stream_packed *out,
                                         struct hf_err *err);

/* What the sealed payload of a head holds. */
struct head {
    char host_name[NAME_TEXT_MAX];
    struct stream_root catalog;
};

/* Seals and signs the head record that follows `catalog`'s (seq + 1) to record
 * (HF_RECORD_MAX bytes), sets *n. */
HF_MUST_CHECK enum hf_code head_seal(const struct vault_keys *keys,
                                     const struct catalog *catalog, const struct head *head,
                                     int64_t time_ns, uint8_t *record, size_t *n,
                                     struct hf_err *err);

/* Opens the payload of a parsed record. */
HF_MUST_CHECK enum hf_code head_open(const struct vault_keys *keys,
                                     const struct hf_record *record, struct head *head,
                                     struct hf_err *err);

#endif
