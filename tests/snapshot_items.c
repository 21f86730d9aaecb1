#include "snapshot_items.h"
#include "test.h"

#include "snapshot/catalog.h"
#include "snapshot/tree.h"

#include <string.h>

#define OUTPUT_MAX ((size_t)1 << 20)

void snapshot_items_init(struct snapshot_items *all)
{
    *all = (struct snapshot_items){.output = malloc(OUTPUT_MAX)};
    assert_non_null(all->output);
}

void snapshot_items_done(struct snapshot_items *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->items[i].bytes);
    free(all->output);
}

static void put(struct snapshot_items *all, const void *bytes, size_t n)
{
    if (n > OUTPUT_MAX - all->output_size) {
        all->wrong = "more than there was";
        return;
    }
    if (n > 0) memcpy(all->output + all->output_size, bytes, n);
    all->output_size += n;
}

static void put_number(struct snapshot_items *all, uint64_t v)
{
    put(all, &v, sizeof v);
}

static void put_span(struct snapshot_items *all, struct span span)
{
    put_number(all, span.size);
    put(all, span.bytes, span.size);
}

/* All that restore looks at. */
static void put_entry(struct snapshot_items *all, size_t depth, const struct tree_entry *e)
{
    all->output_size = 0;
    put_number(all, depth);
    put_span(all, e->name);
    put_number(all, e->type);
    put_number(all, e->mode);
    put_number(all, e->uid);
    put_number(all, e->gid);
    put_span(all, e->user);
    put_span(all, e->group);
    put_number(all, (uint64_t)e->mtime_ns);
    put_number(all, e->size);
    put_span(all, e->target);
    put_number(all, e->link_group);
    put_span(all, e->xattrs);
    put_span(all, e->holes);
    put_span(all, e->content);
}

/* What was read is one of the items that there were, or the items are being recorded. */
static void take_item(struct snapshot_items *all)
{
    if (all->recording) {
        uint8_t *bytes = malloc(all->output_size);

        assert_true(bytes != NULL && all->count < SNAPSHOT_ITEMS_MAX);
        memcpy(bytes, all->output, all->output_size);
        all->items[all->count++] = (struct snapshot_item){bytes, all->output_size};
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].size != all->output_size ||
            memcmp(all->items[i].bytes, all->output, all->output_size) != 0)
            continue;
        all->matched++;
        return;
    }
    all->wrong = "an entry is not as it was";
}

static enum hf_code read_content(struct snapshot_items *all, struct fetcher *fetcher,
                                 const struct tree_entry *e, struct hf_err *err)
{
    struct stream_cursor *cursor = stream_cursor_new(fetcher, FRAME_DATA, &e->stream);
    const uint8_t *bytes;
    size_t size = 1;
    uint64_t offset;
    enum hf_code rc = HF_OK;

    assert_non_null(cursor);
    while (rc == HF_OK && size > 0) {
        rc = stream_cursor_next(cursor, &bytes, &size, &offset, NULL, err);
        if (rc == HF_OK) put(all, bytes, size);
    }
    stream_cursor_free(cursor);
    return rc;
}

/* Directories still to be read. */
struct pending {
    struct stream_root roots[SNAPSHOT_ITEMS_MAX];
    size_t depths[SNAPSHOT_ITEMS_MAX];
    size_t count;
};

/* As restore does: what fails is one file's, or a directory's, and the rest is read. */
static enum hf_code read_dir(struct snapshot_items *all, struct fetcher *fetcher,
                             struct pending *pending, struct hf_err *err)
{
    size_t depth = pending->depths[--pending->count];
    struct tree_reader *reader = tree_reader_new(fetcher, &pending->roots[pending->count]);
    const struct tree_entry *e;
    enum hf_code rc;
    enum hf_code worst = HF_OK;

    assert_non_null(reader);
    while ((rc = tree_reader_next(reader, &e, err)) == HF_OK && e != NULL) {
        enum hf_code of_file = HF_OK;

        put_entry(all, depth, e);
        if (e->type == TREE_FILE && e->has_stream)
            of_file = read_content(all, fetcher, e, err);
        if (e->type == TREE_DIR && e->has_stream && pending->count < SNAPSHOT_ITEMS_MAX) {
            pending->depths[pending->count] = depth + 1;
            pending->roots[pending->count++] = e->stream;
        }
        if (of_file == HF_OK)
            take_item(all);
        else
            worst = of_file;
    }
    tree_reader_free(reader);
    return rc != HF_OK ? rc : worst;
}

static enum hf_code read_tree(struct snapshot_items *all, struct fetcher *fetcher,
                              const struct stream_root *root, struct hf_err *err)
{
    struct pending pending = {.roots = {*root}, .count = 1};
    enum hf_code worst = HF_OK;

    while (pending.count > 0) {
        enum hf_code rc = read_dir(all, fetcher, &pending, err);

        if (rc != HF_OK) worst = rc;
    }
    return worst;
}

enum hf_code snapshot_items_read(struct snapshot_items *all, struct block_store *store,
                                 const struct vault_keys *keys, const struct hf_id *host,
                                 struct hf_err *err)
{
    struct fetcher *fetcher = fetcher_new(store, 8);
    const struct catalog_entry *entry;
    struct snapshot snapshot = {0};
    struct vault_view view = {0};
    bool incomplete = false;
    enum hf_code rc;

    all->matched = 0;
    all->wrong = NULL;
    assert_non_null(fetcher);
    rc = vault_view_read(store, fetcher, keys, &view, err);
    incomplete = rc == HF_OK && view.incomplete; /* restore warns of that */
    if (rc == HF_OK) rc = vault_view_find(&view, "latest", host, &entry, err);
    if (rc == HF_OK) rc = snapshot_read(fetcher, entry, &snapshot, err);
    if (rc == HF_OK) rc = read_tree(all, fetcher, &snapshot.root, err);
    if ((rc == HF_OK || rc == HF_NOT_FOUND) && incomplete)
        rc = hf_fail(err, HF_INCOMPLETE, "there may be newer snapshots");
    snapshot_done(&snapshot);
    vault_view_done(&view);
    fetcher_free(fetcher);
    return rc;
}
