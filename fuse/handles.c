#include "fuse/handles.h"

#include <stddef.h>

void open_handles_init(struct open_handles *handles)
{
    (void)pthread_mutex_init(&handles->mutex, NULL);
    handles->first = NULL;
}

void open_handles_add(struct open_handles *handles, struct open_handle *handle,
                      void (*drop)(struct open_handle *handle))
{
    handle->drop = drop;
    (void)pthread_mutex_lock(&handles->mutex);
    handle->next = handles->first;
    handle->link = &handles->first;
    if (handle->next != NULL) handle->next->link = &handle->next;
    handles->first = handle;
    (void)pthread_mutex_unlock(&handles->mutex);
}

void open_handles_remove(struct open_handles *handles, struct open_handle *handle)
{
    (void)pthread_mutex_lock(&handles->mutex);
    *handle->link = handle->next;
    if (handle->next != NULL) handle->next->link = handle->link;
    (void)pthread_mutex_unlock(&handles->mutex);
}

void open_handles_done(struct open_handles *handles)
{
    while (handles->first != NULL) {
        struct open_handle *handle = handles->first;

        open_handles_remove(handles, handle);
        handle->drop(handle);
    }
    (void)pthread_mutex_destroy(&handles->mutex);
}
