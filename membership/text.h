/* text.h - the small texts of membership: names, addresses, and codes that people type. */
#ifndef HOLDFAST_MEMBERSHIP_TEXT_H
#define HOLDFAST_MEMBERSHIP_TEXT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_SIZE        64u /* of a ring or member, with the NUL */
#define SITE_SIZE        33u
#define ADDRESS_SIZE     81u /* "host:port" or "[v6]:port", with the NUL */
#define CODE_PAYLOAD_MAX 256u
#define ADDRESS_LIST_MAX 4u
/* Of an address_list as text, with ", " between. */
#define ADDRESS_LIST_SIZE (ADDRESS_LIST_MAX * (ADDRESS_SIZE + 1u))
#define CODE_TEXT_SIZE    360u /* prefix, base64url of payload and checksum, NUL */

/* 1 byte or more, fewer than `size`, no control characters. */
bool name_valid(const char *name, size_t size);

/* Splits "host:port" or "[v6]:port".  False: malformed; a port is 1..65535. */
bool address_split(const char *address, char host[static ADDRESS_SIZE],
                   char port[static 6]);

struct address_list {
    char at[ADDRESS_LIST_MAX][ADDRESS_SIZE]; /* what is behind `count` is zero */
    size_t count;
};

/* Addresses separated by commas, white space around them allowed.  False: one of them is
 * malformed, or there are none, or more than ADDRESS_LIST_MAX. */
bool address_list_parse(const char *text, struct address_list *list);

/* prefix || base64url(n bytes || first 4 of their SHA-256), without padding, to `text`.
 * n <= CODE_PAYLOAD_MAX. */
void code_text_encode(const char *prefix, const uint8_t *bytes, size_t n,
                      char text[static CODE_TEXT_SIZE]);

/* The way back; surrounding white space is allowed.  HF_WRONG_KEY: another prefix, a
 * character that cannot be, a wrong length or checksum.  *n <= CODE_PAYLOAD_MAX. */
HF_MUST_CHECK enum hf_code code_text_decode(const char *prefix, const char *text,
                                            uint8_t bytes[static CODE_PAYLOAD_MAX],
                                            size_t *n, struct hf_err *err);

#endif
