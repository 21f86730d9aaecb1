/* The messages before membership is proven: hello, join request, join reply, frames. */
#include "membership/join.h"
#include "membership/link_frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What parsed is written again as the same bytes, up to ignored fields. */
static void must_fit(const struct hf_writer *w)
{
    if (hf_writer_size(w) == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct hf_public_key key = {{1}};
    struct link_hello hello;
    struct join_request request;
    struct join_reply reply;
    struct link_peer peer;
    struct hf_id fingerprint;
    uint8_t again[LINK_HELLO_MAX];
    struct hf_writer w = hf_writer_init(again, sizeof again);
    enum link_kind kind;
    const uint8_t *body;
    struct hf_err err;
    uint32_t sizes[2];
    size_t size;

    memset(&fingerprint, 2, sizeof fingerprint);
    if (n >= LINK_SIZES_SIZE) (void)(link_sizes_get(bytes, &sizes[0], &sizes[1]));
    if (link_header_get(bytes, n, &kind, &body, &size) && body + size != bytes + n) abort();
    if (link_hello_parse(bytes, n, &hello, &err) == HF_OK) {
        link_hello_put(&w, &hello);
        must_fit(&w);
        if (link_hello_verify(&hello, &fingerprint, &key, &peer, &err) == HF_OK) abort();
    }
    if (join_request_parse(bytes, n, &request, &err) == HF_OK) {
        w = hf_writer_init(again, JOIN_REQUEST_MAX);
        join_request_put(&w, &request);
        must_fit(&w);
    }
    if (join_reply_parse(bytes, n, &reply, &err) == HF_OK) {
        w = hf_writer_init(again, JOIN_REPLY_MAX);
        join_reply_put(&w, &reply);
        must_fit(&w);
    }
    return 0;
}
