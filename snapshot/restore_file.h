/* restore_file.h - one entry that is not a directory, from its creation to its metadata.
 *
 * A file's chunks are written in parts, by several workers at a time; whoever ends the last
 * part sets the metadata.  A file that cannot be had whole is removed rather than left
 * half.  What is there already is compared, and only what differs is written: in place when
 * the file has no other name, else into a new one. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_FILE_H
#define HOLDFAST_SNAPSHOT_RESTORE_FILE_H

#include "snapshot/restore_job.h"

#include <stddef.h>

struct restore_file; /* opaque */
struct restore_group;

/* The entry (taken over, also on failure) in `dir`, in which it is one more thing to be
 * done.  The caller holds one part of it.  NULL: out of memory. */
struct restore_file *restore_file_new(struct restore_job *job, struct restore_dir *dir,
                                      struct tree_entry *entry);
const struct tree_entry *restore_file_entry(const struct restore_file *file);
struct restore_dir *restore_file_dir(const struct restore_file *file);

size_t restore_file_bytes(const struct restore_file *file); /* the memory it takes */

/* One more part, to be ended by restore_file_end. */
void restore_file_hold(struct restore_file *file);
/* Nothing more will come of it: `err` says why. */
void restore_file_fail(struct restore_file *file, const struct hf_err *err, bool reading);

/* Puts chunks[0..count) into it; count 0: what needs none (a small file's content, a link,
 * a device).  Any worker. */
void restore_file_part(struct restore_worker *worker, struct restore_file *file,
                       const struct restore_chunk *chunks, size_t count);
/* Ends one part; with the last one the file is done and released. */
void restore_file_end(struct restore_worker *worker, struct restore_file *file);

/* ---- for restore_links.c ---- */

struct restore_group *restore_file_group(const struct restore_file *file);
void restore_file_set_group(struct restore_file *file, struct restore_group *group,
                            bool first);
/* Files of one group that wait for its first. */
struct restore_file *restore_file_next(const struct restore_file *file);
void restore_file_set_next(struct restore_file *file, struct restore_file *next);

/* Makes it another name of its group's first file, or a file of its own where that cannot
 * be, and ends its only part. */
void restore_file_link(struct restore_worker *worker, struct restore_file *file);

#endif
