/* store_suite.h - what every block store must do, checked from outside. */
#ifndef HOLDFAST_TESTS_STORE_SUITE_H
#define HOLDFAST_TESTS_STORE_SUITE_H

#include "blockstore/block_store.h"

/* Runs all checks on an empty, open store of `owner`, whose signer is set.  Fails the
 * running cmocka test at the first promise of block_store.h that is not kept. */
void store_suite_run(struct block_store *store, const struct block_owner *owner);

#endif
