#include "dht/message.h"

#include "base/types.h"
#include "erasure/manifest.h"

#include <string.h>

#define MESSAGE_VERSION  1u
#define MESSAGE_KEYS_MAX 24u
#define CODE_WIRE_MAX    255u

enum {
    KEY_KIND = 2,
    KEY_REQUEST = 3,
    KEY_CODE = 4,
    KEY_VAULT = 5,
    KEY_BLOCK = 6,
    KEY_GENERATION = 7,
    KEY_INDEX = 8,
    KEY_MANIFEST = 9
};
#define BIT(key) (1u << (key))
#define COMMON   (BIT(0) | BIT(1) | BIT(KEY_KIND) | BIT(KEY_REQUEST))
#define ANSWER   (COMMON | BIT(KEY_CODE))

enum payload_rule { PAYLOAD_NONE, PAYLOAD_SOME, PAYLOAD_ANY };

/* The keys and the payload that a message has. */
struct shape {
    uint32_t keys;
    enum payload_rule payload;
};

static struct shape shape_of(enum dht_message_kind kind, enum hf_code code)
{
    const uint32_t fragment = BIT(KEY_INDEX) | BIT(KEY_MANIFEST);

    switch (kind) {
    case DHT_STORE: return (struct shape){COMMON | fragment, PAYLOAD_SOME};
    case DHT_FETCH:
        return (struct shape){
            COMMON | BIT(KEY_VAULT) | BIT(KEY_BLOCK) | BIT(KEY_GENERATION), PAYLOAD_NONE};
    case DHT_FETCHED:
        return code == HF_OK ? (struct shape){ANSWER | fragment, PAYLOAD_SOME}
                             : (struct shape){ANSWER, PAYLOAD_NONE};
    case DHT_HAVE: return (struct shape){COMMON | BIT(KEY_VAULT), PAYLOAD_SOME};
    case DHT_RECORD_STORE: return (struct shape){COMMON, PAYLOAD_SOME};
    case DHT_RECORDS_FETCH: return (struct shape){COMMON | BIT(KEY_VAULT), PAYLOAD_NONE};
    case DHT_STORED: return (struct shape){ANSWER, PAYLOAD_NONE};
    case DHT_HAD:
    case DHT_RECORD_STORED:
    case DHT_RECORDS_FETCHED: return (struct shape){ANSWER, PAYLOAD_ANY};
    }
    return (struct shape){0, PAYLOAD_NONE};
}

bool dht_message_is_answer(enum dht_message_kind kind)
{
    return (kind & 1) == 0;
}

void dht_message_ref(struct dht_message *message)
{
    (void)hf_buffer_ref(message->manifest);
    (void)hf_buffer_ref(message->payload);
}

void dht_message_done(struct dht_message *message)
{
    hf_buffer_unref(message->manifest);
    hf_buffer_unref(message->payload);
    memset(message, 0, sizeof *message);
}

void dht_message_put(struct hf_writer *w, const struct dht_message *message)
{
    uint32_t keys = shape_of(message->kind, message->code).keys;

    hf_put_header(w, (uint64_t)__builtin_popcount(keys) - 2, HF_TYPE_DHT_MESSAGE,
                  MESSAGE_VERSION);
    hf_put_key(w, KEY_KIND);
    hf_put_uint(w, message->kind);
    hf_put_key(w, KEY_REQUEST);
    hf_put_uint(w, message->request);
    if (keys & BIT(KEY_CODE)) {
        hf_put_key(w, KEY_CODE);
        hf_put_uint(w, message->code);
    }
    if (keys & BIT(KEY_VAULT)) {
        hf_put_key(w, KEY_VAULT);
        hf_put_id(w, &message->vault);
    }
    if (keys & BIT(KEY_BLOCK)) {
        hf_put_key(w, KEY_BLOCK);
        hf_put_id(w, &message->block);
    }
    if (keys & BIT(KEY_GENERATION)) {
        hf_put_key(w, KEY_GENERATION);
        hf_put_uint(w, message->generation);
    }
    if (keys & BIT(KEY_INDEX)) {
        hf_put_key(w, KEY_INDEX);
        hf_put_uint(w, message->index);
    }
    if (keys & BIT(KEY_MANIFEST)) {
        hf_put_key(w, KEY_MANIFEST);
        hf_put_bytes(w, message->manifest->b, message->manifest->size);
    }
}

/* The manifest's bytes, in place. */
struct bytes {
    const uint8_t *b;
    size_t size;
};

static void get_field(struct hf_reader *r, int64_t key, struct dht_message *message,
                      struct bytes *manifest)
{
    switch (key) {
    case KEY_KIND:
        message->kind = (enum dht_message_kind)hf_get_uint(r, DHT_RECORDS_FETCHED);
        break;
    case KEY_REQUEST: message->request = hf_get_u64(r); break;
    case KEY_CODE: message->code = (enum hf_code)hf_get_uint(r, CODE_WIRE_MAX); break;
    case KEY_VAULT: hf_get_id(r, &message->vault); break;
    case KEY_BLOCK: hf_get_id(r, &message->block); break;
    case KEY_GENERATION: message->generation = hf_get_u32(r); break;
    case KEY_INDEX:
        message->index = (uint32_t)hf_get_uint(r, CODE_FRAGMENTS_MAX - 1);
        break;
    case KEY_MANIFEST:
        manifest->b = hf_get_bytes(r, MANIFEST_SIZE_MAX, &manifest->size);
        break;
    default: hf_map_other(r, key);
    }
}

static bool payload_fits(enum payload_rule rule, const struct hf_buffer *payload)
{
    if (payload == NULL) return rule != PAYLOAD_SOME;
    return rule != PAYLOAD_NONE && payload->size > 0 && payload->size <= DHT_PAYLOAD_MAX;
}

enum hf_code dht_message_parse(const void *header, size_t n, struct hf_buffer *payload,
                               struct dht_message *message, struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(header, n > DHT_HEADER_MAX ? 0 : n);
    struct hf_map m =
        hf_get_header(&r, MESSAGE_KEYS_MAX, HF_TYPE_DHT_MESSAGE, MESSAGE_VERSION);
    struct bytes manifest = {NULL, 0};
    struct shape shape;
    int64_t key;

    memset(message, 0, sizeof *message);
    while (hf_map_next(&r, &m, &key))
        get_field(&r, key, message, &manifest);
    shape = shape_of(message->kind, message->code);
    if (!hf_reader_done(&r) || shape.keys == 0 || m.seen != shape.keys)
        return hf_fail(err, HF_CORRUPT, "message: a header of %zu bytes does not parse", n);
    if (!payload_fits(shape.payload, payload))
        return hf_fail(err, HF_CORRUPT, "message: kind %u with a payload of %zu bytes",
                       (unsigned)message->kind, payload == NULL ? 0 : payload->size);
    if (manifest.b != NULL) {
        message->manifest = hf_buffer_new(manifest.size);
        if (message->manifest == NULL) return hf_fail(err, HF_NO_MEMORY, "message");
        memcpy(message->manifest->b, manifest.b, manifest.size);
    }
    message->payload = hf_buffer_ref(payload);
    return HF_OK;
}
