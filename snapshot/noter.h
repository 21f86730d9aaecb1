/* noter.h - notes stored chunks in the index, in large batches, soon.
 *
 * A row costs the index a tenth when thousands are written at once; a run that is killed
 * stores again what was not noted.  So a thread of its own notes what the store has
 * acknowledged within a tenth of a second.  Any thread. */
#ifndef HOLDFAST_SNAPSHOT_NOTER_H
#define HOLDFAST_SNAPSHOT_NOTER_H

#include "base/err.h"
#include "snapshot/index.h"
#include "snapshot/packed.h"

struct noter; /* opaque */

/* Both borrowed; `index` may be NULL: then chunks are only forgotten.  NULL: out of memory
 * or threads. */
struct noter *noter_new(struct index *index, struct packed_table *table);
/* Notes what is left.  NULL is allowed. */
void noter_free(struct noter *noter);

/* Takes over stored frames, linked by `next`.  Their chunks leave the table once they are
 * noted.  Waits while very much is to be noted. */
void noter_add(struct noter *noter, struct packed_frame *frames);

/* Returns when all that was added is noted.  The first failure of the index stays. */
HF_MUST_CHECK enum hf_code noter_wait(struct noter *noter, struct hf_err *err);

#endif
