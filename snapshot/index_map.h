/* index_map.h - keeps the pages of the index out of this process's resident memory.
 *
 * LMDB maps its file, and a page looked at stays mapped, with its neighbours: a run over a
 * large index would seem to need all of it.  The pages are the system's cache all the same;
 * so now and then we let go of them.  Any thread. */
#ifndef HOLDFAST_SNAPSHOT_INDEX_MAP_H
#define HOLDFAST_SNAPSHOT_INDEX_MAP_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stddef.h>

struct index_map {
    MDB_env *env; /* borrowed */
    void *start;  /* NULL: not found, nothing is let go */
    size_t size;
    atomic_size_t looks;
};

/* Finds where the file data.mdb in directory `path` is mapped. */
void index_map_init(struct index_map *map, MDB_env *env, const char *path);
/* Some rows were looked at. */
void index_map_looked(struct index_map *map, size_t rows);

#endif
