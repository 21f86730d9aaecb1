/* The headers between a program and its daemon: round trips, truncation, limits. */
#include "test.h"

#include "blockstore/local_protocol.h"

#include <string.h>

static size_t encode_request(uint8_t *out, size_t size, const struct local_request *r)
{
    struct hf_writer w = hf_writer_init(out, size);

    local_request_put(&w, r);
    return hf_writer_size(&w);
}

static void requests_come_back(void **state)
{
    struct local_request made = {.kind = LOCAL_PUT, .verb = "x", .part_count = 33};
    struct local_request got;
    struct hf_err err;
    uint8_t bytes[LOCAL_HEADER_MAX];
    size_t n;

    made.vault.b[0] = 1;
    made.block.b[31] = 2;
    for (size_t i = 0; i < made.part_count; i++)
        made.sizes[i] = (uint32_t)(1900000 + i);
    n = encode_request(bytes, sizeof bytes, &made);
    assert_true(n > 0);
    assert_int_equal(local_request_parse(bytes, n, &got, &err), HF_OK);
    assert_memory_equal(&made, &got, sizeof made);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(local_request_parse(bytes, i, &got, &err), HF_CORRUPT);
    assert_int_equal(local_request_parse(bytes, n + 1, &got, &err), HF_CORRUPT);
    (void)state;
}

static void replies_come_back(void **state)
{
    struct local_reply made = {.code = HF_DEGRADED, .number_count = 3, .part_count = 2};
    struct local_reply got;
    struct hf_err err;
    uint8_t bytes[LOCAL_HEADER_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    size_t n;

    memcpy(made.message, "some blocks \xff", 13);
    made.numbers[2] = UINT64_MAX;
    made.sizes[1] = LOCAL_PART_MAX;
    local_reply_put(&w, &made);
    n = hf_writer_size(&w);
    assert_int_equal(local_reply_parse(bytes, n, &got, &err), HF_OK);
    assert_memory_equal(&made, &got, sizeof made);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(local_reply_parse(bytes, i, &got, &err), HF_CORRUPT);
    (void)state;
}

static void what_is_too_large_is_refused(void **state)
{
    struct local_request made = {.kind = LOCAL_PUT, .part_count = 1};
    struct local_request got;
    struct hf_err err;
    uint8_t bytes[LOCAL_HEADER_MAX];

    made.sizes[0] = LOCAL_PART_MAX + 1;
    assert_int_equal(
        local_request_parse(bytes, encode_request(bytes, sizeof bytes, &made), &got, &err),
        HF_CORRUPT);
    made.part_count = 20;
    for (size_t i = 0; i < made.part_count; i++)
        made.sizes[i] = LOCAL_PART_MAX;
    assert_int_equal(
        local_request_parse(bytes, encode_request(bytes, sizeof bytes, &made), &got, &err),
        HF_CORRUPT);
    made.part_count = 0;
    made.kind = (enum local_kind)0;
    assert_int_equal(
        local_request_parse(bytes, encode_request(bytes, sizeof bytes, &made), &got, &err),
        HF_CORRUPT);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_back),
        cmocka_unit_test(replies_come_back),
        cmocka_unit_test(what_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
