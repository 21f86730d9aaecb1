/* lines.h - the lines of a text file that a person wrote: patterns, paths. */
#ifndef HOLDFAST_BASE_LINES_H
#define HOLDFAST_BASE_LINES_H

#include "base/err.h"

#include <stddef.h>

struct hf_lines {
    char **lines; /* NUL-terminated, without their newline; each points into `text` */
    size_t count;
    char *text;
};

/* Reads the file `path`, "-" being stdin, of at most max_bytes.  A mark of UTF-8 at its
 * beginning and carriage returns before newlines are dropped; empty lines stay.
 * HF_TOO_LARGE; HF_INVALID: a NUL byte; HF_NOT_FOUND and the like; each names the file. */
HF_MUST_CHECK enum hf_code hf_lines_load(const char *path, size_t max_bytes,
                                         struct hf_lines *lines, struct hf_err *err);
/* A zeroed struct is allowed. */
void hf_lines_done(struct hf_lines *lines);

#endif
