#include "base/cbor.h"

#include <string.h>

enum major {
    MAJOR_UINT = 0,
    MAJOR_NEGATIVE = 1,
    MAJOR_BYTES = 2,
    MAJOR_TEXT = 3,
    MAJOR_ARRAY = 4,
    MAJOR_MAP = 5,
    MAJOR_SIMPLE = 7
};

#define SIMPLE_FALSE 20u
#define SIMPLE_TRUE  21u
#define SIMPLE_NULL  22u

/* ---- writing ---- */

struct hf_writer hf_writer_init(void *bytes, size_t size)
{
    uint8_t *p = bytes;

    return (struct hf_writer){.start = p, .pos = p, .end = p + size};
}

size_t hf_writer_size(const struct hf_writer *w)
{
    return w->failed ? 0 : (size_t)(w->pos - w->start);
}

void hf_put_raw(struct hf_writer *w, const void *cbor, size_t n)
{
    if (__builtin_add_overflow(w->wanted, n, &w->wanted)) w->wanted = SIZE_MAX;
    if (w->failed || n > (size_t)(w->end - w->pos)) {
        w->failed = true;
        return;
    }
    if (n > 0) memcpy(w->pos, cbor, n);
    w->pos += n;
}

static void put_head(struct hf_writer *w, enum major major, uint64_t value)
{
    uint8_t head[HF_CBOR_HEAD_MAX];
    unsigned width = value < 24            ? 0
                     : value <= UINT8_MAX  ? 1
                     : value <= UINT16_MAX ? 2
                     : value <= UINT32_MAX ? 4
                                           : 8;
    unsigned info = width == 0   ? (unsigned)value
                    : width == 1 ? 24
                    : width == 2 ? 25
                    : width == 4 ? 26
                                 : 27;

    head[0] = (uint8_t)((unsigned)major << 5 | info);
    for (unsigned i = 0; i < width; i++)
        head[width - i] = (uint8_t)(value >> (8 * i));
    hf_put_raw(w, head, 1 + width);
}

void hf_put_uint(struct hf_writer *w, uint64_t value)
{
    put_head(w, MAJOR_UINT, value);
}

void hf_put_int(struct hf_writer *w, int64_t value)
{
    if (value >= 0)
        put_head(w, MAJOR_UINT, (uint64_t)value);
    else
        put_head(w, MAJOR_NEGATIVE, ~(uint64_t)value);
}

void hf_put_bool(struct hf_writer *w, bool value)
{
    put_head(w, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void hf_put_null(struct hf_writer *w)
{
    put_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

void hf_put_bytes(struct hf_writer *w, const void *bytes, size_t n)
{
    put_head(w, MAJOR_BYTES, n);
    hf_put_raw(w, bytes, n);
}

void hf_put_text(struct hf_writer *w, const char *text, size_t n)
{
    put_head(w, MAJOR_TEXT, n);
    hf_put_raw(w, text, n);
}

void hf_put_id(struct hf_writer *w, const struct hf_id *id)
{
    hf_put_bytes(w, id->b, sizeof id->b);
}

void hf_put_array(struct hf_writer *w, uint64_t count)
{
    put_head(w, MAJOR_ARRAY, count);
}

void hf_put_map(struct hf_writer *w, uint64_t count)
{
    put_head(w, MAJOR_MAP, count);
}

void hf_put_key(struct hf_writer *w, int64_t key)
{
    hf_put_int(w, key);
}

void hf_put_header(struct hf_writer *w, uint64_t more, uint32_t type, uint32_t version)
{
    hf_put_map(w, 2 + more);
    hf_put_key(w, 0);
    hf_put_uint(w, type);
    hf_put_key(w, 1);
    hf_put_uint(w, version);
}

/* ---- reading ---- */

struct hf_reader hf_reader_init(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    return (struct hf_reader){.start = p, .pos = p, .end = p + n};
}

bool hf_reader_done(const struct hf_reader *r)
{
    return !r->failed && r->pos == r->end;
}

bool hf_reader_ok(const struct hf_reader *r)
{
    return !r->failed;
}

size_t hf_reader_left(const struct hf_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->pos);
}

void hf_reader_fail(struct hf_reader *r)
{
    r->failed = true;
}

/* Reads one head: its major type and value.  Refuses reserved and indefinite lengths
 * and heads longer than needed. */
static bool get_any_head(struct hf_reader *r, unsigned *major, uint64_t *value)
{
    static const uint64_t shortest[] = {24, UINT8_MAX + 1ull, UINT16_MAX + 1ull,
                                        UINT32_MAX + 1ull};
    unsigned info;
    unsigned width;
    uint64_t v = 0;

    if (r->failed || r->pos == r->end) goto fail;
    *major = (unsigned)*r->pos >> 5;
    info = *r->pos & 31u;
    if (info > 27) goto fail;
    if (info < 24) {
        *value = info;
        r->pos++;
        return true;
    }
    width = 1u << (info - 24);
    if (width >= (size_t)(r->end - r->pos)) goto fail;
    for (unsigned i = 1; i <= width; i++)
        v = v << 8 | r->pos[i];
    if (v < shortest[info - 24]) goto fail;
    r->pos += 1 + width;
    *value = v;
    return true;
fail:
    r->failed = true;
    *value = 0;
    return false;
}

static bool get_head(struct hf_reader *r, enum major major, uint64_t *value)
{
    unsigned found;

    if (!get_any_head(r, &found, value)) return false;
    if (found != major) {
        r->failed = true;
        *value = 0;
    }
    return !r->failed;
}

uint64_t hf_get_uint(struct hf_reader *r, uint64_t max)
{
    uint64_t v;

    if (get_head(r, MAJOR_UINT, &v) && v > max) r->failed = true;
    return r->failed ? 0 : v;
}

uint32_t hf_get_u32(struct hf_reader *r)
{
    return (uint32_t)hf_get_uint(r, UINT32_MAX);
}

uint64_t hf_get_u64(struct hf_reader *r)
{
    return hf_get_uint(r, UINT64_MAX);
}

int64_t hf_get_int(struct hf_reader *r)
{
    unsigned major;
    uint64_t v;

    if (!get_any_head(r, &major, &v)) return 0;
    if (v > INT64_MAX || (major != MAJOR_UINT && major != MAJOR_NEGATIVE)) {
        r->failed = true;
        return 0;
    }
    return major == MAJOR_UINT ? (int64_t)v : -1 - (int64_t)v;
}

bool hf_get_bool(struct hf_reader *r)
{
    uint64_t v;

    if (get_head(r, MAJOR_SIMPLE, &v) && v != SIMPLE_FALSE && v != SIMPLE_TRUE)
        r->failed = true;
    return !r->failed && v == SIMPLE_TRUE;
}

bool hf_get_if_null(struct hf_reader *r)
{
    if (r->failed || r->pos == r->end) return false;
    if (*r->pos != (MAJOR_SIMPLE << 5 | SIMPLE_NULL)) return false;
    r->pos++;
    return true;
}

void hf_get_null(struct hf_reader *r)
{
    if (!hf_get_if_null(r)) r->failed = true;
}

static const uint8_t *get_string(struct hf_reader *r, enum major major, size_t max,
                                 size_t *n)
{
    const uint8_t *p;
    uint64_t size;

    *n = 0;
    if (!get_head(r, major, &size)) return NULL;
    if (size > max || size > (size_t)(r->end - r->pos)) {
        r->failed = true;
        return NULL;
    }
    p = r->pos;
    r->pos += size;
    *n = (size_t)size;
    return p;
}

const uint8_t *hf_get_bytes(struct hf_reader *r, size_t max, size_t *n)
{
    return get_string(r, MAJOR_BYTES, max, n);
}

const char *hf_get_text(struct hf_reader *r, size_t max, size_t *n)
{
    return (const char *)get_string(r, MAJOR_TEXT, max, n);
}

void hf_get_fixed(struct hf_reader *r, void *out, size_t n)
{
    size_t got;
    const uint8_t *p = hf_get_bytes(r, n, &got);

    if (p == NULL || got != n) {
        r->failed = true;
        memset(out, 0, n);
        return;
    }
    memcpy(out, p, n);
}

void hf_get_id(struct hf_reader *r, struct hf_id *id)
{
    hf_get_fixed(r, id->b, sizeof id->b);
}

void hf_get_string(struct hf_reader *r, char *out, size_t size)
{
    size_t n;
    const char *p = hf_get_text(r, size - 1, &n);

    if (p != NULL && memchr(p, '\0', n) != NULL) r->failed = true;
    if (r->failed) n = 0;
    if (n > 0) memcpy(out, p, n);
    out[n] = '\0';
}

uint32_t hf_get_array(struct hf_reader *r, uint32_t max, size_t item_min)
{
    uint64_t count;

    if (!get_head(r, MAJOR_ARRAY, &count)) return 0;
    if (count > max || count > (size_t)(r->end - r->pos) / item_min) {
        r->failed = true;
        return 0;
    }
    return (uint32_t)count;
}

/* Walks one item with an explicit stack of what is still open at each level. */
static void skip_item(struct hf_reader *r)
{
    uint64_t open[HF_CBOR_DEPTH_MAX];
    size_t depth = 0;

    open[0] = 1;
    for (;;) {
        unsigned major;
        uint64_t v;

        while (open[depth] == 0) {
            if (depth == 0) return;
            depth--;
        }
        open[depth]--;
        if (!get_any_head(r, &major, &v)) return;
        if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
            if (v > (size_t)(r->end - r->pos)) break;
            r->pos += v;
        } else if (major == MAJOR_ARRAY || major == MAJOR_MAP) {
            size_t left = (size_t)(r->end - r->pos);

            if (v > left || depth + 1 == HF_CBOR_DEPTH_MAX) break;
            open[++depth] = major == MAJOR_MAP ? 2 * v : v;
        } else if (major == MAJOR_SIMPLE) {
            if (v < SIMPLE_FALSE || v > SIMPLE_NULL) break;
        } else if (major != MAJOR_UINT && major != MAJOR_NEGATIVE) {
            break; /* tags */
        }
    }
    r->failed = true;
}

const uint8_t *hf_get_item(struct hf_reader *r, size_t *n)
{
    const uint8_t *p = r->pos;

    skip_item(r);
    *n = r->failed ? 0 : (size_t)(r->pos - p);
    return r->failed ? NULL : p;
}

struct hf_map hf_get_map(struct hf_reader *r, uint32_t max)
{
    struct hf_map m = {.first = true};
    uint64_t count;

    if (!get_head(r, MAJOR_MAP, &count)) return m;
    if (count > max || count > (size_t)(r->end - r->pos) / 2) {
        r->failed = true;
        return m;
    }
    m.left = (uint32_t)count;
    return m;
}

/* Encoded order: 0, 1, 2, ... before -1, -2, ... */
static bool key_follows(int64_t last, int64_t key)
{
    if (last >= 0) return key > last || key < 0;
    return key < last;
}

bool hf_map_next(struct hf_reader *r, struct hf_map *m, int64_t *key)
{
    *key = 0;
    if (r->failed || m->left == 0) return false;
    m->left--;
    *key = hf_get_int(r);
    if (!r->failed && !m->first && !key_follows(m->last, *key)) r->failed = true;
    if (r->failed) return false;
    m->first = false;
    m->last = *key;
    if (*key >= 0 && *key < 64) m->seen |= 1ull << *key;
    return true;
}

void hf_map_other(struct hf_reader *r, int64_t key)
{
    if (key >= 0)
        r->failed = true;
    else
        skip_item(r);
}

bool hf_map_has(const struct hf_map *m, unsigned key)
{
    return key < 64 && (m->seen >> key & 1) != 0;
}

void hf_map_require(struct hf_reader *r, const struct hf_map *m, uint64_t mask)
{
    if ((m->seen & mask) != mask) r->failed = true;
}

struct hf_map hf_get_header(struct hf_reader *r, uint32_t max, uint32_t type,
                            uint32_t version)
{
    struct hf_map m = hf_get_map(r, max);
    int64_t key;

    if (!hf_map_next(r, &m, &key) || key != 0 || hf_get_u32(r) != type) r->failed = true;
    if (!hf_map_next(r, &m, &key) || key != 1 || hf_get_u32(r) != version) r->failed = true;
    return m;
}

uint32_t hf_record_type(const void *bytes, size_t n)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_map(&r, UINT32_MAX);
    int64_t key;
    uint32_t type = 0;

    if (hf_map_next(&r, &m, &key) && key == 0) type = hf_get_u32(&r);
    return r.failed ? 0 : type;
}
