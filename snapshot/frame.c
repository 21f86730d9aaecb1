#include "snapshot/frame.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define VERSION         1u
#define COMPRESSOR_RAW  0u
#define COMPRESSOR_ZSTD 1u
#define HEADER_MAX      32u

enum key { KEY_COMPRESSOR = 2, KEY_SIZE = 3 };

struct framer {
    struct hf_aead *aead;
    ZSTD_CCtx *compressor;
    int level; /* that the compressor is set to */
    ZSTD_DCtx *decompressor;
};

struct framer *framer_new(void)
{
    struct framer *f = calloc(1, sizeof *f);

    if (f == NULL) return NULL;
    f->aead = hf_aead_new();
    f->compressor = ZSTD_createCCtx();
    f->decompressor = ZSTD_createDCtx();
    if (f->aead == NULL || f->compressor == NULL || f->decompressor == NULL) {
        framer_free(f);
        return NULL;
    }
    return f;
}

void framer_free(struct framer *framer)
{
    if (framer == NULL) return;
    hf_aead_free(framer->aead);
    (void)ZSTD_freeCCtx(framer->compressor);
    (void)ZSTD_freeDCtx(framer->decompressor);
    free(framer);
}

/* What is authenticated beside the sealed bytes. */
struct context {
    uint8_t bytes[16];
    size_t size;
};

static struct context context_of(enum frame_role role)
{
    struct context c;
    struct hf_writer w = hf_writer_init(c.bytes, sizeof c.bytes);

    hf_put_array(&w, 3);
    hf_put_uint(&w, HF_TYPE_FRAME);
    hf_put_uint(&w, VERSION);
    hf_put_uint(&w, (uint64_t)role);
    c.size = hf_writer_size(&w);
    return c;
}

static size_t put_header(uint8_t *out, unsigned compressor, size_t plain_size)
{
    struct hf_writer w = hf_writer_init(out, HEADER_MAX);

    hf_put_header(&w, 2, HF_TYPE_FRAME, VERSION);
    hf_put_key(&w, KEY_COMPRESSOR);
    hf_put_uint(&w, compressor);
    hf_put_key(&w, KEY_SIZE);
    hf_put_uint(&w, plain_size);
    return hf_writer_size(&w);
}

/* The key is random, and still differs between frames that differ if randomness ever
 * repeats (a cloned virtual machine): all that decides the sealed bytes goes into it. */
static void derive_key(const uint8_t frame_kdf[static 32], const struct frame_input *in,
                       const uint8_t *header, size_t header_size, uint8_t key[static 32])
{
    uint8_t seed[32 + 32 + HEADER_MAX + 16];
    struct hf_sha256 h;
    struct hf_id chunks;
    struct hf_id derived;
    struct hf_writer w;

    hf_sha256_init(&h);
    hf_sha256_add(&h, in->chunk_ids, in->chunk_count * sizeof *in->chunk_ids);
    hf_sha256_final(&h, &chunks);
    w = hf_writer_init(seed + 32, sizeof seed - 32);
    hf_random(seed, 32);
    hf_put_raw(&w, chunks.b, sizeof chunks.b);
    hf_put_raw(&w, header, header_size);
    hf_put_uint(&w, (uint64_t)in->role);
    hf_put_int(&w, in->level);
    hf_put_uint(&w, ZSTD_versionNumber());
    hf_hmac_sha256(frame_kdf, seed, 32 + hf_writer_size(&w), &derived);
    memcpy(key, derived.b, 32);
    hf_wipe(seed, sizeof seed);
    hf_wipe(&derived, sizeof derived);
}

/* A parameter that zstd refuses leaves it as it was: another level, the same bytes back. */
static void set_level(struct framer *f, int level)
{
    static const struct {
        ZSTD_cParameter parameter;
        int value;
    } finer[] = {{ZSTD_c_strategy, ZSTD_fast}, {ZSTD_c_hashLog, 16}, {ZSTD_c_minMatch, 5}};

    if (level == f->level) return;
    f->level = level;
    (void)ZSTD_CCtx_reset(f->compressor, ZSTD_reset_session_and_parameters);
    (void)ZSTD_CCtx_setParameter(f->compressor, ZSTD_c_compressionLevel, level);
    for (size_t i = 0; level == FRAME_LEVEL_DEFAULT && i < sizeof finer / sizeof finer[0];
         i++)
        (void)ZSTD_CCtx_setParameter(f->compressor, finer[i].parameter, finer[i].value);
}

struct frame_body frame_compress(struct framer *framer, const struct frame_input *in,
                                 uint8_t *out)
{
    size_t header = put_header(out, COMPRESSOR_ZSTD, in->plain_size);
    size_t content = in->plain_size;

    if (in->level != 0) {
        set_level(framer, in->level);
        content = ZSTD_compress2(framer->compressor, out + header, in->plain_size,
                                 in->plain, in->plain_size);
    }
    /* It did not shrink (or the room of plain_size was too small, the same thing): raw. */
    if (ZSTD_isError(content) || content >= in->plain_size) {
        header = put_header(out, COMPRESSOR_RAW, in->plain_size);
        memcpy(out + header, in->plain, in->plain_size);
        content = in->plain_size;
    }
    return (struct frame_body){header, header + content};
}

enum hf_code frame_encrypt(struct framer *framer, const uint8_t frame_kdf[static 32],
                           const struct frame_input *in, const uint8_t *body,
                           struct frame_body size, uint8_t *out,
                           uint8_t key[static HF_AEAD_KEY_SIZE], struct hf_err *err)
{
    struct context c = context_of(in->role);

    derive_key(frame_kdf, in, body, size.header, key);
    return hf_aead_seal(framer->aead, key, (struct hf_aad){c.bytes, c.size}, body,
                        size.size, out, err);
}

enum hf_code frame_seal(struct framer *framer, const uint8_t frame_kdf[static 32],
                        const struct frame_input *in, uint8_t *out, size_t *size,
                        uint8_t key[static HF_AEAD_KEY_SIZE], struct hf_err *err)
{
    struct frame_body body = frame_compress(framer, in, out);

    *size = body.size + HF_AEAD_TAG_SIZE;
    return frame_encrypt(framer, frame_kdf, in, out, body, out, key, err);
}

enum hf_code frame_open(struct framer *framer, enum frame_role role,
                        const uint8_t key[static HF_AEAD_KEY_SIZE], uint8_t *sealed,
                        size_t n, uint8_t *plain, size_t *size, struct hf_err *err)
{
    struct context c = context_of(role);
    struct hf_reader r;
    struct hf_map m;
    uint64_t compressor = COMPRESSOR_RAW;
    int64_t map_key;
    size_t body;
    enum hf_code rc = hf_aead_open(framer->aead, key, (struct hf_aad){c.bytes, c.size},
                                   sealed, n, sealed, err);

    *size = 0;
    if (rc != HF_OK) return hf_prefix(err, "frame");
    r = hf_reader_init(sealed, n - HF_AEAD_TAG_SIZE);
    m = hf_get_header(&r, 8, HF_TYPE_FRAME, VERSION);
    while (hf_map_next(&r, &m, &map_key)) {
        switch (map_key) {
        case KEY_COMPRESSOR: compressor = hf_get_uint(&r, COMPRESSOR_ZSTD); break;
        case KEY_SIZE: *size = (size_t)hf_get_uint(&r, FRAME_PLAIN_MAX); break;
        default: hf_map_other(&r, map_key);
        }
    }
    hf_map_require(&r, &m, 0xc);
    if (!hf_reader_ok(&r)) return hf_fail(err, HF_CORRUPT, "frame: header does not parse");
    body = hf_reader_left(&r);
    if (compressor == COMPRESSOR_RAW) {
        if (body != *size)
            return hf_fail(err, HF_CORRUPT, "frame: %zu bytes, want %zu", body, *size);
        memcpy(plain, r.pos, body);
        return HF_OK;
    }
    if (ZSTD_getFrameContentSize(r.pos, body) != *size ||
        ZSTD_decompressDCtx(framer->decompressor, plain, *size, r.pos, body) != *size)
        return hf_fail(err, HF_CORRUPT, "frame: does not decompress to %zu bytes", *size);
    return HF_OK;
}
