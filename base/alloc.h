/* alloc.h - allocation with checked products. */
#ifndef HOLDFAST_BASE_ALLOC_H
#define HOLDFAST_BASE_ALLOC_H

#include <stddef.h>

/* count * size zeroed bytes, or NULL: no memory, or the product overflows. */
void *hf_alloc_array(size_t count, size_t size);

/* Grows p from *capacity elements of `size` bytes to at least `need` (doubling); sets
 * *capacity.  NULL leaves p and *capacity as they were.  New elements are not zeroed. */
void *hf_grow_array(void *p, size_t *capacity, size_t need, size_t size);

#endif
