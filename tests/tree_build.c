#include "tree_build.h"
#include "test.h"

#include "blockstore/memory_store.h"
#include "snapshot/stream.h"

#include <string.h>
#include <unistd.h>

#define CHUNK 100000u

void tree_build_init(struct tree_build *b)
{
    struct block_owner owner = {{{0}}, {{1}}, NULL};
    struct packer_config config = {.level = 1};
    struct hf_err err;

    memset(b, 0, sizeof *b);
    b->secret = hf_secret_new(VAULT_SECRET_SIZE);
    assert_int_equal(vault_keys_init(&b->keys, b->secret, &err), HF_OK);
    owner.vault = b->keys.vault;
    owner.signer = b->keys.signer;
    b->store = memory_store_new(&owner);
    config.store = b->store;
    config.keys = &b->keys;
    assert_int_equal(packer_new(&config, &b->packer, &err), HF_OK);
    b->fetcher = fetcher_new(b->store, 8);
    assert_non_null(b->fetcher);
}

void tree_build_done(struct tree_build *b)
{
    fetcher_free(b->fetcher);
    packer_free(b->packer);
    block_store_close(b->store);
    vault_keys_done(&b->keys);
    hf_secret_free(b->secret);
}

struct tree_entry tree_build_entry(const char *name, enum tree_type type)
{
    return (struct tree_entry){.name = {(const uint8_t *)name, strlen(name)},
                               .type = type,
                               .mode = type == TREE_DIR ? 0755 : 0644,
                               .uid = geteuid(),
                               .gid = getegid(),
                               .mtime_ns = 1000000000123456789};
}

static void add_chunks(struct tree_build *b, struct stream_writer *writer,
                       const uint8_t *bytes, size_t n)
{
    struct hf_err err;

    for (size_t i = 0; i < n; i += CHUNK) {
        size_t take = n - i < CHUNK ? n - i : CHUNK;
        struct packed packed;

        assert_int_equal(packer_add(b->packer, bytes + i, take, &packed, &err), HF_OK);
        assert_int_equal(stream_writer_add(writer, take, &packed, &err), HF_OK);
    }
}

static struct tree_item finish_file(struct stream_writer *writer, const char *name,
                                    size_t n)
{
    struct tree_item item = {.entry = tree_build_entry(name, TREE_FILE),
                             .has_stream = true};
    struct hf_err err;

    assert_true(stream_writer_ready(writer));
    assert_int_equal(stream_writer_finish(writer, &item.stream, &err), HF_OK);
    stream_writer_done(writer);
    item.entry.size = n;
    return item;
}

struct tree_item tree_build_file(struct tree_build *b, const char *name,
                                 const uint8_t *bytes, size_t n)
{
    struct stream_writer writer;
    struct hf_err err;

    stream_writer_init(&writer, b->packer);
    add_chunks(b, &writer, bytes, n);
    assert_int_equal(packer_finish_data(b->packer, &err), HF_OK);
    return finish_file(&writer, name, n);
}

struct tree_item tree_build_again(const struct tree_item *item, const char *name)
{
    struct tree_item again = *item;

    again.entry.name = (struct span){(const uint8_t *)name, strlen(name)};
    again.stream.chunk = packed_copy(&item->stream.chunk);
    return again;
}

struct tree_item tree_build_queue(struct tree_build *b, const char *name,
                                  const uint8_t *bytes, size_t n)
{
    struct stream_writer writer;

    assert_true(n <= CHUNK); /* a stream of one chunk is ready at once */
    stream_writer_init(&writer, b->packer);
    add_chunks(b, &writer, bytes, n);
    return finish_file(&writer, name, n);
}

void tree_build_stored(struct tree_build *b, struct tree_item *items, size_t count)
{
    struct hf_err err;

    assert_int_equal(packer_finish_data(b->packer, &err), HF_OK);
    assert_true(tree_items_ready(b->packer, items, count));
}

struct tree_item tree_build_small(const char *name, const char *text)
{
    struct tree_item item = {.entry = tree_build_entry(name, TREE_FILE)};

    item.entry.content = (struct span){(const uint8_t *)text, strlen(text)};
    item.entry.size = strlen(text);
    return item;
}

struct tree_item tree_build_link(const char *name, const char *target)
{
    struct tree_item item = {.entry = tree_build_entry(name, TREE_SYMLINK)};

    item.entry.target = (struct span){(const uint8_t *)target, strlen(target)};
    return item;
}

struct stream_packed tree_build_write(struct packer *packer, struct tree_item *items,
                                      size_t count)
{
    struct stream_writer chunks;
    struct stream_packed stream;
    struct hf_err err;

    stream_writer_init(&chunks, packer);
    for (size_t at = 0; at < count;) {
        size_t n = tree_group(items + at, count - at, true);

        assert_true(tree_items_ready(packer, items + at, n));
        assert_int_equal(tree_write_group(packer, items + at, n, &chunks, &err), HF_OK);
        at += n;
    }
    assert_int_equal(stream_writer_finish(&chunks, &stream, &err), HF_OK);
    stream_writer_done(&chunks);
    return stream;
}

struct tree_item tree_build_dir(struct tree_build *b, const char *name,
                                struct tree_item *items, size_t count)
{
    struct tree_item item = {.entry = tree_build_entry(name, TREE_DIR), .has_stream = true};

    item.stream = tree_build_write(b->packer, items, count);
    for (size_t i = 0; i < count; i++) {
        if (items[i].has_stream) stream_packed_done(&items[i].stream);
    }
    return item;
}

struct stream_root tree_build_root(struct tree_build *b, struct tree_item *items,
                                   size_t count)
{
    struct tree_item dir = tree_build_dir(b, "", items, count);
    struct stream_root root = {.size = dir.stream.size, .depth = dir.stream.depth};
    struct hf_err err;

    assert_int_equal(packer_finish_tree(b->packer, &err), HF_OK);
    assert_int_equal(packed_ref(b->packer, &dir.stream.chunk, &root.chunk, &err), HF_OK);
    stream_packed_done(&dir.stream);
    return root;
}
