/* nodes.h - what stands behind the inodes of a mount: the calendar, which is read anew
 * while the mount runs, and the trees of the dumps.
 *
 * Any thread. */
#ifndef HOLDFAST_FUSE_NODES_H
#define HOLDFAST_FUSE_NODES_H

#include "blockstore/block_store.h"
#include "fuse/calendar.h"
#include "fuse/dir_cache.h"
#include "fuse/inodes.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct nodes {
    struct block_store *store; /* borrowed, as the next two */
    struct fetcher *fetcher;
    const struct vault_keys *keys;
    struct inodes *inodes;
    struct dir_cache *dirs;
    uid_t uid; /* who owns hosts, years and days */
    gid_t gid;

    pthread_mutex_t reading;  /* held while heads are read; guards the next three */
    uint64_t next_reading_ms; /* monotonic */
    bool failing;             /* and it was logged */
    bool incomplete;          /* and it was logged */

    pthread_mutex_t mutex; /* guards `calendar`, a reference; taken last */
    struct calendar *calendar;
};

/* Reads the calendar for the first time.  The errors of vault_view_read.  On failure
 * *nodes needs no release. */
HF_MUST_CHECK enum hf_code nodes_init(struct nodes *nodes, struct block_store *store,
                                      struct fetcher *fetcher,
                                      const struct vault_keys *keys, struct hf_err *err);
void nodes_done(struct nodes *nodes);

/* Reads heads and catalogs again when the last reading is 2 s old.  Who comes while
 * another thread does so goes on with the old calendar, as everybody does when it fails,
 * which is logged once; then it is tried less often. */
void nodes_refresh(struct nodes *nodes);

/* The calendar of now, with a reference for the caller. */
struct calendar *nodes_calendar(struct nodes *nodes);

/* Fills *spec for something in the directory `parent`; it borrows from the arguments. */
void nodes_spec_host(const struct nodes *nodes, const struct inode *parent,
                     const struct calendar_host *host, struct inode_spec *spec);
void nodes_spec_year(const struct nodes *nodes, const struct inode *parent,
                     const struct calendar_host *host, const struct calendar_year *year,
                     struct inode_spec *spec);
/* `target` is that of calendar_latest_target.  The key holds the target, so that a link
 * never changes: another day is another inode. */
void nodes_spec_latest(const struct nodes *nodes, const struct inode *parent,
                       const struct calendar_host *host, const char *target,
                       struct inode_spec *spec);
void nodes_spec_dump(const struct nodes *nodes, const struct inode *parent,
                     const struct calendar_dump *dump, struct inode_spec *spec);
void nodes_spec_entry(const struct inode *parent, const struct tree_entry *entry,
                      struct inode_spec *spec);

/* What stat() shows.  False: the host or year is there no more. */
bool nodes_stat(struct nodes *nodes, const struct inode *inode, struct stat *st);

/* Sets *dir to the stream of a directory of kind DUMP or ENTRY; the first time, a dump's
 * snapshot is read.  Every failure is one of reading. */
HF_MUST_CHECK enum hf_code nodes_dir_stream(struct nodes *nodes, struct inode *inode,
                                            struct stream_root *dir, struct hf_err *err);

/* Finds `name` in any directory, enters it and counts a lookup.  *found NULL: there is
 * none.  Every failure is one of reading, also HF_NOT_FOUND. */
HF_MUST_CHECK enum hf_code nodes_lookup(struct nodes *nodes, struct inode *dir,
                                        const char *name, struct inode **found,
                                        struct hf_err *err);

#endif
