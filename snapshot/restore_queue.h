/* restore_queue.h - the work of a restore: gathered, put in order of where it is stored,
 * and handed to workers.
 *
 * Tasks are gathered up to a window, sorted by block and offset of the first frame, and cut
 * into batches where the frame changes: so a frame is opened once and by one worker, also
 * where many nights have scattered a tree over many blocks.  Memory is bounded by the
 * number of tasks and their size.  One thread, the walk, calls these functions. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_QUEUE_H
#define HOLDFAST_SNAPSHOT_RESTORE_QUEUE_H

#include "snapshot/restore_file.h"

#include <stddef.h>

struct restore_queue; /* opaque */

/* NULL: out of memory or threads. */
struct restore_queue *restore_queue_new(struct restore_job *job, size_t threads);
/* Nothing is waiting (restore_queue_finish).  NULL is allowed. */
void restore_queue_free(struct restore_queue *queue);

/* Queues a part of `file` with a copy of chunks[0..count); the task ends the part.  Waits
 * while too much is queued.  HF_NO_MEMORY: the part is ended, and the file failed. */
void restore_queue_part(struct restore_queue *queue, struct restore_file *file,
                        const struct restore_chunk *chunks, size_t count);
/* Queues restore_file_link. */
void restore_queue_link(struct restore_queue *queue, struct restore_file *file);
/* A file that takes so much memory waits for another one that is queued. */
void restore_queue_waits(struct restore_queue *queue, size_t memory);

/* Returns when all is done; asks meanwhile whether to go on, and shows progress. */
void restore_queue_finish(struct restore_queue *queue);

/* The walk's own. */
struct restore_worker *restore_queue_walker(struct restore_queue *queue);

/* Sets job->stop when the caller of the restore wants it to end. */
void restore_queue_poll(struct restore_queue *queue, const char *path);

#endif
