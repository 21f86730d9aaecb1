#include "membership/code.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/secret.h"
#include "base/types.h"

#include <string.h>
#include <time.h>

#define VERSION 1u

enum invitation_key {
    KEY_ADDRESS = 2,
    KEY_FINGERPRINT = 3,
    KEY_SECRET = 4,
    KEY_EXPIRES = 5
};

enum hf_code invitation_code_put(const struct invitation_code *code,
                                 char text[static CODE_TEXT_SIZE], struct hf_err *err)
{
    uint8_t bytes[CODE_PAYLOAD_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    char host[ADDRESS_SIZE];
    char port[6];

    if (!address_split(code->address, host, port))
        return hf_fail(err, HF_INVALID, "address '%s': want HOST:PORT", code->address);
    hf_put_header(&w, 4, HF_TYPE_INVITATION, VERSION);
    hf_put_key(&w, KEY_ADDRESS);
    hf_put_text(&w, code->address, strlen(code->address));
    hf_put_key(&w, KEY_FINGERPRINT);
    hf_put_id(&w, &code->fingerprint);
    hf_put_key(&w, KEY_SECRET);
    hf_put_bytes(&w, code->secret, sizeof code->secret);
    hf_put_key(&w, KEY_EXPIRES);
    hf_put_int(&w, code->expires_s);
    code_text_encode(INVITATION_PREFIX, bytes, hf_writer_size(&w), text);
    hf_wipe(bytes, sizeof bytes);
    return HF_OK;
}

enum hf_code invitation_code_parse(const char *text, struct invitation_code *code,
                                   struct hf_err *err)
{
    uint8_t bytes[CODE_PAYLOAD_MAX];
    char host[ADDRESS_SIZE];
    char port[6];
    struct hf_reader r;
    struct hf_map m;
    bool parsed;
    int64_t key;
    size_t n;

    memset(code, 0, sizeof *code);
    if (code_text_decode(INVITATION_PREFIX, text, bytes, &n, err) != HF_OK)
        return hf_prefix(err, "invitation code");
    r = hf_reader_init(bytes, n);
    m = hf_get_header(&r, 16, HF_TYPE_INVITATION, VERSION);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_ADDRESS: hf_get_string(&r, code->address, sizeof code->address); break;
        case KEY_FINGERPRINT: hf_get_id(&r, &code->fingerprint); break;
        case KEY_SECRET: hf_get_fixed(&r, code->secret, sizeof code->secret); break;
        case KEY_EXPIRES: code->expires_s = hf_get_int(&r); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x3c);
    parsed = hf_reader_done(&r) && address_split(code->address, host, port);
    hf_wipe(bytes, sizeof bytes);
    if (!parsed)
        return hf_fail(err, HF_WRONG_KEY,
                       "invitation code: of a kind that this version does not know");
    return HF_OK;
}

enum hf_code invitation_code_check(const struct invitation_code *code, int64_t now_s,
                                   struct hf_err *err)
{
    const time_t when = (time_t)code->expires_s;
    struct tm tm;
    char text[32];

    if (now_s <= code->expires_s) return HF_OK;
    if (gmtime_r(&when, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        text[0] = '\0';
    return hf_fail(
        err, HF_WRONG_KEY,
        "invitation code: expired %s; ask for a new one ('holdfast ring invite')", text);
}

void invitation_key(const uint8_t secret[static INVITATION_SECRET_SIZE], struct hf_id *key)
{
    static const char label[] = "hf1/invitation";
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, label, sizeof label - 1);
    hf_sha256_add(&h, secret, INVITATION_SECRET_SIZE);
    hf_sha256_final(&h, key);
}
