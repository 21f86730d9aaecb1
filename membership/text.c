#include "membership/text.h"

#include "base/hash.h"
#include "base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHECKSUM_SIZE 4u

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool name_valid(const char *name, size_t size)
{
    const size_t n = strlen(name);

    if (n == 0 || n >= size) return false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    }
    return true;
}

static bool port_valid(const char *port)
{
    const size_t n = strlen(port);
    unsigned value = 0;

    if (n == 0 || n > 5) return false;
    for (size_t i = 0; i < n; i++) {
        if (port[i] < '0' || port[i] > '9') return false;
        value = value * 10 + (unsigned)(port[i] - '0');
    }
    return value >= 1 && value <= 65535;
}

/* Of a host name or a literal address; '%' names the interface of a link-local one. */
static bool host_valid(const char *host, size_t n)
{
    static const char others[] = ".-_:%*";

    for (size_t i = 0; i < n; i++) {
        const char c = host[i];
        const bool digit = c >= '0' && c <= '9';
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!digit && !letter && memchr(others, c, sizeof others - 1) == NULL) return false;
    }
    return n > 0;
}

bool address_split(const char *address, char host[static ADDRESS_SIZE], char port[static 6])
{
    const char *colon = strrchr(address, ':');
    const char *start = address;
    size_t n;

    if (!name_valid(address, ADDRESS_SIZE) || colon == NULL || !port_valid(colon + 1))
        return false;
    n = (size_t)(colon - address);
    if (address[0] == '[') {
        if (n < 3 || colon[-1] != ']') return false;
        start++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    if (!host_valid(start, n)) return false;
    memcpy(host, start, n);
    host[n] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool address_list_parse(const char *text, struct address_list *list)
{
    char host[ADDRESS_SIZE];
    char port[6];
    bool more = true;

    memset(list, 0, sizeof *list);
    while (more) {
        size_t n = strcspn(text, ",");
        const char *end = text + n;

        more = *end == ',';
        for (; n > 0 && is_space(*text); n--)
            text++;
        while (n > 0 && is_space(text[n - 1]))
            n--;
        if (n >= ADDRESS_SIZE || list->count == ADDRESS_LIST_MAX) return false;
        memcpy(list->at[list->count], text, n);
        if (!address_split(list->at[list->count], host, port)) return false;
        list->count++;
        text = end + more;
    }
    return true;
}

/* ---- codes ---- */

void code_text_encode(const char *prefix, const uint8_t *bytes, size_t n,
                      char text[static CODE_TEXT_SIZE])
{
    uint8_t all[CODE_PAYLOAD_MAX + CHECKSUM_SIZE];
    struct hf_id hash;
    char *out;
    uint32_t bits = 0;
    unsigned bit_count = 0;

    assert(n <= CODE_PAYLOAD_MAX && strlen(prefix) < 8);
    out = stpcpy(text, prefix);
    memcpy(all, bytes, n);
    hf_sha256(bytes, n, &hash);
    memcpy(all + n, hash.b, CHECKSUM_SIZE);
    for (size_t i = 0; i < n + CHECKSUM_SIZE; i++) {
        bits = (bits << 8 | all[i]) & 0xffffu;
        for (bit_count += 8; bit_count >= 6; bit_count -= 6)
            *out++ = alphabet[(bits >> (bit_count - 6)) & 63u];
    }
    if (bit_count > 0) *out++ = alphabet[(bits << (6 - bit_count)) & 63u];
    *out = '\0';
    hf_wipe(all, sizeof all);
}

static enum hf_code mistyped(struct hf_err *err)
{
    return hf_fail(err, HF_WRONG_KEY,
                   "the code is incomplete or mistyped; copy it again as it was printed");
}

static bool begins_with(const char *text, const char *prefix)
{
    while (*prefix != '\0' && *text == *prefix) {
        text++;
        prefix++;
    }
    return *prefix == '\0';
}

enum hf_code code_text_decode(const char *prefix, const char *text,
                              uint8_t bytes[static CODE_PAYLOAD_MAX], size_t *n,
                              struct hf_err *err)
{
    uint8_t all[CODE_PAYLOAD_MAX + CHECKSUM_SIZE];
    enum hf_code rc = HF_OK;
    struct hf_id hash;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;
    size_t end;

    *n = 0;
    while (is_space(*text))
        text++;
    end = strlen(text);
    while (end > 0 && is_space(text[end - 1]))
        end--;
    if (end < strlen(prefix) || !begins_with(text, prefix))
        return hf_fail(err, HF_WRONG_KEY, "this is not such a code: it must begin with %s",
                       prefix);
    for (size_t i = strlen(prefix); i < end; i++) {
        const char *digit = strchr(alphabet, text[i]);

        if (digit == NULL || (bit_count >= 2 && size == sizeof all)) {
            rc = mistyped(err);
            goto out;
        }
        bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0xffffu;
        bit_count += 6;
        if (bit_count < 8) continue;
        bit_count -= 8;
        all[size++] = (uint8_t)(bits >> bit_count);
    }
    /* Left-over bits are zero, so that no two texts say the same. */
    if (size < CHECKSUM_SIZE || bit_count >= 6 || (bits & ((1u << bit_count) - 1)) != 0) {
        rc = mistyped(err);
        goto out;
    }
    size -= CHECKSUM_SIZE;
    hf_sha256(all, size, &hash);
    if (memcmp(all + size, hash.b, CHECKSUM_SIZE) != 0) {
        rc = mistyped(err);
        goto out;
    }
    memcpy(bytes, all, size);
    *n = size;
out:
    hf_wipe(all, sizeof all);
    return rc;
}
