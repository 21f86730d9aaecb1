#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "blockstore/memory_store.h"
#include "store_fixture.h"
#include "store_suite.h"

struct fixture {
    struct block_owner owner;
    struct block_store *store;
    uint8_t *data;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL) return -1;
    f->owner = owner_make(1, 1);
    f->store = memory_store_new(&f->owner);
    f->data = malloc(BLOCK_SIZE_MIN);
    if (f->store == NULL || f->data == NULL) return -1;
    pattern_fill(f->data, BLOCK_SIZE_MIN, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    block_store_close(f->store);
    owner_done(&f->owner);
    free(f->data);
    free(f);
    return 0;
}

static void keeps_every_promise(void **state)
{
    struct fixture *f = *state;

    store_suite_run(f->store, &f->owner);
}

static void fails_when_told_and_has_no_effect(void **state)
{
    struct fixture *f = *state;
    struct hf_err err;
    struct hf_id id;

    memory_store_fail(f->store, MEMORY_PUT, 2, HF_NO_SPACE, false);
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    f->data[0] ^= 1;
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err),
                     HF_NO_SPACE);
    assert_int_equal(memory_store_block_count(f->store), 1);
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    assert_int_equal(memory_store_calls(f->store, MEMORY_PUT), 3);
    memory_store_fail(f->store, MEMORY_GET, 1, HF_UNAVAILABLE, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(block_store_get(f->store, &id, 0, 1, f->data, &err),
                         HF_UNAVAILABLE);
    memory_store_fail(f->store, MEMORY_GET, 0, HF_OK, false);
    assert_int_equal(block_store_get(f->store, &id, 0, 1, f->data, &err), HF_OK);
    memory_store_fail(f->store, MEMORY_FLUSH, 1, HF_DEGRADED, false);
    assert_int_equal(block_store_flush(f->store, &err), HF_DEGRADED);
    assert_int_equal(block_store_flush(f->store, &err), HF_OK);
}

static void loses_and_alters_blocks(void **state)
{
    struct fixture *f = *state;
    struct hf_err err;
    uint8_t byte;
    struct hf_id id;
    bool have;

    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    assert_true(memory_store_alter(f->store, &id, 5));
    assert_int_equal(block_store_get(f->store, &id, 5, 1, &byte, &err), HF_OK);
    assert_int_equal(byte, f->data[5] ^ 0xff);
    assert_true(memory_store_lose(f->store, &id));
    assert_int_equal(block_store_get(f->store, &id, 5, 1, &byte, &err), HF_NOT_FOUND);
    assert_int_equal(block_store_have(f->store, &id, 1, &have, &err), HF_OK);
    assert_false(have);
    assert_false(memory_store_lose(f->store, &id));
    assert_false(memory_store_alter(f->store, &id, 0));
    /* A lost block can be stored again. */
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    assert_int_equal(block_store_get(f->store, &id, 5, 1, &byte, &err), HF_OK);
    assert_int_equal(byte, f->data[5]);
}

static void count_record(void *arg, const uint8_t *record, size_t n)
{
    size_t *count = arg;

    (void)record;
    (void)n;
    ++*count;
}

static void owners_share_a_vault_or_not(void **state)
{
    struct fixture *f = *state;
    struct block_owner laptop = owner_make(1, 2), stranger = owner_make(2, 1);
    struct block_store *same = memory_store_share(f->store, &laptop);
    struct block_store *other = memory_store_share(f->store, &stranger);
    uint8_t record[4096], byte;
    size_t count = 0, n;
    struct hf_err err;
    struct hf_id id;

    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &id, &err), HF_OK);
    assert_int_equal(block_store_get(same, &id, 0, 1, &byte, &err), HF_OK);
    assert_int_equal(block_store_get(other, &id, 0, 1, &byte, &err), HF_NOT_FOUND);
    n = record_make(&laptop, 1, 1, 'x', record, sizeof record);
    assert_int_equal(block_store_put_record(same, record, n, &err), HF_OK);
    assert_int_equal(block_store_put_record(other, record, n, &err), HF_DENIED);
    n = record_make(&f->owner, 1, 1, 'x', record, sizeof record);
    assert_int_equal(block_store_put_record(f->store, record, n, &err), HF_OK);
    assert_int_equal(block_store_get_records(f->store, count_record, &count, &err), HF_OK);
    assert_int_equal(count, 2);
    assert_int_equal(block_store_get_records(other, count_record, &count, &err), HF_OK);
    assert_int_equal(count, 2);
    memory_store_fail(f->store, MEMORY_GET_RECORDS, 1, HF_INCOMPLETE, false);
    assert_int_equal(block_store_get_records(f->store, count_record, &count, &err),
                     HF_INCOMPLETE);
    assert_int_equal(count, 4);
    block_store_close(same);
    block_store_close(other);
    owner_done(&laptop);
    owner_done(&stranger);
}

static void names_its_blocks(void **state)
{
    struct fixture *f = *state;
    struct hf_id first, second, got;
    struct hf_err err;

    block_store_begin(f->store, 17);
    assert_int_equal(memory_store_seq(f->store), 17);
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &first, &err),
                     HF_OK);
    f->data[9] ^= 1;
    assert_int_equal(block_store_put(f->store, f->data, BLOCK_SIZE_MIN, &second, &err),
                     HF_OK);
    got = memory_store_block_id(f->store, 1);
    assert_true(hf_id_equal(&got, &second));
    assert_true(memory_store_lose(f->store, &first));
    got = memory_store_block_id(f->store, 0);
    assert_true(hf_id_equal(&got, &second));
    got = memory_store_block_id(f->store, 1);
    assert_true(hf_id_is_zero(&got));
    block_store_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_every_promise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_when_told_and_has_no_effect, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(loses_and_alters_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(owners_share_a_vault_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_its_blocks, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("blockstore/memory_store", tests, NULL, NULL);
}
