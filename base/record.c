#include "base/record.h"

#include "base/hash.h"
#include "base/types.h"

#include <string.h>

static const char label[] = "hf1/head";

#define VERSION 1u

enum key {
    KEY_VAULT = 2,
    KEY_EPOCH = 3,
    KEY_OWNER = 4,
    KEY_RIGHTS = 5, /* a writer's certificate: none exist in version 1 */
    KEY_HOST = 6,
    KEY_INCARNATION = 7,
    KEY_SEQ = 8,
    KEY_PREVIOUS = 9,
    KEY_TIME = 10,
    KEY_PAYLOAD = 11
};

enum hf_code hf_record_put(struct hf_writer *w, const struct hf_record *record,
                           const struct hf_signer *signer, struct hf_err *err)
{
    uint8_t body[HF_RECORD_MAX];
    struct hf_writer b = hf_writer_init(body, sizeof body - HF_SIGNED_OVERHEAD);

    if (record->payload_size > HF_RECORD_PAYLOAD_MAX)
        return hf_fail(err, HF_TOO_LARGE, "record: payload of %zu bytes",
                       record->payload_size);
    hf_put_header(&b, 9, HF_TYPE_HEAD, VERSION);
    hf_put_key(&b, KEY_VAULT);
    hf_put_id(&b, &record->vault);
    hf_put_key(&b, KEY_EPOCH);
    hf_put_uint(&b, record->epoch);
    hf_put_key(&b, KEY_OWNER);
    hf_put_bytes(&b, record->owner.b, sizeof record->owner.b);
    hf_put_key(&b, KEY_HOST);
    hf_put_id(&b, &record->host);
    hf_put_key(&b, KEY_INCARNATION);
    hf_put_uint(&b, record->incarnation);
    hf_put_key(&b, KEY_SEQ);
    hf_put_uint(&b, record->seq);
    hf_put_key(&b, KEY_PREVIOUS);
    hf_put_id(&b, &record->previous);
    hf_put_key(&b, KEY_TIME);
    hf_put_int(&b, record->time_ns);
    hf_put_key(&b, KEY_PAYLOAD);
    hf_put_bytes(&b, record->payload, record->payload_size);
    if (b.failed) return hf_fail(err, HF_TOO_LARGE, "record: does not fit");
    return hf_put_signed(w, signer, label, body, hf_writer_size(&b), err);
}

static bool parse_body(const uint8_t *body, size_t n, struct hf_record *record)
{
    struct hf_reader r = hf_reader_init(body, n);
    struct hf_map m = hf_get_header(&r, 32, HF_TYPE_HEAD, VERSION);
    const uint8_t *payload = NULL;
    int64_t key;

    memset(record, 0, sizeof *record);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_VAULT: hf_get_id(&r, &record->vault); break;
        case KEY_EPOCH: record->epoch = hf_get_u32(&r); break;
        case KEY_OWNER: hf_get_fixed(&r, record->owner.b, sizeof record->owner.b); break;
        case KEY_HOST: hf_get_id(&r, &record->host); break;
        case KEY_INCARNATION: record->incarnation = hf_get_u32(&r); break;
        case KEY_SEQ: record->seq = hf_get_u64(&r); break;
        case KEY_PREVIOUS: hf_get_id(&r, &record->previous); break;
        case KEY_TIME: record->time_ns = hf_get_int(&r); break;
        case KEY_PAYLOAD:
            payload = hf_get_bytes(&r, HF_RECORD_PAYLOAD_MAX, &record->payload_size);
            break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0xfdc);
    if (payload != NULL) memcpy(record->payload, payload, record->payload_size);
    return hf_reader_done(&r);
}

enum hf_code hf_record_parse(const void *bytes, size_t n, struct hf_record *record,
                             struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_signature sig;
    struct hf_id owner_id;
    size_t size;
    const uint8_t *body = hf_get_signed(&r, HF_RECORD_MAX, &size, &sig);

    if (body == NULL || !hf_reader_done(&r) || !parse_body(body, size, record))
        return hf_fail(err, HF_CORRUPT, "record: %zu bytes do not parse", n);
    hf_public_key_id(&record->owner, &owner_id);
    if (!hf_id_equal(&owner_id, &record->vault))
        return hf_fail(err, HF_CORRUPT, "record: its key is not the vault's");
    if (!hf_verify(&record->owner, label, body, size, &sig))
        return hf_fail(err, HF_CORRUPT, "record: wrong signature");
    return HF_OK;
}

int hf_record_compare(const struct hf_record *a, const struct hf_record *b)
{
    if (a->incarnation != b->incarnation) return a->incarnation < b->incarnation ? -1 : 1;
    if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
    return 0;
}

void hf_record_key(const struct hf_id *vault, struct hf_id *key)
{
    static const char prefix[] = "hf1/records";
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, prefix, sizeof prefix - 1);
    hf_sha256_add(&h, vault->b, sizeof vault->b);
    hf_sha256_final(&h, key);
}
