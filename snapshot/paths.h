/* paths.h - the paths that a backup was asked for, as a tree of names below "/". */
#ifndef HOLDFAST_SNAPSHOT_PATHS_H
#define HOLDFAST_SNAPSHOT_PATHS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct path_node {
    char *name;
    bool whole;                  /* a path ends here: everything below */
    struct path_node **children; /* sorted by name */
    size_t count, capacity;
};

/* Adds an absolute path without ".", ".." or doubled slashes (path_absolute makes one). */
HF_MUST_CHECK enum hf_code path_node_add(struct path_node *root, const char *path,
                                         struct hf_err *err);
/* The child of that name, or NULL; of NULL too. */
struct path_node *path_node_find(const struct path_node *node, const char *name);
/* Releases what is below; the root struct is the caller's. */
void path_node_done(struct path_node *root);

/* The absolute path of `path`: links in the directories above it are followed, a link at
 * its end is not.  The caller's to free.  HF_NOT_FOUND when it does not exist. */
HF_MUST_CHECK enum hf_code path_absolute(const char *path, char **absolute,
                                         struct hf_err *err);

#endif
