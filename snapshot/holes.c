#include "snapshot/holes.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENCODED_MAX (HF_CBOR_HEAD_MAX * (2 * HOLES_MAX + 1))

void hole_map_done(struct hole_map *map)
{
    free(map->holes);
    free(map->encoded);
    memset(map, 0, sizeof *map);
}

static enum hf_code add(struct hole_map *map, uint64_t offset, uint64_t size,
                        struct hf_err *err)
{
    struct hole *grown =
        hf_grow_array(map->holes, &map->capacity, map->count + 1, sizeof *grown);

    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "holes: out of memory");
    map->holes = grown;
    grown[map->count++] = (struct hole){offset, size};
    return HF_OK;
}

enum hf_code hole_map_find(struct hole_map *map, int fd, uint64_t size, struct hf_err *err)
{
    off_t at = 0;
    enum hf_code rc = HF_OK;

    map->count = 0;
    while (rc == HF_OK && (uint64_t)at < size) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        off_t data;

        if (hole < 0 || (uint64_t)hole >= size) break;
        data = lseek(fd, hole, SEEK_DATA);
        if (data < 0 && errno == ENXIO) data = (off_t)size; /* none behind it */
        if (data <= hole) break;
        if ((uint64_t)data > size) data = (off_t)size;
        rc = add(map, (uint64_t)hole, (uint64_t)(data - hole), err);
        at = data;
    }
    if (lseek(fd, 0, SEEK_SET) != 0 && rc == HF_OK) rc = hf_fail_errno(err, errno, "seek");
    return rc;
}

static int compare_sizes(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x > *y ? -1 : *x < *y ? 1 : 0;
}

/* Keeps the HOLES_MAX largest. */
static enum hf_code thin_out(struct hole_map *map, struct hf_err *err)
{
    uint64_t *sizes = hf_alloc_array(map->count, sizeof *sizes);
    uint64_t least;
    size_t kept = 0;

    if (sizes == NULL) return hf_fail(err, HF_NO_MEMORY, "holes: out of memory");
    for (size_t i = 0; i < map->count; i++)
        sizes[i] = map->holes[i].size;
    qsort(sizes, map->count, sizeof *sizes, compare_sizes);
    least = sizes[HOLES_MAX - 1];
    free(sizes);
    for (size_t i = 0; i < map->count && kept < HOLES_MAX; i++) {
        if (map->holes[i].size >= least) map->holes[kept++] = map->holes[i];
    }
    map->count = kept;
    return HF_OK;
}

enum hf_code hole_map_encode(struct hole_map *map, struct span *encoded, struct hf_err *err)
{
    struct hf_writer w;
    uint64_t at = 0;

    *encoded = (struct span){0};
    if (map->count == 0) return HF_OK;
    if (map->count > HOLES_MAX && thin_out(map, err) != HF_OK) return err->code;
    if (map->encoded == NULL) map->encoded = malloc(ENCODED_MAX);
    if (map->encoded == NULL) return hf_fail(err, HF_NO_MEMORY, "holes: out of memory");
    w = hf_writer_init(map->encoded, ENCODED_MAX);
    hf_put_array(&w, 2 * map->count);
    for (size_t i = 0; i < map->count; i++) {
        hf_put_uint(&w, map->holes[i].offset - at);
        hf_put_uint(&w, map->holes[i].size);
        at = map->holes[i].offset + map->holes[i].size;
    }
    *encoded = (struct span){map->encoded, hf_writer_size(&w)};
    return HF_OK;
}

enum hf_code hole_map_decode(struct hole_map *map, struct span encoded, uint64_t size,
                             struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(encoded.bytes, encoded.size);
    uint32_t items = 0;
    uint64_t at = 0;
    enum hf_code rc = HF_OK;

    map->count = 0;
    if (encoded.bytes == NULL) return HF_OK;
    items = hf_get_array(&r, 2 * HOLES_MAX, 1);
    for (uint32_t i = 0; rc == HF_OK && i + 1 < items; i += 2) {
        uint64_t data = hf_get_uint(&r, size - at);
        uint64_t hole = hf_get_uint(&r, size - at - data);

        if (hole == 0 || (data == 0 && i > 0)) hf_reader_fail(&r);
        rc = add(map, at + data, hole, err);
        at += data + hole;
    }
    if (rc != HF_OK) return rc;
    if (items % 2 != 0 || !hf_reader_done(&r)) {
        map->count = 0;
        return hf_fail(err, HF_CORRUPT, "holes: the map does not fit the file");
    }
    return HF_OK;
}
