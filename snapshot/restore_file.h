/* restore_file.h - one entry that is not a directory, from its creation to its metadata.
 *
 * A file's chunks are written in parts, by several workers at a time; whoever ends the last
 * part sets the metadata.  A file that cannot be had whole is removed rather than left
 * half.  What is there already is compared, and only what differs is written: in place when
 * the file has no other name, else into a new one. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_FILE_H
#define HOLDFAST_SNAPSHOT_RESTORE_FILE_H

#include "snapshot/restore_job.h"
#include "snapshot/restore_turn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct restore_group;

enum restore_file_state {
    RESTORE_FILE_NEW,    /* nothing was looked at */
    RESTORE_FILE_OPEN,   /* fd is open */
    RESTORE_FILE_ABSENT, /* not there, and only looked at */
    RESTORE_FILE_RIGHT,  /* made, or taken as right; metadata is set */
    RESTORE_FILE_KEPT,   /* stays as it is */
    RESTORE_FILE_FAILED
};

struct restore_file {
    struct restore_job *job;
    struct restore_dir *dir;     /* one of its pending things is this file */
    struct tree_entry *entry;    /* owned */
    struct restore_group *group; /* or NULL; restore_links.c's, as are the next two */
    bool first;                  /* of the group */
    struct restore_file *next;   /* of those that wait for the first */
    atomic_uint parts;
    atomic_bool failed, changed; /* changed: something was, or would be, written */
    atomic_bool again;           /* cannot be changed in place: write a new one */
    atomic_bool holes_lie;       /* something stands where the map says that nothing does */
    atomic_uint_fast64_t written;

    struct restore_turn turn;

    pthread_mutex_t mutex; /* guards all below while there are several parts */
    enum restore_file_state state;
    int dir_fd;   /* borrowed from dir while has_dir */
    int fd;       /* read, or written when fresh; -1 */
    int write_fd; /* fd, or another one of the same file, or -1 */
    bool has_dir;
    bool fresh;    /* made by us */
    bool own_name; /* it has no other names: may be changed in place */
    struct hole_map holes;
    struct hf_err err;
    bool reading; /* the error is one of reading the store */
    bool touched; /* what is at the name now is not whole */
};

/* The entry (taken over, also on failure) in `dir`, in which it is one more thing to be
 * done.  The caller holds one part of it.  NULL: out of memory. */
struct restore_file *restore_file_new(struct restore_job *job, struct restore_dir *dir,
                                      struct tree_entry *entry);

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

/* Makes it another name of its group's first file, or a file of its own where that cannot
 * be, and ends its only part. */
void restore_file_link(struct restore_worker *worker, struct restore_file *file);

#endif
