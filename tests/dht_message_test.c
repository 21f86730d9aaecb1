/* dht/message.h and dht/lists.h: the codecs, their vectors, and what they refuse. */
#include "test.h"

#include "dht/lists.h"
#include "dht/message.h"
#include "erasure/manifest.h"
#include "erasure_vector.h"

#include <string.h>

#define KINDS 10u

static struct hf_buffer *filled(size_t n, uint8_t byte)
{
    struct hf_buffer *buffer = hf_buffer_new(n);

    assert_non_null(buffer);
    memset(buffer->b, byte, n);
    return buffer;
}

/* A message of each kind with all that it can have. */
static struct dht_message sample(enum dht_message_kind kind)
{
    struct dht_message m = {.kind = kind, .request = 0x0123456789abcdef};

    switch (kind) {
    case DHT_STORE:
    case DHT_FETCHED:
        m.index = 13;
        m.manifest = filled(40, 0x4d);
        m.payload = filled(100, 0x50);
        break;
    case DHT_FETCH:
        memset(m.block.b, 0xbb, sizeof m.block.b);
        m.generation = 2;
        memset(m.vault.b, 0xaa, sizeof m.vault.b);
        break;
    case DHT_HAVE: m.payload = filled(35, 0x50); /* fall through */
    case DHT_RECORDS_FETCH: memset(m.vault.b, 0xaa, sizeof m.vault.b); break;
    case DHT_STORED: m.code = HF_NO_SPACE; break;
    case DHT_RECORD_STORED:
        m.code = HF_EXISTS;
        m.payload = filled(9, 0x52);
        break;
    case DHT_HAD:
        m.code = HF_INCOMPLETE;
        m.payload = filled(9, 0x50);
        break;
    case DHT_RECORD_STORE:
    case DHT_RECORDS_FETCHED: m.payload = filled(9, 0x52); break;
    }
    return m;
}

static size_t put(const struct dht_message *m, uint8_t header[static DHT_HEADER_MAX])
{
    struct hf_writer w = hf_writer_init(header, DHT_HEADER_MAX);

    dht_message_put(&w, m);
    assert_false(w.failed);
    return hf_writer_size(&w);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= KINDS; kind++) {
        struct dht_message m = sample((enum dht_message_kind)kind), got;
        uint8_t header[DHT_HEADER_MAX];
        struct hf_err err;

        assert_int_equal(dht_message_parse(header, put(&m, header), m.payload, &got, &err),
                         HF_OK);
        assert_int_equal(got.kind, m.kind);
        assert_int_equal(got.request, m.request);
        assert_int_equal(got.code, m.code);
        assert_int_equal(got.index, m.index);
        assert_int_equal(got.generation, m.generation);
        assert_true(hf_id_equal(&got.vault, &m.vault));
        assert_true(hf_id_equal(&got.block, &m.block));
        assert_ptr_equal(got.payload, m.payload);
        assert_true((got.manifest == NULL) == (m.manifest == NULL));
        if (m.manifest != NULL && got.manifest != NULL)
            assert_memory_equal(got.manifest->b, m.manifest->b, m.manifest->size);
        assert_int_equal(dht_message_is_answer(m.kind), kind % 2 == 0);
        dht_message_done(&got);
        dht_message_done(&m);
    }
}

static void golden_vectors(void **state)
{
    uint8_t all[KINDS * DHT_HEADER_MAX];
    size_t size = 0;

    (void)state;
    for (unsigned kind = 1; kind <= KINDS; kind++) {
        struct dht_message m = sample((enum dht_message_kind)kind);

        size += put(&m, all + size);
        dht_message_done(&m);
    }
    vector_check(TEST_SOURCE_DIR "/tests/vectors/dht_messages.hex", all, size);
}

static void every_truncation_fails(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= KINDS; kind++) {
        struct dht_message m = sample((enum dht_message_kind)kind), got;
        uint8_t header[DHT_HEADER_MAX];
        size_t n = put(&m, header);
        struct hf_err err;

        for (size_t i = 0; i < n; i++) {
            uint8_t *cut = malloc(i + 1);

            assert_non_null(cut);
            memcpy(cut, header, i);
            assert_int_equal(dht_message_parse(cut, i, m.payload, &got, &err), HF_CORRUPT);
            free(cut);
        }
        header[n] = 0;
        assert_int_equal(dht_message_parse(header, n + 1, m.payload, &got, &err),
                         HF_CORRUPT);
        assert_int_equal(dht_message_parse(header, SIZE_MAX, m.payload, &got, &err),
                         HF_CORRUPT);
        dht_message_done(&m);
    }
}

static void payloads_are_those_of_the_kind(void **state)
{
    struct hf_buffer *some = filled(4, 1), *empty = filled(0, 0);
    struct hf_buffer huge = {.size = (size_t)DHT_PAYLOAD_MAX + 1, .b = some->b};

    (void)state;
    for (unsigned kind = 1; kind <= KINDS; kind++) {
        struct dht_message m = sample((enum dht_message_kind)kind), got;
        uint8_t header[DHT_HEADER_MAX];
        size_t n = put(&m, header);
        struct hf_err err;
        bool may = m.payload != NULL, must = kind == DHT_STORE || kind == DHT_FETCHED ||
                                             kind == DHT_HAVE || kind == DHT_RECORD_STORE;

        assert_int_equal(dht_message_parse(header, n, empty, &got, &err), HF_CORRUPT);
        assert_int_equal(dht_message_parse(header, n, &huge, &got, &err), HF_CORRUPT);
        assert_int_equal(dht_message_parse(header, n, some, &got, &err),
                         may ? HF_OK : HF_CORRUPT);
        dht_message_done(&got);
        assert_int_equal(dht_message_parse(header, n, NULL, &got, &err),
                         must ? HF_CORRUPT : HF_OK);
        dht_message_done(&got);
        dht_message_done(&m);
    }
    hf_buffer_unref(some);
    hf_buffer_unref(empty);
}

/* A refusal to a fetch carries nothing, and a fragment is not smuggled into one. */
static void a_refused_fetch_is_short(void **state)
{
    struct dht_message m = {.kind = DHT_FETCHED, .request = 1, .code = HF_NOT_FOUND}, got;
    struct hf_buffer *some = filled(4, 1);
    uint8_t header[DHT_HEADER_MAX];
    size_t n = put(&m, header);
    struct hf_err err;

    (void)state;
    assert_int_equal(dht_message_parse(header, n, NULL, &got, &err), HF_OK);
    assert_int_equal(got.code, HF_NOT_FOUND);
    assert_null(got.manifest);
    assert_int_equal(dht_message_parse(header, n, some, &got, &err), HF_CORRUPT);
    hf_buffer_unref(some);
}

static void the_longest_header_fits(void **state)
{
    struct dht_message m = {.kind = DHT_FETCHED,
                            .request = UINT64_MAX,
                            .index = 31,
                            .manifest = filled(MANIFEST_SIZE_MAX, 1),
                            .payload = filled(1, 1)};
    uint8_t header[DHT_HEADER_MAX];
    struct dht_message got;
    struct hf_err err;

    (void)state;
    assert_int_equal(dht_message_parse(header, put(&m, header), m.payload, &got, &err),
                     HF_OK);
    dht_message_done(&got);
    dht_message_done(&m);
    m = (struct dht_message){.kind = DHT_STORE,
                             .manifest = filled(MANIFEST_SIZE_MAX + 1, 1),
                             .payload = filled(1, 1)};
    assert_int_equal(dht_message_parse(header, put(&m, header), m.payload, &got, &err),
                     HF_CORRUPT);
    dht_message_done(&m);
}

static void lists_round_trip(void **state)
{
    static struct hf_id ids[DHT_PRESENCE_MAX], got_ids[DHT_PRESENCE_MAX];
    static struct dht_presence here[DHT_PRESENCE_MAX], got_here[DHT_PRESENCE_MAX];
    uint64_t random = 3;

    (void)state;
    test_random_bytes(&random, ids, sizeof ids);
    for (uint32_t i = 0; i < DHT_PRESENCE_MAX; i++)
        if (i % 3) here[i] = (struct dht_presence){UINT32_MAX - i, 1 + i % 32, 32, i % 32};
    for (size_t n = 0; n <= DHT_PRESENCE_MAX; n += n < 30 ? 1 : 497) {
        struct hf_buffer *a = dht_ids_encode(ids, n), *b = dht_presence_encode(here, n);
        size_t count = 9999;

        assert_true(a != NULL && b != NULL);
        assert_true(dht_ids_parse(a, got_ids, &count));
        assert_int_equal(count, n);
        assert_memory_equal(ids, got_ids, n * sizeof ids[0]);
        assert_true(dht_presence_parse(b, got_here, &count));
        assert_int_equal(count, n);
        assert_memory_equal(here, got_here, n * sizeof here[0]);
        for (size_t cut = 0; n > 0 && n < 5 && cut < 12; cut++) {
            struct hf_buffer shorter = {.size = cut % b->size, .b = b->b};

            assert_false(dht_presence_parse(&shorter, got_here, &count));
            shorter = (struct hf_buffer){.size = cut % a->size, .b = a->b};
            assert_false(dht_ids_parse(&shorter, got_ids, &count));
        }
        hf_buffer_unref(a);
        hf_buffer_unref(b);
    }
}

static void lists_beyond_the_limit_are_refused(void **state)
{
    static struct hf_id ids[DHT_PRESENCE_MAX + 1], got[DHT_PRESENCE_MAX];
    static struct dht_presence here[DHT_PRESENCE_MAX];
    struct hf_buffer *a = dht_ids_encode(ids, DHT_PRESENCE_MAX + 1);
    struct hf_buffer *nulls = filled(DHT_PRESENCE_MAX + 4, 0xf6);
    uint8_t bad[][8] = {{0x81, 0x84, 0, 1, 1, 0},         /* generation 0 */
                        {0x81, 0x84, 1, 0, 1, 0},         /* k = 0 */
                        {0x81, 0x84, 1, 2, 1, 0},         /* k > n */
                        {0x81, 0x84, 1, 1, 1, 1},         /* index = n */
                        {0x81, 0x83, 1, 1, 1},            /* too short */
                        {0x81, 0x84, 1, 1, 0x18, 33, 0}}; /* n = 33 */
    size_t sizes[] = {6, 6, 6, 6, 5, 7}, count;

    (void)state;
    assert_non_null(a);
    assert_false(dht_ids_parse(a, got, &count));
    nulls->b[0] = 0x99; /* an array of 1025 */
    nulls->b[1] = 0x04;
    nulls->b[2] = 0x01;
    assert_false(dht_presence_parse(nulls, here, &count));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct hf_buffer one = {.size = sizes[i], .b = bad[i]};

        assert_false(dht_presence_parse(&one, here, &count));
    }
    hf_buffer_unref(a);
    hf_buffer_unref(nulls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(golden_vectors),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(payloads_are_those_of_the_kind),
        cmocka_unit_test(a_refused_fetch_is_short),
        cmocka_unit_test(the_longest_header_fits),
        cmocka_unit_test(lists_round_trip),
        cmocka_unit_test(lists_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests_name("dht/message", tests, NULL, NULL);
}
