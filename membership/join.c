#include "membership/join.h"

#include "base/types.h"

#include <string.h>

#define VERSION 1u

enum hello_key { HELLO_RING = 2, HELLO_CERTIFICATE = 3 };
enum request_key { REQUEST_KEY = 2, REQUEST_NAME = 3, REQUEST_PROOF = 4 };
enum reply_key { REPLY_CODE = 2, REPLY_TEXT = 3, REPLY_RING = 4, REPLY_CERTIFICATE = 5 };

static void fact_put(struct hf_writer *w, int64_t key, const struct fact_bytes *fact)
{
    hf_put_key(w, key);
    hf_put_bytes(w, fact->b, fact->size);
}

static void fact_get(struct hf_reader *r, struct fact_bytes *fact)
{
    const uint8_t *bytes = hf_get_bytes(r, FACT_SIZE_MAX, &fact->size);

    if (bytes == NULL)
        fact->size = 0;
    else
        memcpy(fact->b, bytes, fact->size);
}

/* ---- hello ---- */

void link_hello_put(struct hf_writer *w, const struct link_hello *hello)
{
    hf_put_header(w, 2, HF_TYPE_LINK_HELLO, VERSION);
    fact_put(w, HELLO_RING, &hello->ring);
    fact_put(w, HELLO_CERTIFICATE, &hello->certificate);
}

enum hf_code link_hello_parse(const void *bytes, size_t n, struct link_hello *hello,
                              struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_LINK_HELLO, VERSION);
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case HELLO_RING: fact_get(&r, &hello->ring); break;
        case HELLO_CERTIFICATE: fact_get(&r, &hello->certificate); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << HELLO_RING | 1u << HELLO_CERTIFICATE);
    if (hf_reader_done(&r)) return HF_OK;
    return hf_fail(err, HF_CORRUPT, "hello: %zu bytes do not parse", n);
}

enum hf_code link_hello_verify(const struct link_hello *hello,
                               const struct hf_id *fingerprint,
                               const struct hf_public_key *tls_key, struct link_peer *peer,
                               struct hf_err *err)
{
    enum hf_code rc = ring_parameters_parse(hello->ring.b, hello->ring.size, fingerprint,
                                            &peer->ring, err);

    if (rc != HF_OK) return hf_prefix(err, "hello");
    rc = certificate_parse(hello->certificate.b, hello->certificate.size,
                           &peer->ring.authority, &peer->certificate, err);
    if (rc == HF_WRONG_KEY)
        return hf_fail(err, HF_DENIED, "hello: a certificate of another authority");
    if (rc != HF_OK) return hf_prefix(err, "hello");
    if (memcmp(peer->certificate.key.b, tls_key->b, HF_PUBLIC_KEY_SIZE) != 0)
        return hf_fail(err, HF_DENIED, "hello: a certificate of another key");
    return HF_OK;
}

/* ---- request ---- */

void join_request_put(struct hf_writer *w, const struct join_request *request)
{
    hf_put_header(w, 3, HF_TYPE_JOIN_REQUEST, VERSION);
    hf_put_key(w, REQUEST_KEY);
    hf_put_bytes(w, request->key.b, HF_PUBLIC_KEY_SIZE);
    hf_put_key(w, REQUEST_NAME);
    hf_put_text(w, request->name, strlen(request->name));
    hf_put_key(w, REQUEST_PROOF);
    hf_put_id(w, &request->proof);
}

enum hf_code join_request_parse(const void *bytes, size_t n, struct join_request *request,
                                struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_JOIN_REQUEST, VERSION);
    int64_t key;

    memset(request, 0, sizeof *request);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case REQUEST_KEY: hf_get_fixed(&r, request->key.b, HF_PUBLIC_KEY_SIZE); break;
        case REQUEST_NAME: hf_get_string(&r, request->name, sizeof request->name); break;
        case REQUEST_PROOF: hf_get_id(&r, &request->proof); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << REQUEST_KEY | 1u << REQUEST_NAME | 1u << REQUEST_PROOF);
    if (hf_reader_done(&r) && name_valid(request->name, NAME_SIZE)) return HF_OK;
    return hf_fail(err, HF_CORRUPT, "join request: %zu bytes do not parse", n);
}

/* ---- reply ---- */

void join_reply_put(struct hf_writer *w, const struct join_reply *reply)
{
    hf_put_header(w, reply->code == HF_OK ? 4 : 2, HF_TYPE_JOIN_REPLY, VERSION);
    hf_put_key(w, REPLY_CODE);
    hf_put_uint(w, reply->code);
    hf_put_key(w, REPLY_TEXT);
    hf_put_text(w, reply->text, strlen(reply->text));
    if (reply->code != HF_OK) return;
    fact_put(w, REPLY_RING, &reply->ring);
    fact_put(w, REPLY_CERTIFICATE, &reply->certificate);
}

enum hf_code join_reply_parse(const void *bytes, size_t n, struct join_reply *reply,
                              struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_JOIN_REPLY, VERSION);
    const uint64_t refusal = 1u << REPLY_CODE | 1u << REPLY_TEXT;
    const uint64_t facts = 1u << REPLY_RING | 1u << REPLY_CERTIFICATE;
    int64_t key;

    memset(reply, 0, sizeof *reply);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case REPLY_CODE: reply->code = (enum hf_code)hf_get_uint(&r, 255); break;
        case REPLY_TEXT: hf_get_string(&r, reply->text, sizeof reply->text); break;
        case REPLY_RING: fact_get(&r, &reply->ring); break;
        case REPLY_CERTIFICATE: fact_get(&r, &reply->certificate); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, reply->code == HF_OK ? refusal | facts : refusal);
    if (reply->code != HF_OK && (m.seen & facts) != 0) hf_reader_fail(&r);
    if (hf_reader_done(&r)) return HF_OK;
    return hf_fail(err, HF_CORRUPT, "join reply: %zu bytes do not parse", n);
}
