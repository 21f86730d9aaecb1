/* test.h - cmocka with the headers it wants before it. */
#ifndef HOLDFAST_TESTS_TEST_H
#define HOLDFAST_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* A new empty directory below TMPDIR; the path is the caller's to free. */
char *test_dir_new(void);
/* Removes it with all that is in it, and frees the path. */
void test_dir_remove(char *path);

/* Small deterministic generator (xorshift64*): tests draw no system randomness. */
uint64_t test_random(uint64_t *state);
void test_random_bytes(uint64_t *state, void *bytes, size_t n);

#endif
