/* backup.h - one backup run: walk, read, chunk, pack, store, and the head last.
 *
 * A crash at any point leaves the previous head whole; what was acknowledged and noted in
 * the index is not stored again by the next run. */
#ifndef HOLDFAST_SNAPSHOT_BACKUP_H
#define HOLDFAST_SNAPSHOT_BACKUP_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/catalog.h"
#include "snapshot/keys.h"
#include "snapshot/packer.h"
#include "snapshot/selection.h"
#include "snapshot/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What has become of an entry since the parent snapshot. */
enum backup_change { BACKUP_NEW, BACKUP_CHANGED, BACKUP_UNCHANGED };

struct backup_counts {
    struct snapshot_totals totals;
    uint64_t entries[3];      /* of all types, by enum backup_change */
    uint64_t files_unchanged; /* taken over unread */
    uint64_t bytes_changed;   /* sizes of the other files */
    uint64_t bytes_read;
};

/* A directory whose content is left out: what Holdfast itself keeps below the paths. */
struct backup_skip {
    dev_t device;
    ino_t inode;
};

struct backup_options {
    struct block_store *store; /* all borrowed */
    const struct vault *vault;
    const struct vault_keys *keys;
    int state_fd;          /* directory of the newest head of our own */
    const char *cache_dir; /* of the index */

    /* Each is taken whatever the selection says, which is for what is below them. */
    const char *const *paths;
    size_t path_count;
    struct selection selection;
    /* With a name (stdin_name_valid), the snapshot holds nothing but one file of that name
     * with what comes on stdin_fd, and there are no paths. */
    const char *stdin_name;
    int stdin_fd;
    const char *const *tags;
    size_t tag_count;
    const char *const *notes; /* the snapshot's `options`: what was left out, for people */
    size_t note_count;        /* at most SNAPSHOT_OPTIONS_MAX */
    const struct backup_skip *skips;
    size_t skip_count;
    const char *host_name; /* NULL: the vault's */
    int64_t time_ns;
    int32_t utc_offset_s;
    int level;  /* zstd's */
    bool force; /* read everything anew */
    /* Only looks: no file is read, nothing is written, neither to the store, which may be
     * open for reading, nor to state and cache.  The result has no snapshot but its paths
     * and totals. */
    bool dry_run;

    /* Called on the run's thread; each may be NULL. */
    void (*on_error)(void *arg, const char *path, const struct hf_err *err);
    void (*on_entry)(void *arg, const char *path, enum backup_change change);
    void (*on_progress)(void *arg, const struct backup_counts *counts, const char *path);
    bool (*cancelled)(void *arg);
    void *arg;
};

/* In the state directory since a run ended below its target redundancy: some blocks are on
 * fewer holders than those now in the ring would suggest.  Nothing places them again. */
#define BACKUP_DEGRADED_FILE "degraded"

struct backup_result {
    struct snapshot snapshot; /* released by backup_result_done */
    struct backup_counts counts;
    struct packer_totals stored;
    size_t blocks_lost; /* that earlier snapshots relied on */
    bool degraded;      /* below target redundancy: exit 4 */
    char degraded_why[232];
};

/* HF_OK: the snapshot is made; counts.totals.errors tells of files that could not be read.
 * HF_NOT_FOUND: none of the paths exists.  HF_CANCELLED.  Any other: as the store says; the
 * previous head stands. */
HF_MUST_CHECK enum hf_code backup_run(const struct backup_options *options,
                                      struct backup_result *result, struct hf_err *err);
void backup_result_done(struct backup_result *result);

#endif
