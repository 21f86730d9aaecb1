#include "snapshot/index_map.h"

#include "base/home.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A fault maps the pages around the one that is wanted, 64 KiB and more: of so many rows
 * some 20 MiB (measured). */
#define LOOKS_MAX 96u
/* A smaller index may stay. */
#define SMALL_SIZE ((size_t)48 << 20)

void index_map_init(struct index_map *map, MDB_env *env, const char *path)
{
    char want[HF_PATH_MAX + 16];
    char line[HF_PATH_MAX + 128];
    char *real = realpath(path, NULL);
    FILE *maps = fopen("/proc/self/maps", "re");

    memset(map, 0, sizeof *map);
    map->env = env;
    atomic_init(&map->looks, 0);
    if (real != NULL) (void)snprintf(want, sizeof want, "%s/data.mdb\n", real);
    while (real != NULL && maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        size_t n = strlen(line);
        size_t w = strlen(want);
        char *end;
        uintptr_t from;
        uintptr_t to;

        if (n < w || strcmp(line + n - w, want) != 0) continue;
        from = strtoul(line, &end, 16);
        to = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;
        if (to <= from) continue;
        map->start =
            (void *)from; /* NOLINT(performance-no-int-to-ptr): so the kernel says */
        map->size = to - from;
        break;
    }
    if (maps != NULL) (void)fclose(maps);
    free(real);
}

void index_map_looked(struct index_map *map, size_t rows)
{
    MDB_envinfo info;
    MDB_stat stat;

    if (atomic_fetch_add(&map->looks, rows) + rows < LOOKS_MAX) return;
    atomic_store(&map->looks, 0);
    if (map->start == NULL || mdb_env_info(map->env, &info) != 0 ||
        mdb_env_stat(map->env, &stat) != 0 ||
        info.me_last_pgno * stat.ms_psize < SMALL_SIZE)
        return;
    /* A shared mapping of a file, never written through: whoever looks again finds the
     * same in the system's cache. */
    (void)madvise(map->start, map->size, MADV_DONTNEED);
}
