#include "base/id.h"

#include <string.h>

int hf_id_compare(const struct hf_id *a, const struct hf_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

bool hf_id_equal(const struct hf_id *a, const struct hf_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool hf_id_is_zero(const struct hf_id *id)
{
    static const struct hf_id zero;

    return hf_id_equal(id, &zero);
}

void hf_hex_encode(const uint8_t *bytes, size_t n, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
}

const char *hf_id_hex(const struct hf_id *id, char hex[static HF_ID_HEX_SIZE])
{
    hf_hex_encode(id->b, sizeof id->b, hex);
    return hex;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hf_id_parse(const char *hex, struct hf_id *id)
{
    for (size_t i = 0; i < sizeof id->b; i++) {
        int high = digit(hex[2 * i]);
        int low = high < 0 ? -1 : digit(hex[2 * i + 1]);

        if (low < 0) return false;
        id->b[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * sizeof id->b] == '\0';
}
