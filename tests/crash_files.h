/* crash_files.h - a struct hf_files that records, and builds what a crash could leave.
 *
 * Every write, sync, truncation, hole, rename, unlink and creation below one directory
 * is done for real and recorded.  crash_files_build then makes, in an empty directory, a
 * state that a power failure at a chosen point could have left: what was synced is
 * there; of what was not, any part may be (OSDI 2014, "All File Systems Are Not Created
 * Equal"): whole writes or single sectors of 512 bytes are lost, later ones kept;
 * changes of a directory are lost from some point on, or each by itself.
 *
 * Any thread records; building is for one. */
#ifndef HOLDFAST_TESTS_CRASH_FILES_H
#define HOLDFAST_TESTS_CRASH_FILES_H

#include "base/file.h"

struct crash_files; /* opaque */

/* Records what happens below `root`; what is there already counts as durable.  Files
 * below root/<external> (not recorded, written by a library that keeps them consistent
 * itself) are taken over, when they changed, before each recorded operation; NULL: none. */
struct crash_files *crash_files_new(const char *root, const char *external);
void crash_files_free(struct crash_files *crash);
struct hf_files *crash_files_ops(struct crash_files *crash);

/* The number of operations recorded so far: a point in time. */
size_t crash_files_count(struct crash_files *crash);

enum crash_loss {
    CRASH_LOSE_ALL,     /* nothing that was not synced */
    CRASH_LOSE_NONE,    /* the process was killed, the machine went on */
    CRASH_LOSE_WRITES,  /* each unsynced write or not, at random */
    CRASH_LOSE_SECTORS, /* each sector of it or not */
    CRASH_LOSSES
};

struct crash_variant {
    enum crash_loss loss;
    uint64_t seed;
    bool ignore_file_syncs; /* as if the program had forgotten them */
    bool ignore_dir_syncs;
    bool drop_external; /* the files of others are gone altogether */
};

/* Makes the state after the first `count` operations below `into`, which is empty. */
void crash_files_build(struct crash_files *crash, size_t count,
                       const struct crash_variant *variant, const char *into);

#endif
