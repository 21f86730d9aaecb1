/* daemon/local_reader.h: the same requests however the bytes arrive. */
#include "daemon/local_reader.h"
#include "test.h"

#include <string.h>

/* Two requests, one behind the other, as they are sent. */
struct stream {
    uint8_t bytes[2 * (4 + LOCAL_HEADER_MAX) + 4096];
    size_t n;
};

static void add_request(struct stream *s, const struct local_request *request)
{
    struct hf_writer w = hf_writer_init(s->bytes + s->n + 4, LOCAL_HEADER_MAX);
    size_t n;

    local_request_put(&w, request);
    n = hf_writer_size(&w);
    for (unsigned i = 0; i < 4; i++)
        s->bytes[s->n + i] = (uint8_t)(n >> (24 - 8 * i));
    s->n += 4 + n;
    for (size_t i = 0; i < request->part_count; i++) {
        memset(s->bytes + s->n, (int)i + 1, request->sizes[i]);
        s->n += request->sizes[i];
    }
}

static struct stream two_requests(void)
{
    struct local_request put = {
        .kind = LOCAL_PUT, .part_count = 3, .sizes = {100, 1000, 1000}};
    struct local_request get = {.kind = LOCAL_GET, .block = {{7}}};
    struct stream s = {.n = 0};

    add_request(&s, &put);
    add_request(&s, &get);
    return s;
}

/* Gives the reader bytes[*at .. n), at most `step` at once, until a request is whole. */
static enum hf_code feed(struct local_reader *reader, const struct stream *s, size_t *at,
                         size_t n, size_t step)
{
    struct hf_err err;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && *at < n && reader->state != LOCAL_READER_WHOLE) {
        uint8_t *to;
        size_t room;

        assert_int_equal(local_reader_room(reader, &to, &room, &err), HF_OK);
        assert_true(room > 0);
        if (room > step) room = step;
        if (room > n - *at) room = n - *at;
        memcpy(to, s->bytes + *at, room);
        *at += room;
        rc = local_reader_took(reader, room, &err);
    }
    return rc;
}

static void requests_arrive_in_any_pieces(void **state)
{
    struct stream s = two_requests();
    struct local_reader *reader = malloc(sizeof *reader);

    (void)state;
    assert_non_null(reader);
    for (size_t step = 1; step < 3000; step += 1 + step / 2) {
        size_t at = 0;

        local_reader_init(reader);
        assert_true(local_reader_idle(reader));
        assert_int_equal(feed(reader, &s, &at, s.n, step), HF_OK);
        assert_int_equal(reader->state, LOCAL_READER_WHOLE);
        assert_int_equal(reader->request.kind, LOCAL_PUT);
        assert_int_equal(reader->part_count, 3);
        assert_int_equal(local_reader_parts_size(reader), 2100);
        for (size_t i = 0; i < 3; i++) {
            const struct hf_buffer *part = reader->parts[i];

            assert_int_equal(part->size, i == 0 ? 100 : 1000);
            assert_int_equal(part->b[0], i + 1);
            assert_int_equal(part->b[part->size - 1], i + 1);
        }
        local_reader_next(reader);
        assert_int_equal(feed(reader, &s, &at, s.n, step), HF_OK);
        assert_int_equal(reader->state, LOCAL_READER_WHOLE);
        assert_int_equal(reader->request.kind, LOCAL_GET);
        assert_int_equal(reader->request.block.b[0], 7);
        assert_int_equal(at, s.n);
        local_reader_done(reader);
    }
    free(reader);
}

static void no_truncation_is_whole(void **state)
{
    struct stream s = two_requests();
    struct local_reader *reader = malloc(sizeof *reader);
    size_t whole = 0;

    (void)state;
    assert_non_null(reader);
    local_reader_init(reader);
    assert_int_equal(feed(reader, &s, &whole, s.n, s.n), HF_OK);
    local_reader_done(reader);
    for (size_t n = 0; n < whole; n++) {
        size_t at = 0;

        local_reader_init(reader);
        assert_int_equal(feed(reader, &s, &at, n, s.n), HF_OK);
        assert_int_not_equal(reader->state, LOCAL_READER_WHOLE);
        assert_int_equal(local_reader_idle(reader), n == 0);
        local_reader_done(reader);
    }
    free(reader);
}

static void every_altered_byte_is_survived(void **state)
{
    struct stream s = two_requests();
    struct local_reader *reader = malloc(sizeof *reader);

    (void)state;
    assert_non_null(reader);
    for (size_t i = 0; i < s.n; i++) {
        size_t at = 0;

        s.bytes[i] ^= 0x55;
        local_reader_init(reader);
        if (feed(reader, &s, &at, s.n, s.n) != HF_OK)
            assert_int_not_equal(reader->state, LOCAL_READER_WHOLE);
        local_reader_done(reader);
        s.bytes[i] ^= 0x55;
    }
    free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_arrive_in_any_pieces),
        cmocka_unit_test(no_truncation_is_whole),
        cmocka_unit_test(every_altered_byte_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
