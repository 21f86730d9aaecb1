#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chord/message.h"

#include <stdio.h>
#include <string.h>

static struct chord_peer peer_of(uint8_t fill)
{
    struct chord_peer peer;
    struct hf_id node;

    memset(&node, fill, sizeof node);
    peer = chord_peer_of(&node, fill / 4 % CHORD_POSITIONS_MAX);
    if (fill % 3 != 0)
        peer.coordinate = (struct chord_coordinate){.x_us = -70000 * fill,
                                                    .y_us = 1000 * fill,
                                                    .height_us = 100 + fill,
                                                    .error_milli = 50u + fill};
    return peer;
}

static struct chord_message message_of(enum chord_message_kind kind)
{
    struct chord_message m;

    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.from = peer_of(0x10);
    memset(&m.to, 0x20, sizeof m.to);
    if (kind != CHORD_MESSAGE_NOTIFY && kind != CHORD_MESSAGE_LEAVING &&
        kind != CHORD_MESSAGE_CHANGED)
        m.rpc = UINT64_C(0x0102030405060708);
    if (kind == CHORD_MESSAGE_NEXT_HOP) {
        memset(&m.key, 0x30, sizeof m.key);
        m.wanted = 16;
        m.confirm = true;
    }
    if (kind == CHORD_MESSAGE_NEXT || kind == CHORD_MESSAGE_STATE) {
        m.peer_count = 2;
        m.peers[0] = peer_of(0x40);
        m.peers[1] = peer_of(0x50);
    }
    if (kind == CHORD_MESSAGE_NEXT) m.done = true;
    if (kind == CHORD_MESSAGE_WITNESS) m.subject = peer_of(0x70);
    if (kind == CHORD_MESSAGE_WITNESSED) m.alive = true;
    if (kind == CHORD_MESSAGE_STATE) {
        m.has_predecessor = true;
        m.predecessor = peer_of(0x60);
    }
    return m;
}

static size_t encode(const struct chord_message *m, uint8_t bytes[CHORD_MESSAGE_MAX])
{
    struct hf_writer w = hf_writer_init(bytes, CHORD_MESSAGE_MAX);

    chord_message_put(&w, m);
    return hf_writer_size(&w);
}

static void assert_same_peer(const struct chord_peer *a, const struct chord_peer *b)
{
    assert_true(chord_peer_equal(a, b));
    assert_int_equal(a->index, b->index);
    assert_memory_equal(&a->coordinate, &b->coordinate, sizeof a->coordinate);
}

static void every_kind_comes_back(void **state)
{
    (void)state;
    for (int kind = CHORD_MESSAGE_GET_STATE; kind <= CHORD_MESSAGE_CHANGED; kind++) {
        const struct chord_message m = message_of((enum chord_message_kind)kind);
        uint8_t bytes[CHORD_MESSAGE_MAX];
        const size_t n = encode(&m, bytes);
        struct chord_message back;
        struct hf_err err;

        assert_true(n > 0);
        assert_int_equal(chord_message_parse(bytes, n, &back, &err), HF_OK);
        assert_int_equal(back.kind, m.kind);
        assert_int_equal(back.rpc, m.rpc);
        assert_same_peer(&back.from, &m.from);
        assert_true(hf_id_equal(&back.to, &m.to));
        assert_true(hf_id_equal(&back.key, &m.key));
        assert_int_equal(back.wanted, m.wanted);
        assert_int_equal(back.confirm, m.confirm);
        assert_int_equal(back.done, m.done);
        assert_int_equal(back.has_predecessor, m.has_predecessor);
        assert_same_peer(&back.predecessor, &m.predecessor);
        assert_same_peer(&back.subject, &m.subject);
        assert_int_equal(back.alive, m.alive);
        assert_int_equal(back.peer_count, m.peer_count);
        for (size_t i = 0; i < m.peer_count; i++)
            assert_same_peer(&back.peers[i], &m.peers[i]);
    }
}

static void every_truncation_fails(void **state)
{
    (void)state;
    for (int kind = CHORD_MESSAGE_GET_STATE; kind <= CHORD_MESSAGE_CHANGED; kind++) {
        const struct chord_message m = message_of((enum chord_message_kind)kind);
        uint8_t bytes[CHORD_MESSAGE_MAX + 1];
        const size_t n = encode(&m, bytes);
        struct chord_message back;
        struct hf_err err;

        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(chord_message_parse(bytes, cut, &back, &err), HF_CORRUPT);
        bytes[n] = 0; /* nor may anything trail */
        assert_int_equal(chord_message_parse(bytes, n + 1, &back, &err), HF_CORRUPT);
    }
}

static void the_longest_fits(void **state)
{
    struct chord_message m = message_of(CHORD_MESSAGE_STATE);
    uint8_t bytes[CHORD_MESSAGE_MAX];
    struct chord_message back;
    struct hf_err err;
    size_t n;

    (void)state;
    m.rpc = UINT64_MAX;
    m.peer_count = CHORD_MESSAGE_PEERS_MAX;
    for (size_t i = 0; i < m.peer_count; i++)
        m.peers[i] = peer_of((uint8_t)(3 * i + 1));
    n = encode(&m, bytes);
    assert_true(n > 0);
    assert_int_equal(chord_message_parse(bytes, n, &back, &err), HF_OK);
    assert_int_equal(back.peer_count, CHORD_MESSAGE_PEERS_MAX);
}

/* Fields of another kind, wrong kinds and numbers out of range. */
static void what_a_kind_must_not_have_is_refused(void **state)
{
    const struct {
        enum chord_message_kind as;
        int kind;
        uint32_t wanted;
        size_t peers;
    } cases[] = {
        {CHORD_MESSAGE_NEXT_HOP, CHORD_MESSAGE_PING, 16, 0},
        {CHORD_MESSAGE_STATE, CHORD_MESSAGE_NEXT, 0, 2},
        {CHORD_MESSAGE_PING, CHORD_MESSAGE_STATE, 0, 0},
        {CHORD_MESSAGE_PING, 0, 0, 0},
        {CHORD_MESSAGE_PING, 14, 0, 0},
        {CHORD_MESSAGE_NEXT_HOP, CHORD_MESSAGE_NEXT_HOP, 0, 0},
        {CHORD_MESSAGE_NEXT_HOP, CHORD_MESSAGE_NEXT_HOP, 17, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chord_message m = message_of(cases[i].as);
        uint8_t bytes[CHORD_MESSAGE_MAX];
        struct chord_message back;
        struct hf_err err;
        size_t n;

        m.wanted = cases[i].wanted;
        n = encode(&m, bytes);
        bytes[7] = (uint8_t)cases[i].kind; /* map, 0, 48 (2 bytes), 1, 1, 2, kind */
        assert_int_equal(bytes[6], 2);
        assert_int_equal(chord_message_parse(bytes, n, &back, &err), HF_CORRUPT);
    }
}

static size_t load_vector(const char *name, uint8_t *bytes, size_t max)
{
    char path[1024];
    FILE *f;
    size_t n = 0;
    unsigned value;

    (void)snprintf(path, sizeof path, "%s/tests/vectors/%s", TEST_SOURCE_DIR, name);
    f = fopen(path, "re");
    assert_non_null(f);
    while (n < max && fscanf(f, "%2x", &value) == 1) /* NOLINT(cert-err34-c): hex pairs */
        bytes[n++] = (uint8_t)value;
    (void)fclose(f);
    return n;
}

/* The bytes of these structures are pinned for ever. */
static void golden_vectors_hold(void **state)
{
    static const struct {
        const char *name;
        enum chord_message_kind kind;
    } vectors[] = {
        {"chord_get_state.hex", CHORD_MESSAGE_GET_STATE},
        {"chord_state.hex", CHORD_MESSAGE_STATE},
        {"chord_next_hop.hex", CHORD_MESSAGE_NEXT_HOP},
        {"chord_next.hex", CHORD_MESSAGE_NEXT},
        {"chord_witness.hex", CHORD_MESSAGE_WITNESS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct chord_message m = message_of(vectors[i].kind);
        uint8_t golden[CHORD_MESSAGE_MAX];
        uint8_t bytes[CHORD_MESSAGE_MAX];
        const size_t n = encode(&m, bytes);

        assert_int_equal(load_vector(vectors[i].name, golden, sizeof golden), n);
        assert_memory_equal(bytes, golden, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(what_a_kind_must_not_have_is_refused),
        cmocka_unit_test(golden_vectors_hold),
    };
    return cmocka_run_group_tests_name("chord/message", tests, NULL, NULL);
}
