/* restore_turn.h - one thread at a time writes to a file.
 *
 * The system lets only one write to an inode, and has the others spin.  So whoever finds a
 * file being written to leaves its chunk with the thread that writes, and opens the next
 * frame meanwhile. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_TURN_H
#define HOLDFAST_SNAPSHOT_RESTORE_TURN_H

#include "base/err.h"
#include "snapshot/fetch.h"
#include "snapshot/restore_write.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restore_left; /* opaque: a chunk that was left */

struct restore_turn {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t fewer;
    bool taken;
    struct restore_left *first, **end;
    size_t count;
};

void restore_turn_init(struct restore_turn *turn);
/* No thread writes, and nothing is left. */
void restore_turn_done(struct restore_turn *turn);

/* What becomes of a chunk that was left with another thread. */
struct restore_turn_calls {
    void (*left)(void *arg);                              /* by the thread that leaves it */
    void (*written)(void *arg, const struct hf_err *err); /* by the other; NULL: it is */
    void *arg;
};

/* Writes a chunk at `offset` and all that others leave meanwhile, or leaves it with the
 * thread that is writing.  Takes over *fetched.  Failures of what was left are told by
 * calls->written, its own is returned: HF_NO_SPACE, HF_IO. */
HF_MUST_CHECK enum hf_code restore_turn_write(struct restore_turn *turn,
                                              const struct restore_output *output,
                                              struct fetched *fetched, uint64_t offset,
                                              const struct restore_turn_calls *calls,
                                              struct hf_err *err);

#endif
