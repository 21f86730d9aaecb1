/* patterns.h - which paths are meant: patterns as in gitignore(5).
 *
 * `*` and `?` stand for anything but '/', `[...]` for one of a set, a component `**` for
 * any number of directories.  A pattern with a slash at its beginning or inside it is
 * matched against the whole path from its root on, any other against the last name of the
 * path.  A slash at the end: directories only.  `!` before a pattern takes back what an
 * earlier one matched; the last one that matches decides.  Paths and patterns are raw
 * bytes.
 *
 * Matching takes at most (bytes of the path) x (bytes of the pattern) steps for each. */
#ifndef HOLDFAST_SNAPSHOT_PATTERNS_H
#define HOLDFAST_SNAPSHOT_PATTERNS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pattern_set; /* opaque */

#define PATTERN_NO_CASE 1u /* flag: ASCII letters match in either case */

enum pattern_verdict {
    PATTERN_NONE,    /* no pattern matches */
    PATTERN_EXCLUDE, /* the last one that matches is a plain one */
    PATTERN_INCLUDE  /* ... has a '!' */
};

struct pattern_set *pattern_set_new(void); /* NULL: out of memory */
void pattern_set_free(struct pattern_set *set);

/* Adds one pattern, taken as it is: a '#' is no comment, spaces at its end count.  `source`
 * ("--exclude", "FILE:LINE") is for the message.  HF_INVALID: it is empty, ends in a
 * backslash, or has a '[' without end or an unknown [:class:].  HF_TOO_LARGE,
 * HF_NO_MEMORY.  The set is unchanged when it fails. */
HF_MUST_CHECK enum hf_code pattern_set_add(struct pattern_set *set, const char *pattern,
                                           unsigned flags, const char *source,
                                           struct hf_err *err);

/* Adds the patterns of a file ("-": stdin), one on each line.  Empty lines and those that
 * begin with '#' are left out, spaces at the end of a line unless escaped by a backslash.
 * The codes of pattern_set_add with file and line, and those of opening and reading. */
HF_MUST_CHECK enum hf_code pattern_set_add_file(struct pattern_set *set, const char *path,
                                                unsigned flags, struct hf_err *err);

size_t pattern_set_count(const struct pattern_set *set); /* of a NULL set: 0 */

/* What the set says of `path`, with or without a '/' at its beginning and none at its end.
 * Only the path itself is looked at: what is below an excluded (or included) directory is
 * the caller's to leave out (or to take).  NULL is an empty set.  Any thread, while nothing
 * is added. */
enum pattern_verdict pattern_set_match(const struct pattern_set *set, const char *path,
                                       bool is_dir);

#endif
