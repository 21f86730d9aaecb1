/* stdin_file.h - a tree of one file, whose content comes out of a pipe. */
#ifndef HOLDFAST_SNAPSHOT_STDIN_FILE_H
#define HOLDFAST_SNAPSHOT_STDIN_FILE_H

#include "base/err.h"
#include "snapshot/build.h"
#include "snapshot/catalog.h"
#include "snapshot/file_read.h"
#include "snapshot/packer.h"
#include "snapshot/walk.h"

#include <stdbool.h>

#define STDIN_DEPTH_MAX 64u /* names of its path */

struct stdin_file { /* all borrowed */
    const char *name;
    int fd;
    struct build *build; /* empty */
    struct packer *packer;
    struct file_reader *reader;
    struct walk_owners *owners;
    struct snapshot_totals *totals; /* counted on */
};

/* True for one name or several with '/' between them, none of them "." or "..". */
bool stdin_name_valid(const char *name);

/* Reads fd to its end into a file `name` below the root: mode 0644, the caller's, of now.
 * The directories above it are made up likewise, mode 0755.  HF_INVALID: the name; the
 * codes of reading and of the store. */
HF_MUST_CHECK enum hf_code stdin_file_add(const struct stdin_file *file,
                                          struct hf_err *err);

#endif
