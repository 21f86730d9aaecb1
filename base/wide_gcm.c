#include "base/wide_gcm.h"

#ifdef HF_HAVE_IPSEC_MB

#include "base/secret.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t zero_nonce[12];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *table; /* of functions only: it keeps no jobs.  NULL: do without */

struct hf_wide_gmac {
    struct gcm_key_data key;
};

static void run(bool seals, const uint8_t key[static HF_GCM_KEY_SIZE],
                const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE])
{
    struct gcm_key_data expanded;
    struct gcm_context_data context;

    IMB_AES256_GCM_PRE(table, key, &expanded);
    if (seals)
        IMB_AES256_GCM_ENC(table, &expanded, &context, text->out, text->in, text->size,
                           zero_nonce, text->aad, text->aad_size, tag, HF_GCM_TAG_SIZE);
    else
        IMB_AES256_GCM_DEC(table, &expanded, &context, text->out, text->in, text->size,
                           zero_nonce, text->aad, text->aad_size, tag, HF_GCM_TAG_SIZE);
    hf_wipe(&expanded, sizeof expanded);
    hf_wipe(&context, sizeof context);
}

static struct hf_wide_gmac *expand(const uint8_t key[static HF_GCM_KEY_SIZE])
{
    struct hf_wide_gmac *gmac = aligned_alloc(_Alignof(struct hf_wide_gmac), sizeof *gmac);

    if (gmac != NULL) IMB_AES256_GCM_PRE(table, key, &gmac->key);
    return gmac;
}

void hf_wide_gmac_free(struct hf_wide_gmac *gmac)
{
    if (gmac != NULL) hf_wipe(gmac, sizeof *gmac);
    free(gmac);
}

void hf_wide_gmac_of(const struct hf_wide_gmac *gmac, const void *bytes, size_t n,
                     uint8_t tag[static HF_GCM_TAG_SIZE])
{
    struct gcm_context_data context;

    IMB_AES256_GMAC_INIT(table, &gmac->key, &context, zero_nonce, sizeof zero_nonce);
    IMB_AES256_GMAC_UPDATE(table, &gmac->key, &context, bytes, n);
    IMB_AES256_GMAC_FINALIZE(table, &gmac->key, &context, tag, HF_GCM_TAG_SIZE);
    hf_wipe(&context, sizeof context);
}

/* Long enough for every loop of the library, and an odd end.  The tags are OpenSSL's. */
#define TRIAL_SIZE 4999u

static bool works(void)
{
    static const uint8_t sealed_tag[HF_GCM_TAG_SIZE] = {0x36, 0x88, 0xda, 0xcb, 0x8b, 0x27,
                                                        0x83, 0xf2, 0x9e, 0x15, 0xe7, 0xf8,
                                                        0xb4, 0xd4, 0x30, 0x56};
    static const uint8_t gmac_tag[HF_GCM_TAG_SIZE] = {0x7a, 0xd0, 0x19, 0x6f, 0x2f, 0xb1,
                                                      0x04, 0xf5, 0xe5, 0xc8, 0x37, 0xc6,
                                                      0x79, 0xf5, 0x27, 0x40};
    uint8_t key[HF_GCM_KEY_SIZE];
    uint8_t plain[TRIAL_SIZE];
    uint8_t sealed[TRIAL_SIZE];
    uint8_t tag[HF_GCM_TAG_SIZE];
    struct hf_gcm_text text = {"trial", 5, plain, sizeof plain, sealed};
    struct hf_wide_gmac *gmac;
    bool ok;

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(7 * i);
    run(true, key, &text, tag);
    ok = memcmp(tag, sealed_tag, sizeof tag) == 0;
    text.in = text.out;
    run(false, key, &text, tag);
    ok = ok && memcmp(tag, sealed_tag, sizeof tag) == 0 &&
         memcmp(sealed, plain, sizeof plain) == 0;
    gmac = expand(key);
    if (gmac == NULL) return false;
    hf_wide_gmac_of(gmac, plain, sizeof plain, tag);
    hf_wide_gmac_free(gmac);
    return ok && memcmp(tag, gmac_tag, sizeof tag) == 0;
}

static void try_table(void)
{
    const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;

    table = alloc_mb_mgr(0);
    if (table == NULL) return;
    init_mb_mgr_auto(table, NULL);
    if (imb_get_errno(table) == 0 && (table->features & wanted) == wanted && works())
        return;
    free_mb_mgr(table);
    table = NULL;
}

static bool usable(void)
{
    (void)pthread_once(&once, try_table);
    return table != NULL;
}

bool hf_wide_gcm_seal(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE])
{
    if (!usable()) return false;
    run(true, key, text, tag);
    return true;
}

bool hf_wide_gcm_open(const uint8_t key[static HF_GCM_KEY_SIZE],
                      const struct hf_gcm_text *text, uint8_t tag[static HF_GCM_TAG_SIZE])
{
    if (!usable()) return false;
    run(false, key, text, tag);
    return true;
}

struct hf_wide_gmac *hf_wide_gmac_new(const uint8_t key[static HF_GCM_KEY_SIZE])
{
    return usable() ? expand(key) : NULL;
}

#else

#include <stddef.h>

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
    (void)gmac;
}

void hf_wide_gmac_of(const struct hf_wide_gmac *gmac, const void *bytes, size_t n,
                     uint8_t tag[static HF_GCM_TAG_SIZE])
{
    (void)gmac;
    (void)bytes;
    (void)n;
    (void)tag;
}

#endif
