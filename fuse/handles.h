/* handles.h - what the kernel has open.
 *
 * It releases handles when it likes, and at the end of a session not all of them: those are
 * dropped here.  Any thread. */
#ifndef HOLDFAST_FUSE_HANDLES_H
#define HOLDFAST_FUSE_HANDLES_H

#include <pthread.h>

/* The first member of each kind of handle. */
struct open_handle {
    struct open_handle *next, **link;
    void (*drop)(struct open_handle *handle);
};

struct open_handles {
    pthread_mutex_t mutex; /* guards the list */
    struct open_handle *first;
};

void open_handles_init(struct open_handles *handles);
/* Drops what is still open.  No request may be in progress. */
void open_handles_done(struct open_handles *handles);

void open_handles_add(struct open_handles *handles, struct open_handle *handle,
                      void (*drop)(struct open_handle *handle));
/* It is the caller's again. */
void open_handles_remove(struct open_handles *handles, struct open_handle *handle);

#endif
