/* store_fixture.h - what the tests of stores share: a scratch directory, an owner with a
 * key, bytes that can be told apart. */
#ifndef HOLDFAST_TESTS_STORE_FIXTURE_H
#define HOLDFAST_TESTS_STORE_FIXTURE_H

#include "blockstore/block_store.h"

#include <stddef.h>
#include <stdint.h>

#define SCRATCH_PATH_MAX 128u

/* Makes an empty directory, in memory where the machine has a place for it. */
void scratch_make(char path[static SCRATCH_PATH_MAX]);
/* Removes everything below path, and path. */
void scratch_remove(const char *path);
/* The same for one file or directory below it, if it is there. */
void scratch_remove_below(const char *path, const char *name);

/* Fills n bytes that depend on seed only. */
void pattern_fill(uint8_t *bytes, size_t n, uint64_t seed);
/* True when the bytes are those of pattern_fill. */
bool pattern_matches(const uint8_t *bytes, size_t n, uint64_t seed);

/* A vault of its own for each number; hosts likewise.  The signer is the caller's. */
struct block_owner owner_make(uint8_t vault, uint8_t host);
void owner_done(struct block_owner *owner);

/* A signed record of the owner's host; returns its size. */
size_t record_make(const struct block_owner *owner, uint32_t incarnation, uint64_t seq,
                   uint8_t payload, uint8_t *out, size_t max);

#endif
