#include "base/alloc.h"

#include <stdlib.h>

void *hf_alloc_array(size_t count, size_t size)
{
    return calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

void *hf_grow_array(void *p, size_t *capacity, size_t need, size_t size)
{
    size_t want = *capacity < 16 ? 16 : *capacity;
    size_t bytes;
    void *grown;

    if (need <= *capacity && p != NULL) return p;
    while (want < need) {
        if (__builtin_mul_overflow(want, 2, &want)) return NULL;
    }
    if (__builtin_mul_overflow(want, size, &bytes)) return NULL;
    grown = realloc(p, bytes);
    if (grown != NULL) *capacity = want;
    return grown;
}
