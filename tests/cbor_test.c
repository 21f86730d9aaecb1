/* The codec against RFC 8949's own examples, libcbor's encoder, and every truncation. */
#include "test.h"

#include "base/cbor.h"
#include "base/types.h"

#include <cbor.h>
#include <string.h>

static void heads_are_the_shortest(void **state)
{
    static const uint64_t values[] = {
        0,          1,         23,    24,         255,
        256,        65535,     65536, UINT32_MAX, UINT32_MAX + 1ull,
        1ull << 63, UINT64_MAX};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t ours[16];
        uint8_t theirs[16];
        struct hf_writer w = hf_writer_init(ours, sizeof ours);
        struct hf_reader r;
        size_t n;

        hf_put_uint(&w, values[i]);
        n = cbor_encode_uint(values[i], theirs, sizeof theirs);
        assert_int_equal(hf_writer_size(&w), n);
        assert_memory_equal(ours, theirs, n);
        r = hf_reader_init(ours, n);
        assert_true(hf_get_u64(&r) == values[i]);
        assert_true(hf_reader_done(&r));
    }
    (void)state;
}

static void negative_numbers_agree_with_libcbor(void **state)
{
    static const int64_t values[] = {-1, -24, -25, -256, -257, -65537, INT64_MIN};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t ours[16];
        uint8_t theirs[16];
        struct hf_writer w = hf_writer_init(ours, sizeof ours);
        struct hf_reader r;

        hf_put_int(&w, values[i]);
        assert_int_equal(hf_writer_size(&w),
                         cbor_encode_negint(~(uint64_t)values[i], theirs, sizeof theirs));
        assert_memory_equal(ours, theirs, hf_writer_size(&w));
        r = hf_reader_init(ours, hf_writer_size(&w));
        assert_true(hf_get_int(&r) == values[i]);
    }
    (void)state;
}

/* A record with one of everything, through our writer and libcbor's encoder. */
static size_t ours_write(uint8_t *out, size_t size)
{
    struct hf_writer w = hf_writer_init(out, size);

    hf_put_header(&w, 5, 300, 1);
    hf_put_key(&w, 2);
    hf_put_bytes(&w, "abc", 3);
    hf_put_key(&w, 7);
    hf_put_text(&w, "text", 4);
    hf_put_key(&w, 24);
    hf_put_array(&w, 3);
    hf_put_bool(&w, true);
    hf_put_bool(&w, false);
    hf_put_null(&w);
    hf_put_key(&w, 1000);
    hf_put_int(&w, -1000000);
    hf_put_key(&w, -1);
    hf_put_map(&w, 1);
    hf_put_key(&w, 1);
    hf_put_uint(&w, 2);
    return hf_writer_size(&w);
}

static size_t theirs_write(uint8_t *p, size_t size)
{
    size_t n = 0;

#define ADD(call) n += (call)
    ADD(cbor_encode_map_start(7, p + n, size - n));
    ADD(cbor_encode_uint(0, p + n, size - n));
    ADD(cbor_encode_uint(300, p + n, size - n));
    ADD(cbor_encode_uint(1, p + n, size - n));
    ADD(cbor_encode_uint(1, p + n, size - n));
    ADD(cbor_encode_uint(2, p + n, size - n));
    ADD(cbor_encode_bytestring_start(3, p + n, size - n));
    memcpy(p + n, "abc", 3);
    n += 3;
    ADD(cbor_encode_uint(7, p + n, size - n));
    ADD(cbor_encode_string_start(4, p + n, size - n));
    memcpy(p + n, "text", 4);
    n += 4;
    ADD(cbor_encode_uint(24, p + n, size - n));
    ADD(cbor_encode_array_start(3, p + n, size - n));
    ADD(cbor_encode_bool(true, p + n, size - n));
    ADD(cbor_encode_bool(false, p + n, size - n));
    ADD(cbor_encode_null(p + n, size - n));
    ADD(cbor_encode_uint(1000, p + n, size - n));
    ADD(cbor_encode_negint(999999, p + n, size - n));
    ADD(cbor_encode_negint(0, p + n, size - n));
    ADD(cbor_encode_map_start(1, p + n, size - n));
    ADD(cbor_encode_uint(1, p + n, size - n));
    ADD(cbor_encode_uint(2, p + n, size - n));
#undef ADD
    return n;
}

static bool ours_read(const uint8_t *p, size_t n)
{
    struct hf_reader r = hf_reader_init(p, n);
    struct hf_map m = hf_get_header(&r, 16, 300, 1);
    int64_t key;
    char text[8];
    size_t size;
    bool right = true;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case 2: {
            const uint8_t *b = hf_get_bytes(&r, 3, &size);

            right = right && b != NULL && memcmp(b, "abc", 3) == 0;
            break;
        }
        case 7:
            hf_get_string(&r, text, sizeof text);
            right = right && strcmp(text, "text") == 0;
            break;
        case 24:
            right = right && hf_get_array(&r, 3, 1) == 3;
            right = right && hf_get_bool(&r) && !hf_get_bool(&r);
            hf_get_null(&r);
            break;
        case 1000: right = right && hf_get_int(&r) == -1000000; break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << 2 | 1u << 7 | 1u << 24);
    return right && hf_reader_done(&r);
}

static void records_agree_with_libcbor(void **state)
{
    uint8_t ours[256];
    uint8_t theirs[256];
    size_t n = ours_write(ours, sizeof ours);

    assert_int_equal(n, theirs_write(theirs, sizeof theirs));
    assert_memory_equal(ours, theirs, n);
    assert_true(ours_read(ours, n));
    assert_int_equal(hf_record_type(ours, n), 300);
    (void)state;
}

static void every_truncation_fails(void **state)
{
    uint8_t b[256];
    size_t n = ours_write(b, sizeof b);

    for (size_t i = 0; i < n; i++) {
        uint8_t *exact = malloc(i + 1); /* so that the sanitizer sees a read past the end */

        memcpy(exact, b, i);
        assert_false(ours_read(exact, i));
        assert_int_equal(ours_write(exact, i), 0);
        free(exact);
    }
    b[n] = 0;
    assert_false(ours_read(b, n + 1)); /* trailing */
    (void)state;
}

static void writer_says_what_it_would_need(void **state)
{
    uint8_t b[8];
    struct hf_writer w = hf_writer_init(b, sizeof b);
    uint8_t whole[256];

    hf_put_bytes(&w, whole, 100);
    hf_put_uint(&w, 5);
    assert_true(w.failed);
    assert_int_equal(w.wanted, 103);
    (void)state;
}

static void refuse(const char *bytes, size_t n)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    size_t size;

    assert_null(hf_get_item(&r, &size));
    assert_false(hf_reader_ok(&r));
}

static void what_is_not_deterministic_is_refused(void **state)
{
    struct hf_reader r;
    struct hf_map m;
    int64_t key;

    refuse("\x18\x17", 2);     /* 23 in two bytes */
    refuse("\x19\x00\xff", 3); /* 255 in three */
    refuse("\x1a\x00\x00\xff\xff", 5);
    refuse("\x1b\x00\x00\x00\x00\xff\xff\xff\xff", 9);
    refuse("\x5f\x41\x61\xff", 4); /* indefinite length */
    refuse("\x9f\xff", 2);
    refuse("\xc0\x00", 2);                             /* a tag */
    refuse("\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", 9); /* a float */
    refuse("\xf7", 1);                                 /* undefined */
    refuse("\x1c", 1);                                 /* reserved */
    refuse("\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", 9); /* longer than what is there */
    refuse("\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", 9);
    refuse("\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 9);

    r = hf_reader_init("\xa2\x01\x00\x00\x00", 5); /* keys 1, 0 */
    m = hf_get_map(&r, 4);
    while (hf_map_next(&r, &m, &key))
        (void)hf_get_uint(&r, 9);
    assert_false(hf_reader_ok(&r));
    r = hf_reader_init("\xa2\x01\x00\x01\x00", 5); /* 1, 1 */
    m = hf_get_map(&r, 4);
    while (hf_map_next(&r, &m, &key))
        (void)hf_get_uint(&r, 9);
    assert_false(hf_reader_ok(&r));
    (void)state;
}

static void deep_nesting_ends(void **state)
{
    uint8_t deep[64];
    struct hf_reader r;
    size_t n;

    memset(deep, 0x81, sizeof deep);
    r = hf_reader_init(deep, sizeof deep);
    assert_null(hf_get_item(&r, &n));
    deep[HF_CBOR_DEPTH_MAX - 1] = 0x00;
    r = hf_reader_init(deep, HF_CBOR_DEPTH_MAX);
    assert_non_null(hf_get_item(&r, &n));
    assert_int_equal(n, HF_CBOR_DEPTH_MAX);
    (void)state;
}

static void unknown_keys_follow_the_rule(void **state)
{
    struct hf_reader r = hf_reader_init("\xa1\x20\x82\x01\x02", 5); /* {-1: [1, 2]} */
    struct hf_map m = hf_get_map(&r, 4);
    int64_t key;

    while (hf_map_next(&r, &m, &key))
        hf_map_other(&r, key);
    assert_true(hf_reader_done(&r));
    r = hf_reader_init("\xa1\x05\x01", 3);
    m = hf_get_map(&r, 4);
    while (hf_map_next(&r, &m, &key))
        hf_map_other(&r, key);
    assert_false(hf_reader_ok(&r));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_the_shortest),
        cmocka_unit_test(negative_numbers_agree_with_libcbor),
        cmocka_unit_test(records_agree_with_libcbor),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(writer_says_what_it_would_need),
        cmocka_unit_test(what_is_not_deterministic_is_refused),
        cmocka_unit_test(deep_nesting_ends),
        cmocka_unit_test(unknown_keys_follow_the_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
