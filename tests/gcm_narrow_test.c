/* aead.h and quick_hash.h on a machine where libipsec-mb is not to be had: these take the
 * place of wide_gcm.h's. */
#include "gcm_vectors.h"
#include "test.h"

#include "base/wide_gcm.h"

bool hf_wide_gcm_seal(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE])
{
    (void)key;
    (void)text;
    (void)tag;
    return false;
}

bool hf_wide_gcm_open(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE])
{
    return hf_wide_gcm_seal(key, text, tag);
}

struct hf_wide_gmac *hf_wide_gmac_new(const uint8_t key[static HF_GCM_KEY_SIZE])
{
    (void)key;
    return NULL;
}

void hf_wide_gmac_free(struct hf_wide_gmac *gmac)
{
    assert_null(gmac);
}

void hf_wide_gmac_of(const struct hf_wide_gmac *gmac, const void *bytes, size_t n,
                     uint8_t tag[static HF_GCM_TAG_SIZE])
{
    (void)gmac;
    (void)bytes;
    (void)n;
    (void)tag;
    fail_msg("there is none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gcm_known_answers),
                                       cmocka_unit_test(gcm_is_openssls_for_every_size),
                                       cmocka_unit_test(gcm_opens_only_unaltered),
                                       cmocka_unit_test(quick_hash_is_openssls_gmac)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
