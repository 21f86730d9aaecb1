/* daemon/shelf.h and daemon/holding.h on real stores. */
#include "base/alloc.h"
#include "daemon/holding.h"
#include "daemon/shelf.h"
#include "daemon_block.h"
#include "dht/lists.h"
#include "test.h"

#include <pthread.h>
#include <string.h>

struct fixture {
    char *dir;
    struct segment_log *log;
    struct shelf *shelf;
    struct test_owner owner;
};

static struct fixture fixture_new(uint64_t space_max)
{
    struct log_options options = {.holder = "test", .space_max = space_max};
    struct fixture f = {.dir = test_dir_new()};
    struct hf_err err;

    assert_int_equal(segment_log_open(f.dir, &options, &f.log, &err), HF_OK);
    f.shelf = shelf_new(f.log);
    assert_non_null(f.shelf);
    test_owner_init(&f.owner, 3);
    test_log_capture();
    return f;
}

static void fixture_done(struct fixture *f)
{
    shelf_free(f->shelf);
    segment_log_close(f->log);
    test_dir_remove(f->dir);
    test_owner_done(&f->owner);
}

static enum hf_code store(struct fixture *f, const struct test_block *block, uint32_t index)
{
    struct dht_item item = test_block_item(block, index);
    struct hf_err err;

    return shelf_store(f->shelf, &item, &err);
}

/* The code of a load of the block; with HF_OK it gave exactly fragment `index`. */
static enum hf_code load(struct fixture *f, const struct test_block *block,
                         uint32_t generation, uint32_t index)
{
    struct dht_item wanted = {.kind = DHT_ITEM_FRAGMENT,
                              .vault = block->manifest.vault,
                              .block = block->manifest.block,
                              .generation = generation};
    struct dht_item loaded;
    struct hf_err err;
    enum hf_code rc = shelf_load(f->shelf, &wanted, &loaded, &err);

    if (rc == HF_OK) {
        assert_int_equal(loaded.index, index);
        assert_int_equal(loaded.generation, block->manifest.generation);
        assert_int_equal(loaded.payload->size, block->fragments[index]->size);
        assert_memory_equal(loaded.payload->b, block->fragments[index]->b,
                            loaded.payload->size);
        assert_int_equal(loaded.manifest->size, block->manifest_bytes->size);
        assert_memory_equal(loaded.manifest->b, block->manifest_bytes->b,
                            loaded.manifest->size);
    } else {
        assert_true(loaded.payload == NULL && loaded.manifest == NULL);
    }
    shelf_release(f->shelf, &loaded);
    return rc;
}

static struct dht_presence presence(struct fixture *f, const struct test_block *block)
{
    struct hf_id ids[2] = {block->manifest.block, {{9}}};
    struct dht_presence list[DHT_PRESENCE_MAX];
    struct dht_item loaded, wanted = {.kind = DHT_ITEM_PRESENCE,
                                      .vault = block->manifest.vault,
                                      .payload = dht_ids_encode(ids, 2)};
    struct hf_err err;
    size_t n;

    assert_int_equal(shelf_load(f->shelf, &wanted, &loaded, &err), HF_OK);
    assert_true(dht_presence_parse(loaded.payload, list, &n) && n == 2);
    assert_int_equal(list[1].generation, 0);
    hf_buffer_unref(wanted.payload);
    shelf_release(f->shelf, &loaded);
    return list[0];
}

static uint64_t disk_bytes(struct fixture *f)
{
    struct log_status status;
    struct hf_err err;

    assert_int_equal(segment_log_status(f->log, &status, &err), HF_OK);
    return status.disk_bytes;
}

/* ---- fragments ---- */

static void fragments_come_back(void **state)
{
    struct fixture f = fixture_new(0);
    struct test_block *old = test_block_new(&f.owner, 1, 131072, 2, 4, 1);
    struct test_block *new = test_block_new(&f.owner, 1, 131072, 3, 6, 2);
    struct test_block *other = test_block_new(&f.owner, 2, 131072, 2, 4, 1);

    (void)state;
    assert_int_equal(load(&f, old, 0, 0), HF_NOT_FOUND);
    assert_int_equal(presence(&f, old).generation, 0);
    assert_int_equal(store(&f, old, 3), HF_OK);
    assert_int_equal(load(&f, old, 0, 3), HF_OK);
    assert_int_equal(store(&f, new, 5), HF_OK);
    assert_int_equal(load(&f, new, 0, 5), HF_OK); /* the newest */
    assert_int_equal(load(&f, old, 1, 3), HF_OK);
    assert_int_equal(load(&f, new, 2, 5), HF_OK);
    assert_int_equal(load(&f, new, 3, 5), HF_NOT_FOUND);
    assert_int_equal(load(&f, other, 0, 0), HF_NOT_FOUND);
    assert_int_equal(presence(&f, new).generation, 2);
    assert_int_equal(presence(&f, new).k, 3);
    assert_int_equal(presence(&f, new).n, 6);
    assert_int_equal(presence(&f, new).index, 5);
    test_block_free(old);
    test_block_free(new);
    test_block_free(other);
    fixture_done(&f);
}

static void a_fragment_that_is_here_is_not_written_again(void **state)
{
    struct fixture f = fixture_new(0);
    struct test_block *block = test_block_new(&f.owner, 1, 131072, 2, 4, 1);
    struct log_key key =
        log_key_fragment(&block->manifest.vault, &block->manifest.block, 1, 2);
    struct log_info first, again;
    struct hf_err err;

    (void)state;
    assert_int_equal(store(&f, block, 2), HF_OK);
    assert_int_equal(segment_log_find(f.log, &key, &first, &err), HF_OK);
    assert_int_equal(store(&f, block, 2), HF_OK);
    assert_int_equal(segment_log_find(f.log, &key, &again, &err), HF_OK);
    assert_int_equal(first.sequence, again.sequence);
    test_block_free(block);
    fixture_done(&f);
}

static void what_is_not_the_fragment_is_refused(void **state)
{
    struct fixture f = fixture_new(0);
    struct test_block *block = test_block_new(&f.owner, 1, 131072, 2, 4, 1);
    struct dht_item item = test_block_item(block, 2);
    struct hf_err err;

    (void)state;
    item.index = 4; /* beyond n */
    assert_int_equal(shelf_store(f.shelf, &item, &err), HF_CORRUPT);
    item.index = 1;
    item.payload = block->manifest_bytes; /* too short */
    assert_int_equal(shelf_store(f.shelf, &item, &err), HF_CORRUPT);
    block->manifest_bytes->b[40] ^= 1;
    assert_int_equal(store(&f, block, 1), HF_CORRUPT);
    assert_int_equal(disk_bytes(&f), 0);
    test_block_free(block);
    fixture_done(&f);
}

static void a_damaged_fragment_is_never_given_out(void **state)
{
    struct fixture f = fixture_new(0);
    struct test_block *block = test_block_new(&f.owner, 1, 131072, 2, 4, 1);
    const uint8_t *bytes = block->fragments[2]->b;

    (void)state;
    assert_int_equal(store(&f, block, 1), HF_OK);
    assert_int_equal(store(&f, block, 2), HF_OK);
    assert_int_equal(load(&f, block, 0, 2), HF_OK);
    assert_int_equal(test_alter(f.dir, bytes, 64), 1);
    assert_int_equal(load(&f, block, 0, 1), HF_OK); /* the other one */
    assert_int_equal(presence(&f, block).index, 1);
    assert_int_equal(test_alter(f.dir, block->fragments[1]->b, 64), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(load(&f, block, 0, 0), HF_CORRUPT);
    assert_int_equal(presence(&f, block).generation, 0);
    assert_int_equal(test_log_lines("fragment 2 of block", "damaged"), 1); /* once */
    assert_int_equal(test_log_lines("fragment 1 of block", "damaged"), 1);
    assert_int_equal(store(&f, block, 2), HF_OK); /* sent again: written again */
    assert_int_equal(load(&f, block, 0, 2), HF_OK);
    assert_int_equal(presence(&f, block).index, 2);
    assert_int_equal(test_alter(f.dir, bytes, 64), 1); /* damaged again: told again */
    assert_int_equal(load(&f, block, 0, 0), HF_CORRUPT);
    assert_int_equal(test_log_lines("fragment 2 of block", "damaged"), 2);
    test_block_free(block);
    fixture_done(&f);
}

static void a_full_store_says_so(void **state)
{
    struct fixture f = fixture_new(200000);
    struct test_block *block = test_block_new(&f.owner, 1, 131072, 1, 4, 1);

    (void)state;
    assert_int_equal(store(&f, block, 0), HF_OK);
    assert_int_equal(store(&f, block, 1), HF_NO_SPACE);
    assert_int_equal(store(&f, block, 2), HF_NO_SPACE);
    assert_int_equal(test_log_lines("cannot be kept", "--space"), 1);
    assert_int_equal(load(&f, block, 0, 0), HF_OK);
    test_block_free(block);
    fixture_done(&f);
}

/* ---- records ---- */

static enum hf_code store_record(struct fixture *f, uint8_t host, uint64_t seq,
                                 uint8_t payload)
{
    struct dht_item item = {.kind = DHT_ITEM_RECORD,
                            .payload = test_record(&f->owner, host, seq, payload)};
    struct hf_err err;
    enum hf_code rc = shelf_store(f->shelf, &item, &err);

    hf_buffer_unref(item.payload);
    return rc;
}

/* The number and payload of the record in the slot, as seq * 256 + payload. */
static uint64_t slot(struct fixture *f, uint8_t host)
{
    struct dht_item loaded,
        wanted = {.kind = DHT_ITEM_RECORD, .vault = f->owner.vault, .host = {{host}}};
    struct hf_record record;
    struct hf_err err;

    if (shelf_load(f->shelf, &wanted, &loaded, &err) != HF_OK) return 0;
    assert_int_equal(
        hf_record_parse(loaded.payload->b, loaded.payload->size, &record, &err), HF_OK);
    shelf_release(f->shelf, &loaded);
    return record.seq * 256 + record.payload[0];
}

static void a_record_is_never_lowered(void **state)
{
    struct fixture f = fixture_new(0);

    (void)state;
    assert_int_equal(slot(&f, 1), 0);
    assert_int_equal(store_record(&f, 1, 5, 7), HF_OK);
    assert_int_equal(store_record(&f, 1, 5, 7), HF_OK); /* the same */
    assert_int_equal(store_record(&f, 1, 4, 8), HF_EXISTS);
    assert_int_equal(store_record(&f, 1, 5, 8), HF_EXISTS); /* a fork */
    assert_int_equal(slot(&f, 1), 5 * 256 + 7);
    assert_int_equal(store_record(&f, 1, 6, 9), HF_OK);
    assert_int_equal(store_record(&f, 2, 1, 1), HF_OK); /* another slot */
    assert_int_equal(slot(&f, 1), 6 * 256 + 9);
    fixture_done(&f);
}

struct writer {
    struct fixture *f;
    uint64_t from, step;
    pthread_t thread;
};

static void *write_records(void *arg)
{
    struct writer *w = arg;

    for (uint64_t seq = w->from; seq <= 40; seq += w->step) {
        enum hf_code rc = store_record(w->f, 1, seq, (uint8_t)seq);

        if (rc != HF_OK && rc != HF_EXISTS) abort();
    }
    return NULL;
}

static void the_highest_of_many_at_once_stands(void **state)
{
    struct fixture f = fixture_new(0);
    struct writer writers[4];

    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        writers[i] = (struct writer){.f = &f, .from = i + 1, .step = 4};
        assert_int_equal(
            pthread_create(&writers[i].thread, NULL, write_records, &writers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    assert_int_equal(slot(&f, 1), 40 * 256 + 40);
    fixture_done(&f);
}

static void all_records_but_the_damaged(void **state)
{
    struct fixture f = fixture_new(0);
    struct dht_item loaded, wanted = {.kind = DHT_ITEM_RECORDS, .vault = f.owner.vault};
    struct hf_buffer *bytes = test_record(&f.owner, 2, 1, 2);
    struct hf_reader r;
    struct hf_err err;

    (void)state;
    assert_int_equal(shelf_load(f.shelf, &wanted, &loaded, &err), HF_OK);
    assert_int_equal(dht_records_open(loaded.payload, &r), 0);
    shelf_release(f.shelf, &loaded);
    for (uint8_t host = 1; host <= 3; host++)
        assert_int_equal(store_record(&f, host, 1, host), HF_OK);
    assert_int_equal(shelf_load(f.shelf, &wanted, &loaded, &err), HF_OK);
    assert_int_equal(dht_records_open(loaded.payload, &r), 3);
    shelf_release(f.shelf, &loaded);
    assert_int_equal(test_alter(f.dir, bytes->b, bytes->size), 1);
    assert_int_equal(shelf_load(f.shelf, &wanted, &loaded, &err), HF_INCOMPLETE);
    assert_int_equal(dht_records_open(loaded.payload, &r), 2);
    shelf_release(f.shelf, &loaded);
    assert_int_equal(slot(&f, 2), 0);
    assert_int_equal(test_log_lines("record of vault", "damaged"), 1);
    assert_int_equal(store_record(&f, 2, 1, 2), HF_OK); /* mended */
    assert_int_equal(slot(&f, 2), 1 * 256 + 2);
    hf_buffer_unref(bytes);
    fixture_done(&f);
}

/* ---- off the loop ---- */

#define BLOCKS HOLDING_JOBS_MAX

struct run {
    struct loop *loop;
    struct holding *holding;
    struct test_block **blocks;
    unsigned ended[BLOCKS];
    unsigned left;
    bool loading, lasting; /* lasting: load again when one has ended */
};

static struct dht_item nth_item(const struct run *run, size_t i)
{
    return test_block_item(run->blocks[i], 0);
}

static void on_done(void *arg, const struct holding_result *result)
{
    struct run *run = arg;
    struct dht_item item = nth_item(run, result->tag);

    assert_int_equal(result->code, HF_OK);
    assert_int_equal(result->stored, !run->loading);
    run->ended[result->tag]++;
    if (run->loading) {
        assert_int_equal(result->item->payload->size, item.payload->size);
        assert_memory_equal(result->item->payload->b, item.payload->b, item.payload->size);
    }
    if (run->lasting && run->ended[result->tag] == 1) { /* its place is free already */
        holding_load(run->holding, result->tag, &item);
        run->left++;
    }
    if (--run->left == 0) loop_stop(run->loop);
}

static void run_new(struct run *run, struct fixture *f, size_t size)
{
    *run = (struct run){.loop = loop_new(), .left = BLOCKS};
    run->holding = holding_new(run->loop, f->log, on_done, run);
    run->blocks = calloc(BLOCKS, sizeof(struct test_block *));
    assert_true(run->loop != NULL && run->holding != NULL && run->blocks != NULL);
    for (size_t i = 0; i < BLOCKS; i++)
        run->blocks[i] = test_block_new(&f->owner, i, size, 1, 1, 1);
}

static void run_done(struct run *run)
{
    holding_free(run->holding);
    loop_free(run->loop);
    for (size_t i = 0; i < BLOCKS; i++)
        test_block_free(run->blocks[i]);
    free(run->blocks);
}

static void as_many_jobs_as_may_be_end_once_each(void **state)
{
    struct fixture f = fixture_new(0);
    struct run run;
    struct hf_err err;

    (void)state;
    run_new(&run, &f, 262144); /* 64 MiB in all: twice what may be loaded at once */
    for (size_t i = 0; i < BLOCKS; i++) {
        struct dht_item item = nth_item(&run, i);

        holding_store(run.holding, i, &item);
    }
    assert_int_equal(loop_run(run.loop, &err), HF_OK);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_int_equal(run.ended[i], 1);
    memset(run.ended, 0, sizeof run.ended);
    run.loading = run.lasting = true;
    run.left = BLOCKS;
    for (size_t i = 0; i < BLOCKS; i++) {
        struct dht_item item = nth_item(&run, i);

        holding_load(run.holding, i, &item);
    }
    assert_int_equal(loop_run(run.loop, &err), HF_OK);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_int_equal(run.ended[i], 2);
    run_done(&run);
    fixture_done(&f);
}

static void it_can_go_away_with_jobs_under_way(void **state)
{
    struct fixture f = fixture_new(0);
    struct run run;

    (void)state;
    run_new(&run, &f, 262144);
    for (size_t i = 0; i < BLOCKS; i++) {
        struct dht_item item = nth_item(&run, i);

        if (i % 2 == 0) assert_int_equal(store(&f, run.blocks[i], 0), HF_OK);
        if (i % 2 == 0)
            holding_load(run.holding, i, &item); /* 32 MiB that nobody takes */
        else
            holding_store(run.holding, i, &item);
    }
    run_done(&run);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_come_back),
        cmocka_unit_test(a_fragment_that_is_here_is_not_written_again),
        cmocka_unit_test(what_is_not_the_fragment_is_refused),
        cmocka_unit_test(a_damaged_fragment_is_never_given_out),
        cmocka_unit_test(a_full_store_says_so),
        cmocka_unit_test(a_record_is_never_lowered),
        cmocka_unit_test(the_highest_of_many_at_once_stands),
        cmocka_unit_test(all_records_but_the_damaged),
        cmocka_unit_test(as_many_jobs_as_may_be_end_once_each),
        cmocka_unit_test(it_can_go_away_with_jobs_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
