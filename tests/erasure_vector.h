/* erasure_vector.h - golden vectors of erasure/ and dht/: a file pins a format for ever. */
#ifndef HOLDFAST_TESTS_ERASURE_VECTOR_H
#define HOLDFAST_TESTS_ERASURE_VECTOR_H

#include <stddef.h>

/* Fails the test unless the n bytes are those that the file at `path` holds as hex digits
 * (white space between them is ignored). */
void vector_check(const char *path, const void *bytes, size_t n);

#endif
