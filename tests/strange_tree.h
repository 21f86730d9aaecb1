/* strange_tree.h - trees of files that are unusual but legal, drawn from a seed.
 *
 * Files of all sizes, sparse ones, hard links, symbolic links, FIFOs, sockets, devices,
 * names of any bytes, paths beyond PATH_MAX, every mode, owner and time, attributes and
 * ACLs, empty and very large directories.  One seed gives one tree on one kind of file
 * system; as somebody else than root it has less in it. */
#ifndef HOLDFAST_TESTS_STRANGE_TREE_H
#define HOLDFAST_TESTS_STRANGE_TREE_H

#include <stdint.h>

/* What a tree has besides the ordinary, by its seed: so that most are small. */
#define STRANGE_LARGE(seed) ((seed) % 15 == 1)     /* more entries, files of some MB */
#define STRANGE_CROWD(seed) ((seed) % 23 == 5)     /* a directory of 3000 entries */
#define STRANGE_DEEP(seed)  ((seed) % 9 == 3)      /* paths longer than PATH_MAX */
#define STRANGE_STEPS(seed) ((seed) % 19 == 6)     /* 150 nested directories */
#define STRANGE_HUGE(seed)  ((seed) % 67 == 12)    /* a sparse file of 5 GiB */
#define STRANGE_GIANT(seed) ((seed) % 1000 == 208) /* of 100 GiB: takes minutes */

/* Fills the empty directory `path`, and gives it metadata of its own. */
void strange_tree_make(const char *path, uint64_t seed);

/* Changes it as a day does: contents edited in many ways (also without a trace but ctime),
 * renamed, moved, linked, deleted, one type in place of another, metadata. */
void strange_tree_change(const char *path, uint64_t seed);

#endif
