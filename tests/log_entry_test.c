#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockstore/log_changes.h"
#include "blockstore/log_entry.h"
#include "store_fixture.h"

static const struct log_identity identity = {.store = {{0x11, 0x22}}, .check_key = {0x33}};

static struct log_entry sample(void)
{
    static const uint8_t meta[] = "a manifest";
    const struct hf_id vault = {{1}}, block = {{2}};

    return (struct log_entry){.key = log_key_fragment(&vault, &block, 3, 4),
                              .sequence = 5,
                              .segment = 6,
                              .offset = 7 * LOG_ALIGN,
                              .durable = 8,
                              .arrival_ns = 1700000000000000000,
                              .payload_size = 9,
                              .payload_root = {{10}},
                              .meta = meta,
                              .meta_size = sizeof meta};
}

static void entries_parse_back(void **state)
{
    struct log_entry entry = sample(), back;
    uint8_t frame[LOG_FRAME_MAX + 10] = {0};
    size_t n = log_entry_encode(&identity, &entry, frame);

    (void)state;
    assert_int_equal(n, entry.frame_size);
    /* What follows does not matter. */
    assert_true(log_entry_parse(&identity, frame, sizeof frame, &back));
    assert_int_equal(back.frame_size, n);
    assert_int_equal(log_key_compare(&entry.key, &back.key), 0);
    assert_int_equal(back.sequence, 5);
    assert_int_equal(back.segment, 6);
    assert_int_equal(back.offset, 7 * LOG_ALIGN);
    assert_int_equal(back.durable, 8);
    assert_int_equal(back.arrival_ns, entry.arrival_ns);
    assert_int_equal(back.payload_size, 9);
    assert_true(hf_id_equal(&back.payload_root, &entry.payload_root));
    assert_int_equal(back.meta_size, entry.meta_size);
    assert_memory_equal(back.meta, entry.meta, entry.meta_size);
}

static void no_truncation_and_no_flipped_bit_passes(void **state)
{
    struct log_entry entry = sample(), back;
    uint8_t frame[LOG_FRAME_MAX];
    size_t n = log_entry_encode(&identity, &entry, frame);
    struct log_identity other = identity;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_false(log_entry_parse(&identity, frame, i, &back));
        for (unsigned bit = 0; bit < 8; bit++) {
            frame[i] ^= (uint8_t)(1u << bit);
            assert_false(log_entry_parse(&identity, frame, n, &back));
            frame[i] ^= (uint8_t)(1u << bit);
        }
    }
    other.check_key[31] ^= 1;
    assert_false(log_entry_parse(&other, frame, n, &back));
    other = identity;
    other.store.b[31] ^= 1;
    assert_false(log_entry_parse(&other, frame, n, &back));
    assert_true(log_entry_parse(&identity, frame, n, &back));
}

static void the_limits_hold(void **state)
{
    static uint8_t meta[LOG_META_MAX];
    struct log_entry entry = sample(), back;
    uint8_t frame[LOG_FRAME_MAX];
    size_t n;

    (void)state;
    entry.meta = meta;
    entry.meta_size = LOG_META_MAX;
    entry.key.size = 1 + LOG_KEY_MAX;
    entry.sequence = entry.segment = entry.durable = UINT64_MAX;
    entry.offset = UINT64_MAX - UINT64_MAX % LOG_ALIGN;
    entry.durable = entry.offset;
    entry.arrival_ns = INT64_MIN;
    entry.payload_size = LOG_PAYLOAD_MAX;
    n = log_entry_encode(&identity, &entry, frame);
    assert_true(log_entry_parse(&identity, frame, n, &back));
    entry.payload_size = LOG_PAYLOAD_MAX + 1;
    n = log_entry_encode(&identity, &entry, frame);
    assert_false(log_entry_parse(&identity, frame, n, &back));
    entry = sample();
    entry.durable = entry.offset + 1;
    n = log_entry_encode(&identity, &entry, frame);
    assert_false(log_entry_parse(&identity, frame, n, &back));
    entry = sample();
    entry.key.size = LOG_KEY_MIN;
    n = log_entry_encode(&identity, &entry, frame);
    assert_false(log_entry_parse(&identity, frame, n, &back));
    entry = sample();
    entry.offset++;
    n = log_entry_encode(&identity, &entry, frame);
    assert_false(log_entry_parse(&identity, frame, n, &back));
}

static void a_filler_fits_wherever_an_entry_was(void **state)
{
    uint8_t frame[LOG_FRAME_MAX];
    struct log_entry entry, back;

    (void)state;
    for (uint32_t payload = 0; payload < 70000; payload += payload < 700 ? 1 : 977) {
        uint64_t footprint;
        size_t n;

        entry = sample();
        entry.meta_size = 0;
        entry.key.size = 1 + LOG_KEY_MIN;
        entry.payload_size = payload;
        (void)log_entry_encode(&identity, &entry, frame);
        footprint = log_entry_footprint(entry.frame_size, payload);
        assert_int_equal(footprint % LOG_ALIGN, 0);
        n = log_filler_encode(&identity, 6, 7 * LOG_ALIGN, 5, footprint, frame);
        assert_true(n <= entry.frame_size);
        assert_true(log_entry_parse(&identity, frame, n, &back));
        assert_int_equal(back.key.b[0], LOG_FILLER);
        assert_int_equal(log_entry_footprint(back.frame_size, back.payload_size),
                         footprint);
    }
}

static void removals_name_their_target(void **state)
{
    struct log_entry entry = sample(), back;
    struct log_key plain = entry.key, target;
    uint8_t frame[LOG_FRAME_MAX];

    (void)state;
    entry.payload_size = 0;
    for (int depth = 0; depth < 2; depth++) {
        struct log_key before = entry.key;
        size_t n;

        entry.key = log_key_removal(&before);
        n = log_entry_encode(&identity, &entry, frame);
        assert_true(log_entry_parse(&identity, frame, n, &back));
        target = log_removal_target(&back.key);
        assert_int_equal(log_key_compare(&target, &before), 0);
    }
    target = log_removal_target(&target);
    assert_int_equal(log_key_compare(&target, &plain), 0);
}

/* tests/vectors/log_entry.hex pins the format: it must never change. */
static void the_golden_vector_still_holds(void **state)
{
    struct log_entry entry = sample();
    uint8_t frame[LOG_FRAME_MAX];
    char have[2 * LOG_FRAME_MAX + 1], want[2 * LOG_FRAME_MAX + 2];
    size_t n = log_entry_encode(&identity, &entry, frame);
    FILE *file = fopen(TEST_SOURCE_DIR "/tests/vectors/log_entry.hex", "re");

    (void)state;
    assert_non_null(file);
    assert_non_null(fgets(want, sizeof want, file));
    (void)fclose(file);
    want[strcspn(want, "\n")] = '\0';
    hf_hex_encode(frame, n, have);
    assert_string_equal(have, want);
}

static int compare_keys(const void *a, const void *b)
{
    return log_key_compare(a, b);
}

/* log_changes: the same rows, in the order of a sorted array. */
static void changes_are_kept_in_order(void **state)
{
    enum { COUNT = 3000 };
    static struct log_key keys[COUNT];
    struct log_changes *changes = log_changes_new();
    const struct log_change *change;
    struct log_key none = {0};
    struct hf_err err;

    (void)state;
    assert_non_null(changes);
    assert_null(log_changes_seek(changes, &none, false));
    for (uint32_t i = 0; i < COUNT; i++) {
        struct log_row row = {.sequence = 1};

        keys[i].size = LOG_KEY_MIN + i % 7;
        pattern_fill(keys[i].b, keys[i].size, i);
        assert_null(log_changes_find(changes, &keys[i]));
        assert_int_equal(log_changes_put(changes, &keys[i], &row, &err), HF_OK);
        row.sequence = 2;
        assert_int_equal(log_changes_put(changes, &keys[i], &row, &err), HF_OK);
        assert_int_equal(log_changes_find(changes, &keys[i])->sequence, 2);
    }
    assert_int_equal(log_changes_count(changes), COUNT);
    qsort(keys, COUNT, sizeof keys[0], compare_keys);
    change = log_changes_seek(changes, &none, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_non_null(change);
        assert_int_equal(log_key_compare(&change->key, &keys[i]), 0);
        assert_ptr_equal(log_changes_seek(changes, &keys[i], false), change);
        assert_ptr_equal(log_changes_seek(changes, &keys[i], true),
                         log_changes_next(change));
        change = log_changes_next(change);
    }
    assert_null(change);
    log_changes_free(changes);
    log_changes_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_parse_back),
        cmocka_unit_test(no_truncation_and_no_flipped_bit_passes),
        cmocka_unit_test(the_limits_hold),
        cmocka_unit_test(a_filler_fits_wherever_an_entry_was),
        cmocka_unit_test(removals_name_their_target),
        cmocka_unit_test(the_golden_vector_still_holds),
        cmocka_unit_test(changes_are_kept_in_order),
    };

    return cmocka_run_group_tests_name("blockstore/log_entry", tests, NULL, NULL);
}
