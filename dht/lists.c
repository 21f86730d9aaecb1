#include "dht/lists.h"

#include <string.h>

#define ID_ENCODED         (HF_ID_SIZE + 2)
#define PRESENCE_ENCODED   (1 + 5 + 2 + 2 + 2) /* at most */
#define RECORD_ENCODED_MIN 3u

struct hf_buffer *dht_ids_encode(const struct hf_id *ids, size_t count)
{
    struct hf_buffer *buffer = hf_buffer_new(HF_CBOR_HEAD_MAX + count * ID_ENCODED);
    struct hf_writer w;

    if (buffer == NULL) return NULL;
    w = hf_writer_init(buffer->b, buffer->size);
    hf_put_array(&w, count);
    for (size_t i = 0; i < count; i++)
        hf_put_id(&w, &ids[i]);
    buffer->size = hf_writer_size(&w);
    return buffer;
}

bool dht_ids_parse(const struct hf_buffer *payload,
                   struct hf_id ids[static DHT_PRESENCE_MAX], size_t *count)
{
    struct hf_reader r = hf_reader_init(payload->b, payload->size);
    uint32_t n = hf_get_array(&r, DHT_PRESENCE_MAX, ID_ENCODED);

    for (uint32_t i = 0; i < n; i++)
        hf_get_id(&r, &ids[i]);
    *count = n;
    return hf_reader_done(&r);
}

struct hf_buffer *dht_presence_encode(const struct dht_presence *presence, size_t count)
{
    struct hf_buffer *buffer = hf_buffer_new(HF_CBOR_HEAD_MAX + count * PRESENCE_ENCODED);
    struct hf_writer w;

    if (buffer == NULL) return NULL;
    w = hf_writer_init(buffer->b, buffer->size);
    hf_put_array(&w, count);
    for (size_t i = 0; i < count; i++) {
        if (presence[i].generation == 0) {
            hf_put_null(&w);
            continue;
        }
        hf_put_array(&w, 4);
        hf_put_uint(&w, presence[i].generation);
        hf_put_uint(&w, presence[i].k);
        hf_put_uint(&w, presence[i].n);
        hf_put_uint(&w, presence[i].index);
    }
    buffer->size = hf_writer_size(&w);
    return buffer;
}

static struct dht_presence presence_get(struct hf_reader *r)
{
    struct dht_presence p = {0};

    if (hf_get_if_null(r)) return p;
    if (hf_get_array(r, 4, 1) != 4) hf_reader_fail(r);
    p.generation = hf_get_u32(r);
    p.k = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX);
    p.n = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX);
    p.index = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX);
    if (p.generation == 0 || p.k == 0 || p.k > p.n || p.index >= p.n) hf_reader_fail(r);
    return p;
}

bool dht_presence_parse(const struct hf_buffer *payload,
                        struct dht_presence presence[static DHT_PRESENCE_MAX],
                        size_t *count)
{
    struct hf_reader r = hf_reader_init(payload->b, payload->size);
    uint32_t n = hf_get_array(&r, DHT_PRESENCE_MAX, 1);

    for (uint32_t i = 0; i < n; i++)
        presence[i] = presence_get(&r);
    *count = n;
    return hf_reader_done(&r);
}

void dht_records_done(struct dht_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        hf_buffer_unref(records->encoded[i]);
    memset(records, 0, sizeof *records);
}

enum dht_record_news dht_record_judge(const struct hf_record *a,
                                      const struct hf_buffer *a_bytes,
                                      const struct hf_record *b,
                                      const struct hf_buffer *b_bytes)
{
    int order = hf_record_compare(a, b);

    if (order != 0) return order > 0 ? DHT_RECORD_NEWER : DHT_RECORD_OLDER;
    if (a_bytes->size == b_bytes->size &&
        memcmp(a_bytes->b, b_bytes->b, a_bytes->size) == 0)
        return DHT_RECORD_SAME;
    return DHT_RECORD_FORK;
}

/* Compares `record` with the one in slot `at`, and takes its place when it is higher. */
static enum dht_record_news replace(struct dht_records *records, size_t at,
                                    const struct hf_record *record, struct hf_buffer *bytes)
{
    struct hf_buffer *old = records->encoded[at];
    struct hf_record there;
    struct hf_err ignored;
    enum dht_record_news news = DHT_RECORD_NEWER;

    if (hf_record_parse(old->b, old->size, &there, &ignored) == HF_OK)
        news = dht_record_judge(record, bytes, &there, old);
    if (news == DHT_RECORD_NEWER) {
        records->encoded[at] = hf_buffer_ref(bytes);
        hf_buffer_unref(old);
    }
    return news;
}

enum dht_record_news dht_records_add(struct dht_records *records, const struct hf_id *vault,
                                     const uint8_t *bytes, size_t n)
{
    enum dht_record_news news = DHT_RECORD_INVALID;
    struct hf_buffer *buffer;
    struct hf_record record;
    struct hf_err ignored;
    size_t at = 0;

    if (n > HF_RECORD_MAX || hf_record_parse(bytes, n, &record, &ignored) != HF_OK ||
        !hf_id_equal(&record.vault, vault))
        return DHT_RECORD_INVALID;
    buffer = hf_buffer_new(n);
    if (buffer == NULL) return DHT_RECORD_INVALID;
    memcpy(buffer->b, bytes, n);
    while (at < records->count && hf_id_compare(&records->hosts[at], &record.host) < 0)
        at++;
    if (at < records->count && hf_id_equal(&records->hosts[at], &record.host)) {
        news = replace(records, at, &record, buffer);
    } else if (records->count < DHT_SLOTS_MAX) {
        size_t behind = records->count - at;

        memmove(&records->hosts[at + 1], &records->hosts[at], behind * sizeof record.host);
        memmove(&records->encoded[at + 1], &records->encoded[at],
                behind * sizeof(struct hf_buffer *));
        records->hosts[at] = record.host;
        records->encoded[at] = hf_buffer_ref(buffer);
        records->count++;
        news = DHT_RECORD_NEWER;
    }
    hf_buffer_unref(buffer);
    return news;
}

struct hf_buffer *dht_records_encode(const struct dht_records *records)
{
    size_t size = HF_CBOR_HEAD_MAX;
    struct hf_buffer *buffer;
    struct hf_writer w;

    for (size_t i = 0; i < records->count; i++)
        size += HF_CBOR_HEAD_MAX + records->encoded[i]->size;
    buffer = hf_buffer_new(size);
    if (buffer == NULL) return NULL;
    w = hf_writer_init(buffer->b, size);
    hf_put_array(&w, records->count);
    for (size_t i = 0; i < records->count; i++)
        hf_put_bytes(&w, records->encoded[i]->b, records->encoded[i]->size);
    buffer->size = hf_writer_size(&w);
    return buffer;
}

uint32_t dht_records_open(const struct hf_buffer *payload, struct hf_reader *r)
{
    if (payload == NULL) {
        *r = hf_reader_init(NULL, 0);
        return 0;
    }
    *r = hf_reader_init(payload->b, payload->size);
    return hf_get_array(r, DHT_SLOTS_MAX, RECORD_ENCODED_MIN);
}

const uint8_t *dht_records_next(struct hf_reader *r, size_t *n)
{
    return hf_get_bytes(r, HF_RECORD_MAX, n);
}
