/* tree_maker.h - directory trees for tests, and a comparer that misses nothing we keep. */
#ifndef HOLDFAST_TESTS_TREE_MAKER_H
#define HOLDFAST_TESTS_TREE_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills the empty directory `path` with files of many sizes, links, directories and odd
 * names, drawn from `seed`. */
void tree_make(const char *path, uint64_t seed);

/* Changes, adds, renames and removes some of it, so that times differ. */
void tree_change(const char *path, uint64_t seed);

/* Compares two trees: names, types, contents, modes, owners, times (ns), link targets. NULL
 * when they are the same, else a description of the first difference, to be freed. */
char *tree_compare(const char *a, const char *b);

/* A file of n bytes drawn from `seed`: even seeds compress, odd ones do not. */
void tree_write_file(const char *path, uint64_t seed, size_t n);

#endif
