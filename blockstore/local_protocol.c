#include "blockstore/local_protocol.h"

#include "base/types.h"

#include <string.h>

#define VERSION 1u

enum request_key {
    REQUEST_KIND = 2,
    REQUEST_VAULT = 3,
    REQUEST_BLOCK = 4,
    REQUEST_VERB = 5,
    REQUEST_SIZES = 6
};
enum reply_key {
    REPLY_CODE = 2,
    REPLY_MESSAGE = 3,
    REPLY_NUMBERS = 4,
    REPLY_NODE = 5,
    REPLY_SIZES = 6
};

static void put_sizes(struct hf_writer *w, int64_t key, const uint32_t *sizes, size_t count)
{
    hf_put_key(w, key);
    hf_put_array(w, count);
    for (size_t i = 0; i < count; i++)
        hf_put_uint(w, sizes[i]);
}

static size_t get_sizes(struct hf_reader *r, uint32_t sizes[static LOCAL_PARTS_MAX])
{
    size_t count = hf_get_array(r, LOCAL_PARTS_MAX, 1);
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++) {
        sizes[i] = (uint32_t)hf_get_uint(r, LOCAL_PART_MAX);
        total += sizes[i];
    }
    if (total > LOCAL_BYTES_MAX) hf_reader_fail(r);
    return count;
}

void local_request_put(struct hf_writer *w, const struct local_request *request)
{
    hf_put_header(w, 5, HF_TYPE_LOCAL_REQUEST, VERSION);
    hf_put_key(w, REQUEST_KIND);
    hf_put_uint(w, (uint64_t)request->kind);
    hf_put_key(w, REQUEST_VAULT);
    hf_put_id(w, &request->vault);
    hf_put_key(w, REQUEST_BLOCK);
    hf_put_id(w, &request->block);
    hf_put_key(w, REQUEST_VERB);
    hf_put_text(w, request->verb, strlen(request->verb));
    put_sizes(w, REQUEST_SIZES, request->sizes, request->part_count);
}

enum hf_code local_request_parse(const void *bytes, size_t n, struct local_request *request,
                                 struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_LOCAL_REQUEST, VERSION);
    int64_t key;

    memset(request, 0, sizeof *request);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case REQUEST_KIND:
            request->kind = (enum local_kind)hf_get_uint(&r, LOCAL_ADMIN);
            break;
        case REQUEST_VAULT: hf_get_id(&r, &request->vault); break;
        case REQUEST_BLOCK: hf_get_id(&r, &request->block); break;
        case REQUEST_VERB: hf_get_string(&r, request->verb, sizeof request->verb); break;
        case REQUEST_SIZES: request->part_count = get_sizes(&r, request->sizes); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x7c);
    if (!hf_reader_done(&r) || request->kind < LOCAL_INFO)
        return hf_fail(err, HF_CORRUPT, "local request: %zu bytes do not parse", n);
    return HF_OK;
}

void local_reply_put(struct hf_writer *w, const struct local_reply *reply)
{
    hf_put_header(w, 5, HF_TYPE_LOCAL_REPLY, VERSION);
    hf_put_key(w, REPLY_CODE);
    hf_put_uint(w, (uint64_t)reply->code);
    hf_put_key(w, REPLY_MESSAGE);
    hf_put_bytes(w, reply->message, strlen(reply->message));
    hf_put_key(w, REPLY_NUMBERS);
    hf_put_array(w, reply->number_count);
    for (size_t i = 0; i < reply->number_count; i++)
        hf_put_uint(w, reply->numbers[i]);
    hf_put_key(w, REPLY_NODE);
    hf_put_id(w, &reply->node);
    put_sizes(w, REPLY_SIZES, reply->sizes, reply->part_count);
}

static void get_message(struct hf_reader *r, char out[static LOCAL_MESSAGE_SIZE])
{
    size_t n;
    const uint8_t *text = hf_get_bytes(r, LOCAL_MESSAGE_SIZE - 1, &n);

    if (text != NULL && n > 0) memcpy(out, text, n);
}

enum hf_code local_reply_parse(const void *bytes, size_t n, struct local_reply *reply,
                               struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_LOCAL_REPLY, VERSION);
    int64_t key;

    memset(reply, 0, sizeof *reply);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case REPLY_CODE: reply->code = (enum hf_code)hf_get_uint(&r, 255); break;
        case REPLY_MESSAGE: get_message(&r, reply->message); break;
        case REPLY_NUMBERS:
            reply->number_count = hf_get_array(&r, LOCAL_NUMBERS_MAX, 1);
            for (size_t i = 0; i < reply->number_count; i++)
                reply->numbers[i] = hf_get_u64(&r);
            break;
        case REPLY_NODE: hf_get_id(&r, &reply->node); break;
        case REPLY_SIZES: reply->part_count = get_sizes(&r, reply->sizes); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x7c);
    if (!hf_reader_done(&r))
        return hf_fail(err, HF_CORRUPT, "the daemon's answer: %zu bytes do not parse", n);
    return HF_OK;
}
