/* cbor.h - the bounded codec for all that Holdfast writes to disk and wire.
 *
 * Deterministic CBOR (RFC 8949, section 4.2) restricted to unsigned and negative
 * integers, byte strings, text strings, arrays, maps with integer keys, booleans
 * and null.  Shortest heads only, definite lengths only, map keys in ascending
 * encoded order (0, 1, 2, ..., then -1, -2, ...), nothing trailing.
 *
 * Neither side allocates.  Failure is sticky on both: write or read a whole
 * record, then ask once.  Not thread-safe: one owner. */
#ifndef HOLDFAST_BASE_CBOR_H
#define HOLDFAST_BASE_CBOR_H

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_CBOR_DEPTH_MAX 16u /* nesting that hf_get_skip follows */
#define HF_CBOR_HEAD_MAX  9u  /* bytes of the longest head */

/* ---- writing ---- */

/* Writes into [start, end), the caller's.  Once something does not fit nothing
 * more is written and `failed` stays true; `wanted` goes on counting the bytes
 * that the whole would need. */
struct hf_writer {
    uint8_t *start, *pos, *end;
    size_t wanted;
    bool failed;
};

struct hf_writer hf_writer_init(void *bytes, size_t size);

/* Bytes written so far, or 0 after a failure. */
size_t hf_writer_size(const struct hf_writer *w);

void hf_put_uint(struct hf_writer *w, uint64_t value);
void hf_put_int(struct hf_writer *w, int64_t value);
void hf_put_bool(struct hf_writer *w, bool value);
void hf_put_null(struct hf_writer *w);
void hf_put_bytes(struct hf_writer *w, const void *bytes, size_t n);
void hf_put_text(struct hf_writer *w, const char *text, size_t n);
void hf_put_id(struct hf_writer *w, const struct hf_id *id);
void hf_put_array(struct hf_writer *w, uint64_t count); /* `count` items follow */
void hf_put_map(struct hf_writer *w, uint64_t count);   /* `count` pairs follow */
void hf_put_key(struct hf_writer *w, int64_t key);      /* as hf_put_int */
void hf_put_raw(struct hf_writer *w, const void *cbor,
                size_t n); /* encoded items, verbatim */

/* A map whose first two pairs are {0: type, 1: version}; `more` pairs follow. */
void hf_put_header(struct hf_writer *w, uint64_t more, uint32_t type, uint32_t version);

/* ---- reading ---- */

/* Borrows [pos, end).  After the first failure every getter returns 0, false or
 * NULL and moves nothing. */
struct hf_reader {
    const uint8_t *start, *pos, *end;
    bool failed;
};

struct hf_reader hf_reader_init(const void *bytes, size_t n);

/* True when everything parsed and nothing is left over. */
bool hf_reader_done(const struct hf_reader *r);
bool hf_reader_ok(const struct hf_reader *r);
/* Bytes not yet read. */
size_t hf_reader_left(const struct hf_reader *r);
/* For a value that parses but breaks a rule of its record. */
void hf_reader_fail(struct hf_reader *r);

uint64_t hf_get_uint(struct hf_reader *r, uint64_t max); /* fails above max */
uint32_t hf_get_u32(struct hf_reader *r);
uint64_t hf_get_u64(struct hf_reader *r);
int64_t hf_get_int(struct hf_reader *r);
bool hf_get_bool(struct hf_reader *r);
void hf_get_null(struct hf_reader *r);
/* In place; *n <= max.  NULL on failure; an empty string is a valid pointer. */
const uint8_t *hf_get_bytes(struct hf_reader *r, size_t max, size_t *n);
const char *hf_get_text(struct hf_reader *r, size_t max, size_t *n); /* no NUL at the end */
/* A byte string of exactly n bytes, copied to `out` (zeroed on failure). */
void hf_get_fixed(struct hf_reader *r, void *out, size_t n);
void hf_get_id(struct hf_reader *r, struct hf_id *id);
/* Text copied to out (size bytes) with a NUL; fails when it does not fit or holds a NUL. */
void hf_get_string(struct hf_reader *r, char *out, size_t size);
/* An element count.  Fails unless count <= max and that many items of at least
 * `item_min` bytes (> 0) can still follow: nothing is allocated on a count alone. */
uint32_t hf_get_array(struct hf_reader *r, uint32_t max, size_t item_min);
/* True, and consumed, when the next item is null. */
bool hf_get_if_null(struct hf_reader *r);
/* One whole item of any kind, in place (for what is handed on unparsed): its bytes. */
const uint8_t *hf_get_item(struct hf_reader *r, size_t *n);

/* A map with integer keys, read pair by pair:
 *
 *     struct hf_map m = hf_get_map(&r, 16);
 *     int64_t key;
 *     while (hf_map_next(&r, &m, &key)) {
 *         switch (key) {
 *         case 2: x = hf_get_u32(&r); break;
 *         default: hf_map_other(&r, key);
 *         }
 *     }
 *     hf_map_require(&r, &m, 1u << 2);
 */
struct hf_map {
    uint32_t left;
    bool first;
    int64_t last;
    uint64_t seen; /* bit i: key i (0..63) was there */
};

struct hf_map hf_get_map(struct hf_reader *r, uint32_t max);
/* False at the end or on failure.  Fails when keys are not in order. */
bool hf_map_next(struct hf_reader *r, struct hf_map *m, int64_t *key);
/* The rule for unknown keys: >= 0 fails, < 0 is skipped. */
void hf_map_other(struct hf_reader *r, int64_t key);
bool hf_map_has(const struct hf_map *m, unsigned key);
/* Fails unless every key whose bit is set in `mask` was there. */
void hf_map_require(struct hf_reader *r, const struct hf_map *m, uint64_t mask);
/* As hf_get_map, and reads {0: type, 1: version} from it; fails when they differ. */
struct hf_map hf_get_header(struct hf_reader *r, uint32_t max, uint32_t type,
                            uint32_t version);
/* The type of the record at the start of `bytes`, or 0 when it is none. */
uint32_t hf_record_type(const void *bytes, size_t n);

#endif
