#include "snapshot/tail.h"

#include "blockstore/block_store.h"

#include <stdbool.h>
#include <string.h>

#define SIZE_CLASSES 7u /* 64 KiB .. 4 MiB */

/* Which block each frame goes to, first fit in falling order of size; false: does not fit.
 */
static bool fit(const struct tail *tail, const uint32_t *sizes, size_t count,
                unsigned char *where)
{
    size_t used[TAIL_BLOCKS_MAX] = {0};

    for (size_t i = 0; i < count; i++) {
        size_t b = 0;

        while (b < tail->count && used[b] + sizes[i] > tail->sizes[b])
            b++;
        if (b == tail->count) return false;
        used[b] += sizes[i];
        where[i] = (unsigned char)b;
    }
    return true;
}

/* Combination `code` of size classes; false: not a falling one. */
static bool combination(size_t code, struct tail *t)
{
    size_t last = SIZE_CLASSES; /* classes are counted from 1; 0 stands for none */

    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < TAIL_BLOCKS_MAX; i++) {
        size_t c = code % (SIZE_CLASSES + 1);

        code /= SIZE_CLASSES + 1;
        if (c > last) return false;
        last = c;
        if (c == 0) continue;
        t->sizes[t->count++] = (size_t)BLOCK_SIZE_MIN << (c - 1);
        t->total += t->sizes[t->count - 1];
    }
    return t->count > 0;
}

static bool better(const struct tail *t, const struct tail *best)
{
    return t->total < best->total || (t->total == best->total && t->count < best->count);
}

#define COMBINATIONS 4096u /* (SIZE_CLASSES + 1) ^ TAIL_BLOCKS_MAX */

struct tail tail_choose(const uint32_t *sizes, size_t count, unsigned char *where,
                        unsigned char *trial)
{
    struct tail best = {.sizes = {BLOCK_SIZE_MAX}, .count = 1, .total = BLOCK_SIZE_MAX};

    memset(where, 0, count);
    for (size_t code = 0; code < COMBINATIONS; code++) {
        struct tail t;

        if (!combination(code, &t) || !better(&t, &best)) continue;
        if (!fit(&t, sizes, count, trial)) continue;
        best = t;
        memcpy(where, trial, count);
    }
    return best;
}

struct tail tail_ideal(size_t bytes)
{
    struct tail best = {.sizes = {BLOCK_SIZE_MAX}, .count = 1, .total = BLOCK_SIZE_MAX};

    for (size_t code = 0; code < COMBINATIONS; code++) {
        struct tail t;

        if (combination(code, &t) && t.total >= bytes && better(&t, &best)) best = t;
    }
    return best;
}
