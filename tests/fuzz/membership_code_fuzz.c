/* Codes that people type: what parses is written again as the same text. */
#include "membership/authority.h"
#include "membership/code.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct invitation_code code;
    struct authority *authority;
    char text[600];
    char again[CODE_TEXT_SIZE];
    char payload[CODE_TEXT_SIZE];
    struct hf_err err;

    if (n >= sizeof text) return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    if (invitation_code_parse(text, &code, &err) == HF_OK &&
        (invitation_code_put(&code, again, &err) != HF_OK || strstr(text, again) == NULL))
        abort();
    if (authority_from_code(text, &authority, &err) == HF_OK) authority_free(authority);
    /* The same bytes with prefix and checksum that fit, so that the parser sees them. */
    if (n > CODE_PAYLOAD_MAX) return 0;
    code_text_encode(INVITATION_PREFIX, bytes, n, payload);
    (void)(invitation_code_parse(payload, &code, &err) == HF_OK);
    code_text_encode(AUTHORITY_CODE_PREFIX, bytes, n, payload);
    if (authority_from_code(payload, &authority, &err) == HF_OK) authority_free(authority);
    return 0;
}
