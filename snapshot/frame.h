/* frame.h - one or several chunks, compressed and sealed together: the unit of reading.
 *
 * Sealed: AES-256-GCM, key used once, over a small header and the (compressed) bytes;
 * role and version are authenticated with it.  To whoever lacks the key a frame is
 * uniformly random, its boundaries included.  Layout: docs/formats.md, Frame. */
#ifndef HOLDFAST_SNAPSHOT_FRAME_H
#define HOLDFAST_SNAPSHOT_FRAME_H

#include "base/err.h"
#include "base/id.h"
#include "snapshot/limits.h"
#include "snapshot/reference.h"

#include <stddef.h>
#include <stdint.h>

enum frame_role { FRAME_DATA = 0, FRAME_TREE = 1, FRAME_CATALOG = 2 };

/* The compression that is meant when nothing is said: zstd's level 2 with a table that
 * finds shorter matches.  On programs it is half as fast again as level 3 and takes 1.3 %
 * more, on text a quarter faster and as small (measured: docs/formats.md, Frame). */
#define FRAME_LEVEL_DEFAULT 2

/* Contexts of the cipher and the compressor; one per thread. */
struct framer; /* opaque */

struct framer *framer_new(void); /* NULL: out of memory */
void framer_free(struct framer *framer);

struct frame_input {
    enum frame_role role;
    int level;            /* zstd's (2 as above); 0: do not compress */
    const uint8_t *plain; /* plain_size bytes: the chunks one after another */
    size_t plain_size;    /* 1..FRAME_PLAIN_MAX */
    const struct hf_id *chunk_ids;
    size_t chunk_count;
};

/* Seals to out (FRAME_SEALED_MAX bytes), sets *size and the one-time key, which comes from
 * the vault's frame_kdf key, 32 random bytes and all that goes into the frame. */
HF_MUST_CHECK enum hf_code frame_seal(struct framer *framer,
                                      const uint8_t frame_kdf[static 32],
                                      const struct frame_input *in, uint8_t *out,
                                      size_t *size, uint8_t key[static HF_AEAD_KEY_SIZE],
                                      struct hf_err *err);

/* The same in two steps, for whoever must know the size before there is a place. */
struct frame_body {
    size_t header; /* bytes of it */
    size_t size;   /* header and content; sealed: HF_AEAD_TAG_SIZE more */
};
/* Writes header and content to `out` (FRAME_SEALED_MAX bytes). */
struct frame_body frame_compress(struct framer *framer, const struct frame_input *in,
                                 uint8_t *out);
/* Seals a body to `out`, which may be where it stands. */
HF_MUST_CHECK enum hf_code
frame_encrypt(struct framer *framer, const uint8_t frame_kdf[static 32],
              const struct frame_input *in, const uint8_t *body, struct frame_body size,
              uint8_t *out, uint8_t key[static HF_AEAD_KEY_SIZE], struct hf_err *err);

/* Opens n sealed bytes (which it overwrites) to plain (FRAME_PLAIN_MAX bytes), sets *size.
 * HF_CORRUPT: not sealed with this key, role and version, or its header lies. */
HF_MUST_CHECK enum hf_code frame_open(struct framer *framer, enum frame_role role,
                                      const uint8_t key[static HF_AEAD_KEY_SIZE],
                                      uint8_t *sealed, size_t n, uint8_t *plain,
                                      size_t *size, struct hf_err *err);

#endif
