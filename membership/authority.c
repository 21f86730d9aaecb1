#include "membership/authority.h"

#include "base/random.h"
#include "base/secret.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define VERSION      1u
#define ENCODED_MAX  64u
#define FIRST_NUMBER 1u

enum authority_key { AUTHORITY_SEED = 2, AUTHORITY_NUMBER = 3 };

struct authority {
    struct hf_secret *seed;
    struct hf_signer *signer;
    uint32_t number;
};

static enum hf_code make(const uint8_t seed[static HF_SEED_SIZE], uint32_t number,
                         struct authority **out, struct hf_err *err)
{
    struct authority *authority = calloc(1, sizeof *authority);

    *out = NULL;
    if (authority == NULL) return hf_fail(err, HF_NO_MEMORY, "authority");
    authority->seed = hf_secret_new(HF_SEED_SIZE);
    authority->signer = hf_signer_new(seed);
    authority->number = number;
    if (authority->seed == NULL || authority->signer == NULL) {
        authority_free(authority);
        return hf_fail(err, HF_NO_MEMORY, "authority");
    }
    memcpy(authority->seed->b, seed, HF_SEED_SIZE);
    *out = authority;
    return HF_OK;
}

enum hf_code authority_new(struct authority **authority, struct hf_err *err)
{
    uint8_t seed[HF_SEED_SIZE];
    enum hf_code rc;

    hf_random(seed, sizeof seed);
    rc = make(seed, FIRST_NUMBER, authority, err);
    hf_wipe(seed, sizeof seed);
    return rc;
}

void authority_free(struct authority *authority)
{
    if (authority == NULL) return;
    hf_signer_free(authority->signer);
    hf_secret_free(authority->seed);
    free(authority);
}

/* The file's content, and what the recovery code says. */
static size_t encode(const struct authority *authority, uint8_t bytes[static ENCODED_MAX])
{
    struct hf_writer w = hf_writer_init(bytes, ENCODED_MAX);

    hf_put_header(&w, 2, HF_TYPE_AUTHORITY, VERSION);
    hf_put_key(&w, AUTHORITY_SEED);
    hf_put_bytes(&w, authority->seed->b, HF_SEED_SIZE);
    hf_put_key(&w, AUTHORITY_NUMBER);
    hf_put_uint(&w, authority->number);
    return hf_writer_size(&w);
}

static enum hf_code decode(const uint8_t *bytes, size_t n, struct authority **authority,
                           struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 8, HF_TYPE_AUTHORITY, VERSION);
    uint8_t seed[HF_SEED_SIZE] = {0};
    uint32_t number = 0;
    enum hf_code rc;
    int64_t key;

    *authority = NULL;
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case AUTHORITY_SEED: hf_get_fixed(&r, seed, sizeof seed); break;
        case AUTHORITY_NUMBER: number = hf_get_u32(&r); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << AUTHORITY_SEED | 1u << AUTHORITY_NUMBER);
    rc = hf_reader_done(&r) ? make(seed, number, authority, err)
                            : hf_fail(err, HF_CORRUPT, "authority key: does not parse");
    hf_wipe(seed, sizeof seed);
    return rc;
}

enum hf_code authority_load(struct hf_files *files, int dir_fd,
                            struct authority **authority, struct hf_err *err)
{
    uint8_t bytes[ENCODED_MAX];
    enum hf_code rc;
    size_t n;

    *authority = NULL;
    rc = hf_file_load_private(files, dir_fd, AUTHORITY_FILE, bytes, sizeof bytes, &n, err);
    if (rc == HF_OK) rc = decode(bytes, n, authority, err);
    hf_wipe(bytes, sizeof bytes);
    return rc;
}

enum hf_code authority_save(const struct authority *authority, struct hf_files *files,
                            int dir_fd, struct hf_err *err)
{
    uint8_t bytes[ENCODED_MAX];
    const size_t n = encode(authority, bytes);
    const enum hf_code rc =
        hf_file_replace(files, dir_fd, AUTHORITY_FILE, bytes, n, 0600, err);

    hf_wipe(bytes, sizeof bytes);
    return rc;
}

void authority_code(const struct authority *authority, char text[static CODE_TEXT_SIZE])
{
    uint8_t bytes[ENCODED_MAX];
    const size_t n = encode(authority, bytes);

    code_text_encode(AUTHORITY_CODE_PREFIX, bytes, n, text);
    hf_wipe(bytes, sizeof bytes);
}

enum hf_code authority_from_code(const char *text, struct authority **authority,
                                 struct hf_err *err)
{
    uint8_t bytes[CODE_PAYLOAD_MAX];
    enum hf_code rc;
    size_t n;

    *authority = NULL;
    rc = code_text_decode(AUTHORITY_CODE_PREFIX, text, bytes, &n, err);
    if (rc == HF_OK && decode(bytes, n, authority, err) != HF_OK)
        rc = err->code == HF_CORRUPT
                 ? hf_fail(err, HF_WRONG_KEY, "this code is not an authority's")
                 : err->code;
    hf_wipe(bytes, sizeof bytes);
    return rc;
}

const struct hf_signer *authority_signer(const struct authority *authority)
{
    return authority->signer;
}

const struct hf_public_key *authority_public(const struct authority *authority)
{
    return hf_signer_public(authority->signer);
}

uint32_t authority_number(const struct authority *authority)
{
    return authority->number;
}
