/* gcm_vectors.h - known answers of AES-256-GCM for whatever aead.h and quick_hash.h stand
 * on: a machine with wide registers (crypto_test) or one without (gcm_narrow_test). */
#ifndef HOLDFAST_TESTS_GCM_VECTORS_H
#define HOLDFAST_TESTS_GCM_VECTORS_H

/* Tests for cmocka. */
void gcm_known_answers(void **state);
void gcm_is_openssls_for_every_size(void **state);
void gcm_opens_only_unaltered(void **state);
void quick_hash_is_openssls_gmac(void **state);

#endif
