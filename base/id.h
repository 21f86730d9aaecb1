/* id.h - a point on the 256-bit identifier circle: node id, block id, chunk id, record key.
 */
#ifndef HOLDFAST_BASE_ID_H
#define HOLDFAST_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_ID_SIZE     32u
#define HF_ID_HEX_SIZE 65u /* 64 digits and the terminating NUL */

struct hf_id {
    uint8_t b[HF_ID_SIZE]; /* big-endian */
};

/* Order of the numbers: < 0, 0, > 0. */
int hf_id_compare(const struct hf_id *a, const struct hf_id *b);
bool hf_id_equal(const struct hf_id *a, const struct hf_id *b);
bool hf_id_is_zero(const struct hf_id *id);

/* Writes 64 lower-case digits and a NUL to `hex`; returns hex. */
const char *hf_id_hex(const struct hf_id *id, char hex[static HF_ID_HEX_SIZE]);

/* Reads exactly 64 hex digits, either case.  False: *id is unspecified. */
bool hf_id_parse(const char *hex, struct hf_id *id);

/* n bytes as 2n lower-case hex digits and a NUL (hex: 2n + 1 bytes, caller's). */
void hf_hex_encode(const uint8_t *bytes, size_t n, char *hex);

#endif
