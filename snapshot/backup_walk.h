/* backup_walk.h - the walk of a backup: what is there, beside what the parent snapshot has.
 *
 * An entry that is as it was is taken over unread, every other one is read and given to the
 * directories under construction. */
#ifndef HOLDFAST_SNAPSHOT_BACKUP_WALK_H
#define HOLDFAST_SNAPSHOT_BACKUP_WALK_H

#include "base/err.h"
#include "snapshot/backup.h"
#include "snapshot/build.h"
#include "snapshot/fetch.h"
#include "snapshot/file_read.h"
#include "snapshot/index.h"
#include "snapshot/packer.h"
#include "snapshot/paths.h"
#include "snapshot/stream.h"
#include "snapshot/walk.h"

struct backup_walk { /* all borrowed */
    const struct backup_options *options;
    struct path_node *paths;
    struct fetcher *fetcher;
    const struct stream_root *parent; /* the parent snapshot's; NULL: there is none */
    struct walk_owners *owners;       /* must outlive `build` */
    struct index *index;              /* these are not looked at in a dry run: */
    struct packer *packer;
    struct build *build; /* empty; NULL: a dry run */
    struct file_reader *reader;
    struct backup_result *result; /* blocks_lost is set; counts are counted on */
};

/* Walks the paths.  HF_OK also when entries could not be read: they are counted and
 * reported.  HF_NOT_FOUND: none of the paths exists.  HF_CANCELLED, HF_NO_MEMORY, and what
 * the store says. */
HF_MUST_CHECK enum hf_code backup_walk_run(const struct backup_walk *walk,
                                           struct hf_err *err);

#endif
