/* tree_compare.h - compares two trees on disk in all that a backup keeps.
 *
 * Names, types, contents, sizes, holes, which names are one inode, modes, owners,
 * modification times (ns), extended attributes (ACLs and capabilities are such), device
 * numbers, link targets; not ctime, atime, inode numbers, st_dev.  Paths may be of any
 * length and names of any bytes. */
#ifndef HOLDFAST_TESTS_TREE_COMPARE_H
#define HOLDFAST_TESTS_TREE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct tree_compared {
    size_t entries;     /* that are in both */
    size_t differences; /* each is a line on `out` */
    size_t longest;     /* path from the root */
    bool holes;         /* they were compared: asked for, and both sides know of them */
};

/* Prints "PATH: WHAT" for each difference of `want` and `got`, names escaped.  Without
 * `holes` those may differ: what is a hole on one side may be written zeros on the other.
 */
struct tree_compared tree_compare_all(const char *want, const char *got, bool holes,
                                      FILE *out);

#endif
