/* stream.h, tree.h through the packer: many chunks, several levels, huge
 * directories. */
#include "test.h"
#include "tree_build.h"

#include "blockstore/memory_store.h"
#include "snapshot/packer.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct hf_secret *secret;
    struct vault_keys keys;
    struct block_store *store;
    struct packer *packer;
    struct fetcher *fetcher;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct block_owner owner = {{{0}}, {{1}}, NULL};
    struct packer_config config = {.level = 1};
    struct hf_err err;

    f->secret = hf_secret_new(VAULT_SECRET_SIZE);
    assert_int_equal(vault_keys_init(&f->keys, f->secret, &err), HF_OK);
    owner.vault = f->keys.vault;
    owner.signer = f->keys.signer;
    f->store = memory_store_new(&owner);
    config.store = f->store;
    config.keys = &f->keys;
    assert_int_equal(packer_new(&config, &f->packer, &err), HF_OK);
    f->fetcher = fetcher_new(f->store, 16);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fetcher_free(f->fetcher);
    packer_free(f->packer);
    block_store_close(f->store);
    vault_keys_done(&f->keys);
    hf_secret_free(f->secret);
    free(f);
    return 0;
}

#define CHUNK 100u

static void fill(uint8_t *out, size_t i)
{
    uint64_t seed = i + 1;

    test_random_bytes(&seed, out, CHUNK);
}

static struct stream_root write_stream(struct fixture *f, size_t count)
{
    struct stream_writer writer;
    struct stream_packed packed;
    struct stream_root root = {0};
    struct hf_err err;
    uint8_t chunk[CHUNK];

    stream_writer_init(&writer, f->packer);
    for (size_t i = 0; i < count; i++) {
        struct packed p;

        fill(chunk, i);
        assert_int_equal(packer_add(f->packer, chunk, CHUNK, &p, &err), HF_OK);
        assert_int_equal(stream_writer_add(&writer, CHUNK, &p, &err), HF_OK);
    }
    assert_int_equal(packer_finish_data(f->packer, &err), HF_OK);
    assert_true(stream_writer_ready(&writer));
    assert_int_equal(stream_writer_finish(&writer, &packed, &err), HF_OK);
    assert_int_equal(packer_finish_tree(f->packer, &err), HF_OK);
    root.size = packed.size;
    root.depth = packed.depth;
    if (root.size > 0)
        assert_int_equal(packed_ref(f->packer, &packed.chunk, &root.chunk, &err), HF_OK);
    stream_packed_done(&packed);
    stream_writer_done(&writer);
    return root;
}

static void check_stream(struct fixture *f, const struct stream_root *root, size_t count)
{
    struct stream_cursor *cursor = stream_cursor_new(f->fetcher, FRAME_DATA, root);
    struct hf_err err;
    uint8_t want[2 * CHUNK];
    uint8_t got[2 * CHUNK];
    uint64_t seed = 99;
    size_t seen = 0;

    for (;;) {
        const uint8_t *bytes;
        size_t size;
        uint64_t offset;

        assert_int_equal(stream_cursor_next(cursor, &bytes, &size, &offset, NULL, &err),
                         HF_OK);
        if (size == 0) break;
        fill(want, seen);
        assert_int_equal(size, CHUNK);
        assert_true(offset == seen * CHUNK);
        assert_memory_equal(bytes, want, CHUNK);
        seen++;
    }
    assert_int_equal(seen, count);
    for (int i = 0; i < 300 && count > 1;
         i++) { /* forth and back, across chunks, beyond the end */
        size_t at = (size_t)(test_random(&seed) % (count - 1)) * CHUNK +
                    (size_t)(test_random(&seed) % CHUNK);
        size_t n;

        assert_int_equal(stream_cursor_read(cursor, at, got, CHUNK, &n, &err), HF_OK);
        assert_int_equal(n, CHUNK);
        fill(want, at / CHUNK);
        fill(want + CHUNK, at / CHUNK + 1);
        assert_memory_equal(got, want + at % CHUNK, CHUNK);
    }
    {
        size_t n;

        assert_int_equal(stream_cursor_read(cursor, count * CHUNK, got, 10, &n, &err),
                         HF_OK);
        assert_int_equal(n, 0);
    }
    stream_cursor_free(cursor);
}

static void streams_of_every_depth_come_back(void **state)
{
    static const size_t counts[] = {0, 1, 2, 255, 2049, 9000, 40000};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct stream_root root = write_stream(f, counts[i]);

        assert_true(root.size == counts[i] * CHUNK);
        assert_int_equal(root.depth, counts[i] <= 1 ? 0 : root.depth);
        if (counts[i] == 9000) assert_true(root.depth >= 2);
        check_stream(f, &root, counts[i]);
    }
}

/* Authenticated, and still not the chunk that was meant. */
static void a_chunk_that_is_not_its_id_is_refused(void **state)
{
    struct fixture *f = *state;
    struct stream_root root = write_stream(f, 1);
    struct stream_cursor *cursor;
    const uint8_t *bytes;
    struct hf_err err;
    uint64_t offset;
    size_t size;

    root.chunk.id.b[31] ^= 1;
    cursor = stream_cursor_new(f->fetcher, FRAME_DATA, &root);
    assert_int_equal(stream_cursor_next(cursor, &bytes, &size, &offset, NULL, &err),
                     HF_CORRUPT);
    stream_cursor_free(cursor);
}

static void huge_directories_come_back_in_order(void **state)
{
    enum { COUNT = 20000 };
    struct fixture *f = *state;
    struct tree_item *items = calloc(COUNT, sizeof *items);
    char(*names)[16] = calloc(COUNT, sizeof *names);
    struct stream_packed packed;
    struct stream_root root = {0};
    struct tree_reader *reader;
    const struct tree_entry *entry;
    struct hf_err err;

    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "%08d", i);
        items[i].entry = (struct tree_entry){.name = {(uint8_t *)names[i], 8},
                                             .type = TREE_FILE,
                                             .size = 8,
                                             .mode = 0644,
                                             .mtime_ns = -i,
                                             .content = {(uint8_t *)names[i], 8}};
    }
    packed = tree_build_write(f->packer, items, COUNT);
    assert_int_equal(packer_finish_tree(f->packer, &err), HF_OK);
    root = (struct stream_root){.size = packed.size, .depth = packed.depth};
    assert_int_equal(packed_ref(f->packer, &packed.chunk, &root.chunk, &err), HF_OK);
    assert_true(root.depth >= 1);
    reader = tree_reader_new(f->fetcher, &root);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(tree_reader_next(reader, &entry, &err), HF_OK);
        assert_memory_equal(entry->name.bytes, names[i], 8);
        assert_true(entry->mtime_ns == -i && entry->content.size == 8);
    }
    assert_int_equal(tree_reader_next(reader, &entry, &err), HF_OK);
    assert_null(entry);
    tree_reader_free(reader);
    reader = tree_reader_new(f->fetcher, &root);
    assert_int_equal(tree_find(reader, "00012345", 8, &entry, &err), HF_OK);
    tree_reader_free(reader);
    reader = tree_reader_new(f->fetcher, &root);
    assert_int_equal(tree_find(reader, "0001234x", 8, &entry, &err), HF_NOT_FOUND);
    tree_reader_free(reader);
    stream_packed_done(&packed);
    free(items);
    free(names);
}

/* Whatever distinguishes them, so that a change rewrites little. */
static void all_kinds_of_names_are_cut_alike(void **state)
{
    static const struct {
        const char *before, *after;
        int digits;
    } kinds[] = {{"", "", 1},           {"segment.", "", 8},       {"", ".eml", 8},
                 {"IMG_", ".JPG", 5},   {"", "-a-longer-name", 1}, {"file-", "", 7},
                 {"access.log.", "", 1}};
    enum { COUNT = 20000 };
    struct tree_item *items = calloc(COUNT, sizeof *items);
    char(*names)[32] = calloc(COUNT, sizeof *names);

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t groups = 0, largest = 0, n;

        for (unsigned i = 0; i < COUNT; i++) {
            (void)snprintf(names[i], sizeof names[i], "%s%0*u%s", kinds[k].before,
                           kinds[k].digits, i, kinds[k].after);
            items[i].entry = tree_build_entry(names[i], TREE_FILE);
        }
        for (size_t at = 0; at < COUNT; at += n) {
            n = tree_group(items + at, COUNT - at, true);
            groups++;
            if (n > largest) largest = n;
        }
        assert_in_range(COUNT / groups, 25, 37);
        assert_in_range(largest, 25, 250);
    }
    free(names);
    free(items);
}

static void a_name_that_is_a_path_is_refused(void **state)
{
    static const char *const bad[] = {"..", ".", "a/b", "/", ""};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tree_item item = {
            .entry = {.name = {(const uint8_t *)bad[i], strlen(bad[i])},
                      .type = TREE_FILE,
                      .content = {(const uint8_t *)"", 0}}};
        struct stream_packed packed;
        struct stream_root root = {0};
        struct tree_reader *reader;
        const struct tree_entry *entry;
        struct hf_err err;

        packed = tree_build_write(f->packer, &item, 1);
        assert_int_equal(packer_finish_tree(f->packer, &err), HF_OK);
        root.size = packed.size;
        assert_int_equal(packed_ref(f->packer, &packed.chunk, &root.chunk, &err), HF_OK);
        reader = tree_reader_new(f->fetcher, &root);
        assert_int_equal(tree_reader_next(reader, &entry, &err), HF_CORRUPT);
        tree_reader_free(reader);
        stream_packed_done(&packed);
    }
}

struct bytes {
    const uint8_t *at;
    size_t n;
};

static void encode_bytes(void *arg, struct packer *packer, struct hf_writer *w)
{
    const struct bytes *bytes = arg;

    (void)packer;
    hf_put_bytes(w, bytes->at, bytes->n);
}

/* Trees of 2.1 MiB that do not compress store at most 5 % more. */
static void a_night_of_trees_stores_little_more_than_them(void **state)
{
    struct fixture *f = *state;
    uint8_t chunk[7000];
    uint64_t seed = 1;
    size_t total = 0;
    struct hf_err err;

    while (total < 2202009) {
        struct packed packed;

        test_random_bytes(&seed, chunk, sizeof chunk);
        assert_int_equal(packer_add_tree(f->packer, FRAME_TREE, encode_bytes,
                                         &(struct bytes){chunk, sizeof chunk}, &packed,
                                         &err),
                         HF_OK);
        packed_done(&packed);
        total += sizeof chunk;
    }
    assert_int_equal(packer_finish_tree(f->packer, &err), HF_OK);
    assert_in_range(packer_totals(f->packer).bytes_stored, total, total * 105 / 100);
}

/* Chunks that are asked for together: those of one frame are hashed in one go, and each is
 * as right or wrong as alone. */
static void a_chunk_is_verified_for_itself_in_any_company(void **state)
{
    enum { CHUNKS = 2500, WRONG = 3 };
    struct fixture *f = *state;
    const struct stream_root root = write_stream(f, CHUNKS);
    struct stream_cursor *cursor = stream_cursor_new(f->fetcher, FRAME_DATA, &root);
    static struct chunk_ref refs[CHUNKS + WRONG];
    static const struct chunk_ref *at_hand[2 * CHUNKS + WRONG];
    struct fetch_company company = {at_hand, 2 * CHUNKS + WRONG};
    struct fetcher *fetcher = fetcher_new(f->store, 2);
    uint64_t seed = 17;
    struct hf_err err;

    for (size_t i = 0; i < CHUNKS; i++) {
        uint64_t offset;

        assert_int_equal(stream_cursor_next_ref(cursor, &refs[i], &offset, &err), HF_OK);
    }
    refs[CHUNKS] = refs[7];
    refs[CHUNKS].id.b[0] ^= 1;
    refs[CHUNKS + 1] = refs[8];
    refs[CHUNKS + 1].size++; /* its neighbour's first byte, too */
    refs[CHUNKS + 2] = refs[9];
    refs[CHUNKS + 2].offset = FRAME_PLAIN_MAX; /* beyond the end of any frame */
    for (size_t i = 0; i < company.count; i++)
        at_hand[i] = &refs[test_random(&seed) % (CHUNKS + WRONG)];
    for (size_t i = 0; i < CHUNKS + WRONG; i++) {
        struct fetched fetched;
        uint8_t want[CHUNK];
        enum hf_code rc =
            fetch_chunk_among(fetcher, FRAME_DATA, &refs[i], &company, &fetched, &err);

        assert_int_equal(rc, i < CHUNKS ? HF_OK : HF_CORRUPT);
        if (rc != HF_OK) continue;
        fill(want, i);
        assert_int_equal(fetched.size, CHUNK);
        assert_memory_equal(fetched.bytes, want, CHUNK);
        fetched_done(&fetched);
    }
    fetcher_free(fetcher);
    stream_cursor_free(cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chunk_is_verified_for_itself_in_any_company,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(streams_of_every_depth_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_that_is_not_its_id_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(huge_directories_come_back_in_order, setup,
                                        teardown),
        cmocka_unit_test(all_kinds_of_names_are_cut_alike),
        cmocka_unit_test_setup_teardown(a_name_that_is_a_path_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_night_of_trees_stores_little_more_than_them,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
