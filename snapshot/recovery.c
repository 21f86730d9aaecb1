/* The recovery code: CBOR, a checksum, base32 in groups of five for people's eyes. */
#include "base/cbor.h"
#include "base/hash.h"
#include "base/types.h"
#include "snapshot/keys.h"
#include "snapshot/vault.h"

#include <ctype.h>
#include <string.h>

#define VERSION       1u
#define PREFIX        "hfr1-"
#define CHECKSUM_SIZE 5u
#define BYTES_MAX     500u
#define GROUP         5u

enum key { KEY_SECRET = 2, KEY_AUTHORITY = 3, KEY_ADDRESSES = 4 };

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648 */

static void checksum(const uint8_t *bytes, size_t n, struct hf_id *sum)
{
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, PREFIX, strlen(PREFIX));
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, sum);
}

enum hf_code recovery_encode(const struct recovery *recovery,
                             char code[static RECOVERY_CODE_MAX], struct hf_err *err)
{
    uint8_t bytes[BYTES_MAX + CHECKSUM_SIZE];
    struct hf_writer w = hf_writer_init(bytes, BYTES_MAX);
    struct hf_id sum;
    size_t n;
    size_t out = strlen(PREFIX);
    size_t letters = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    hf_put_header(&w, recovery->on_ring ? 3 : 1, HF_TYPE_RECOVERY, VERSION);
    hf_put_key(&w, KEY_SECRET);
    hf_put_bytes(&w, recovery->secret->b, VAULT_SECRET_SIZE);
    if (recovery->on_ring) {
        hf_put_key(&w, KEY_AUTHORITY);
        hf_put_id(&w, &recovery->authority);
        hf_put_key(&w, KEY_ADDRESSES);
        hf_put_array(&w, recovery->address_count);
        for (size_t i = 0; i < recovery->address_count; i++)
            hf_put_text(&w, recovery->addresses[i], strlen(recovery->addresses[i]));
    }
    if (w.failed)
        return hf_fail(err, HF_TOO_LARGE, "recovery code: addresses are too long");
    n = hf_writer_size(&w);
    checksum(bytes, n, &sum);
    memcpy(bytes + n, sum.b, CHECKSUM_SIZE);
    n += CHECKSUM_SIZE;
    memcpy(code, PREFIX, out);
    for (size_t i = 0; i < n || held > 0;) {
        if (held < 5) {
            bits = bits << 8 | (i < n ? bytes[i] : 0);
            held = i < n ? held + 8 : 5;
            if (i >= n) bits >>= 3; /* pad the last letter with zero bits */
            i++;
        }
        if (letters > 0 && letters % GROUP == 0) code[out++] = '-';
        code[out++] = alphabet[bits >> (held - 5) & 31];
        held -= 5;
        letters++;
    }
    code[out] = '\0';
    hf_wipe(bytes, sizeof bytes);
    return HF_OK;
}

/* The letters back to bytes; 0 when there is a character that cannot be. */
static size_t decode_letters(const char *code, uint8_t *bytes, size_t max)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;

    for (; *code != '\0'; code++) {
        char c = (char)tolower((unsigned char)*code);
        const char *at;

        if (c == '-' || isspace((unsigned char)c)) continue;
        if (c == '0') c = 'o';
        if (c == '1') c = 'i';
        at = strchr(alphabet, c);
        if (at == NULL) return 0;
        bits = (bits << 5 | (uint32_t)(at - alphabet)) & 0xfff;
        held += 5;
        if (held < 8) continue;
        if (n == max) return 0;
        held -= 8;
        bytes[n++] = (uint8_t)(bits >> held);
    }
    return n;
}

static bool parse(const uint8_t *bytes, size_t n, struct recovery *recovery)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_RECOVERY, VERSION);
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_SECRET: hf_get_fixed(&r, recovery->secret->b, VAULT_SECRET_SIZE); break;
        case KEY_AUTHORITY:
            hf_get_id(&r, &recovery->authority);
            recovery->on_ring = true;
            break;
        case KEY_ADDRESSES:
            recovery->address_count = hf_get_array(&r, VAULT_ADDRESSES_MAX, 1);
            for (size_t i = 0; i < recovery->address_count; i++)
                hf_get_string(&r, recovery->addresses[i], VAULT_ADDRESS_SIZE);
            break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << KEY_SECRET);
    return hf_reader_done(&r);
}

enum hf_code recovery_decode(const char *code, struct recovery *recovery,
                             struct hf_err *err)
{
    uint8_t bytes[BYTES_MAX + CHECKSUM_SIZE];
    struct hf_id sum;
    enum hf_code rc = HF_OK;
    size_t n;

    memset(recovery, 0, sizeof *recovery);
    while (isspace((unsigned char)*code))
        code++;
    if (strncasecmp(code, PREFIX, strlen(PREFIX)) != 0)
        return hf_fail(err, HF_WRONG_KEY,
                       "recovery code: it begins with '%s'; this does not", PREFIX);
    n = decode_letters(code + strlen(PREFIX), bytes, sizeof bytes);
    if (n <= CHECKSUM_SIZE)
        return hf_fail(err, HF_WRONG_KEY, "recovery code: not the letters of one");
    n -= CHECKSUM_SIZE;
    checksum(bytes, n, &sum);
    recovery->secret = hf_secret_new(VAULT_SECRET_SIZE);
    if (recovery->secret == NULL)
        rc = hf_fail(err, HF_NO_MEMORY, "recovery code: out of memory");
    else if (!hf_equal_ct(sum.b, bytes + n, CHECKSUM_SIZE))
        rc = hf_fail(err, HF_WRONG_KEY, "recovery code: a letter is wrong or missing");
    else if (!parse(bytes, n, recovery))
        rc = hf_fail(err, HF_WRONG_KEY, "recovery code: made by a newer version");
    hf_wipe(bytes, sizeof bytes);
    if (rc != HF_OK) recovery_done(recovery);
    return rc;
}

void recovery_done(struct recovery *recovery)
{
    hf_secret_free(recovery->secret);
    memset(recovery, 0, sizeof *recovery);
}
