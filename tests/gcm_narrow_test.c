/* aead.h and quick_hash.h on a machine where libipsec-mb is not to be had. */
#include "gcm_vectors.h"
#include "test.h"

/* Compiled without the library, and so found before the one that has it. */
#include "base/wide_gcm.c"

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gcm_known_answers),
                                       cmocka_unit_test(gcm_is_openssls_for_every_size),
                                       cmocka_unit_test(gcm_opens_only_unaltered),
                                       cmocka_unit_test(quick_hash_is_openssls_gmac)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
