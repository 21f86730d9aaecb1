/* The payload of a head record: 32 random bytes, then the sealed catalog root.  Its key
 * is HMAC(record key, random || host || incarnation || seq), so it is used once. */
#include "base/aead.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/types.h"
#include "snapshot/catalog.h"

#include <string.h>

#define VERSION     1u
#define RANDOM_SIZE 32u

enum key { KEY_HOST_NAME = 2, KEY_CATALOG = 3 };

static const struct hf_aad head_aad = {"hf1/head-payload", 16};

static void derive(const struct vault_keys *keys, const uint8_t *random,
                   const struct hf_record *record, uint8_t key[static HF_AEAD_KEY_SIZE])
{
    uint8_t seed[RANDOM_SIZE + HF_ID_SIZE + 32];
    struct hf_writer w = hf_writer_init(seed, sizeof seed);
    struct hf_id derived;

    hf_put_raw(&w, random, RANDOM_SIZE);
    hf_put_raw(&w, record->host.b, sizeof record->host.b);
    hf_put_uint(&w, record->incarnation);
    hf_put_uint(&w, record->seq);
    hf_hmac_sha256(keys->record, seed, hf_writer_size(&w), &derived);
    memcpy(key, derived.b, HF_AEAD_KEY_SIZE);
    hf_wipe(&derived, sizeof derived);
}

static enum hf_code seal(const struct vault_keys *keys, const struct head *head,
                         struct hf_record *record, struct hf_err *err)
{
    uint8_t plain[HF_RECORD_PAYLOAD_MAX - RANDOM_SIZE - HF_AEAD_TAG_SIZE];
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_writer w = hf_writer_init(plain, sizeof plain);
    struct hf_aead *aead = hf_aead_new();
    enum hf_code rc;

    if (aead == NULL) return hf_fail(err, HF_NO_MEMORY, "head: out of memory");
    hf_put_header(&w, 2, HF_TYPE_CATALOG_ROOT, VERSION);
    hf_put_key(&w, KEY_HOST_NAME);
    hf_put_bytes(&w, head->host_name, strlen(head->host_name));
    hf_put_key(&w, KEY_CATALOG);
    stream_root_put(&w, &head->catalog, false);
    hf_random(record->payload, RANDOM_SIZE);
    derive(keys, record->payload, record, key);
    rc = w.failed ? hf_fail(err, HF_TOO_LARGE, "head: does not fit")
                  : hf_aead_seal(aead, key, head_aad, plain, hf_writer_size(&w),
                                 record->payload + RANDOM_SIZE, err);
    record->payload_size = RANDOM_SIZE + hf_writer_size(&w) + HF_AEAD_TAG_SIZE;
    hf_wipe(key, sizeof key);
    hf_wipe(plain, sizeof plain);
    hf_aead_free(aead);
    return rc;
}

enum hf_code head_seal(const struct vault_keys *keys, const struct catalog *catalog,
                       const struct head *head, int64_t time_ns, uint8_t *out, size_t *n,
                       struct hf_err *err)
{
    struct hf_record record = {.vault = keys->vault,
                               .owner = *hf_signer_public(keys->signer),
                               .host = catalog->host,
                               .incarnation = catalog->incarnation,
                               .seq = catalog->seq + 1,
                               .previous = catalog->head_hash,
                               .time_ns = time_ns};
    struct hf_writer w = hf_writer_init(out, HF_RECORD_MAX);
    enum hf_code rc = seal(keys, head, &record, err);

    if (rc == HF_OK) rc = hf_record_put(&w, &record, keys->signer, err);
    *n = hf_writer_size(&w);
    return rc;
}

static bool parse(const uint8_t *plain, size_t n, struct head *head)
{
    struct hf_reader r = hf_reader_init(plain, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_CATALOG_ROOT, VERSION);
    const uint8_t *name;
    size_t size;
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_HOST_NAME:
            name = hf_get_bytes(&r, sizeof head->host_name - 1, &size);
            if (name != NULL) memcpy(head->host_name, name, size);
            break;
        case KEY_CATALOG: stream_root_get(&r, &head->catalog, NULL); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0xc);
    return hf_reader_done(&r);
}

enum hf_code head_open(const struct vault_keys *keys, const struct hf_record *record,
                       struct head *head, struct hf_err *err)
{
    uint8_t plain[HF_RECORD_PAYLOAD_MAX];
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_aead *aead;
    size_t sealed = record->payload_size - RANDOM_SIZE;
    enum hf_code rc;

    memset(head, 0, sizeof *head);
    if (!hf_id_equal(&record->vault, &keys->vault))
        return hf_fail(err, HF_WRONG_KEY, "head: of another vault");
    if (record->payload_size < RANDOM_SIZE + HF_AEAD_TAG_SIZE)
        return hf_fail(err, HF_CORRUPT, "head: too short");
    aead = hf_aead_new();
    if (aead == NULL) return hf_fail(err, HF_NO_MEMORY, "head: out of memory");
    derive(keys, record->payload, record, key);
    rc = hf_aead_open(aead, key, head_aad, record->payload + RANDOM_SIZE, sealed, plain,
                      err);
    hf_aead_free(aead);
    hf_wipe(key, sizeof key);
    if (rc != HF_OK) return hf_prefix(err, "head");
    if (!parse(plain, sealed - HF_AEAD_TAG_SIZE, head))
        rc = hf_fail(err, HF_CORRUPT, "head: does not parse");
    hf_wipe(plain, sizeof plain);
    return rc;
}
