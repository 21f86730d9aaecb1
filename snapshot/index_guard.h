/* index_guard.h - a way out when the index turns out to be damaged.
 *
 * LMDB (0.9) does not check its pages: what a rotten one makes it do is an error, an
 * assertion that fails, or a fault.  Whichever it is, a mark beside the index says so, and
 * the next opening begins the index anew; where the process cannot go on it ends by exit 1
 * with a message.  (A seal over the whole file, as the store's index has, would cost every
 * night the time to read all of it, and would not hold after a run that was interrupted,
 * whose chunks are to be found again.)
 *
 * Handlers of signals belong to the process: SIGBUS, SIGSEGV and SIGABRT mark all indexes
 * that are open, whatever raised them.  An index that was whole is then built anew for
 * nothing, and loses no data. */
#ifndef HOLDFAST_SNAPSHOT_INDEX_GUARD_H
#define HOLDFAST_SNAPSHOT_INDEX_GUARD_H

#include "base/home.h"

#include <lmdb.h>
#include <stdatomic.h>
#include <stdbool.h>

struct index_guard {
    char mark[HF_PATH_MAX + 16];
    char words[HF_PATH_MAX + 128]; /* said when the process ends */
    _Atomic(struct index_guard *) next;
};

/* From now on, for the index in directory `path`; the guard stays where it is until
 * index_guard_end.  True: the index was marked, and stays so until index_guard_clear.  Any
 * thread. */
bool index_guard_begin(struct index_guard *guard, const char *path);
/* A new index has taken the place of the marked one. */
void index_guard_clear(const struct index_guard *guard);
/* The environment's assertions lead here. */
void index_guard_watch(MDB_env *env);
/* LMDB returned this error; marks the index unless it speaks of want of room, memory or
 * rights, and says whether: a rotten page gives all kinds of errors.  Any thread. */
bool index_guard_saw(const struct index_guard *guard, int mdb);
/* The index is closed.  Without effect before index_guard_begin. */
void index_guard_end(struct index_guard *guard);

#endif
