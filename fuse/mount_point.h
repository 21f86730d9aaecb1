/* mount_point.h - what is mounted where. */
#ifndef HOLDFAST_FUSE_MOUNT_POINT_H
#define HOLDFAST_FUSE_MOUNT_POINT_H

#include <stdbool.h>
#include <stddef.h>

#define MOUNT_DEVICE_SIZE 32u

/* The topmost mount at a place. */
struct mount_found {
    char device[MOUNT_DEVICE_SIZE]; /* "0:52" */
    char type[64];                  /* "fuse.holdfast" */
};

/* Finds what is mounted at the absolute, resolved path.  False: nothing. */
bool mount_find(const char *path, struct mount_found *found);

#endif
