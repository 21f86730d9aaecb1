/* restore_select.h - which paths of the snapshot are meant (--include, --exclude). */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_SELECT_H
#define HOLDFAST_SNAPSHOT_RESTORE_SELECT_H

#include "snapshot/restore.h"

#include <stdbool.h>

enum restore_selected {
    RESTORE_OUT,     /* neither it nor what is below */
    RESTORE_THROUGH, /* a directory that is only on the way to what is meant */
    RESTORE_IN
};

/* `taken`: the directory that it is in is meant as a whole. */
enum restore_selected restore_select(const struct restore_options *options,
                                     const char *path, bool is_dir, bool taken);

/* What is true of the directory at `path` with all that is above it: where a walk that
 * begins there begins. */
enum restore_selected restore_select_top(const struct restore_options *options,
                                         const char *path);

#endif
