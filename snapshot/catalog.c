#include "snapshot/catalog.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define VERSION         1u
#define CHUNK_LINES_MAX 128u /* a chunk is cut after at most so many lines ... */
#define CUT_MODULUS     32u  /* ... and where a snapshot's id says so */
#define TAG_BYTES_MAX   255u

enum key {
    KEY_SNAPSHOT = 0,
    KEY_TIME = 1,
    KEY_UTC_OFFSET = 2,
    KEY_ORDINAL = 3,
    KEY_HOST_NAME = 4,
    KEY_TAGS = 5
    /* a condemned block will be another kind of line, under keys of its own */
};

static void entry_done(struct catalog_entry *entry)
{
    for (size_t i = 0; i < entry->tag_count; i++)
        free(entry->tags[i]);
    free(entry->tags);
}

void catalog_done(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        entry_done(&catalog->entries[i]);
    free(catalog->entries);
    memset(catalog, 0, sizeof *catalog);
}

/* ---- reading ---- */

static void get_tags(struct hf_reader *r, struct catalog_entry *e)
{
    uint32_t count = hf_get_array(r, SNAPSHOT_TAGS_MAX, 1);

    e->tags = hf_alloc_array(count, sizeof(char *));
    for (uint32_t i = 0; e->tags != NULL && i < count; i++) {
        size_t n;
        const uint8_t *bytes = hf_get_bytes(r, TAG_BYTES_MAX, &n);

        if (bytes == NULL) break;
        e->tags[i] = calloc(1, n + 1);
        if (e->tags[i] == NULL) break;
        memcpy(e->tags[i], bytes, n);
        e->tag_count++;
    }
    if (e->tag_count != count) hf_reader_fail(r);
}

static void get_line(struct hf_reader *r, const struct hf_id *block,
                     struct catalog_entry *e)
{
    struct hf_map m = hf_get_map(r, 32);
    const uint8_t *name;
    size_t n;
    int64_t key;

    memset(e, 0, sizeof *e);
    while (hf_map_next(r, &m, &key)) {
        switch (key) {
        case KEY_SNAPSHOT:
            chunk_ref_get(r, &e->ref, block);
            e->snapshot = e->ref.id;
            break;
        case KEY_TIME: e->time_ns = hf_get_int(r); break;
        case KEY_UTC_OFFSET: e->utc_offset_s = (int32_t)hf_get_int(r); break;
        case KEY_ORDINAL: e->ordinal = hf_get_u32(r); break;
        case KEY_HOST_NAME:
            name = hf_get_bytes(r, sizeof e->host_name - 1, &n);
            if (name != NULL) memcpy(e->host_name, name, n);
            break;
        case KEY_TAGS: get_tags(r, e); break;
        default: hf_map_other(r, key);
        }
    }
    hf_map_require(r, &m, 0x3f);
}

static enum hf_code get_chunk(struct catalog *catalog, const uint8_t *bytes, size_t size,
                              const struct hf_id *block, struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, size);

    (void)hf_get_header(&r, 2, HF_TYPE_CATALOG, VERSION);
    while (hf_reader_left(&r) > 0) {
        struct catalog_entry *grown;

        if (catalog->count == CATALOG_SNAPSHOTS_MAX)
            return hf_fail(err, HF_TOO_LARGE, "catalog: more than %u snapshots",
                           CATALOG_SNAPSHOTS_MAX);
        grown = hf_grow_array(catalog->entries, &catalog->capacity, catalog->count + 1,
                              sizeof *grown);
        if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "catalog: out of memory");
        catalog->entries = grown;
        get_line(&r, block, &grown[catalog->count++]);
    }
    return hf_reader_done(&r)
               ? HF_OK
               : hf_fail(err, HF_CORRUPT, "catalog: %zu bytes do not parse", size);
}

enum hf_code catalog_read(struct fetcher *fetcher, const struct vault_keys *keys,
                          const uint8_t *bytes, size_t n, struct catalog *catalog,
                          struct hf_err *err)
{
    struct stream_cursor *cursor = NULL;
    struct hf_record record;
    struct head head;
    enum hf_code rc = hf_record_parse(bytes, n, &record, err);

    memset(catalog, 0, sizeof *catalog);
    if (rc == HF_OK) rc = head_open(keys, &record, &head, err);
    if (rc != HF_OK) return rc;
    catalog->host = record.host;
    catalog->incarnation = record.incarnation;
    catalog->seq = record.seq;
    hf_sha256(bytes, n, &catalog->head_hash);
    memcpy(catalog->host_name, head.host_name, sizeof catalog->host_name);
    cursor = stream_cursor_new(fetcher, FRAME_CATALOG, &head.catalog);
    if (cursor == NULL) rc = hf_fail(err, HF_NO_MEMORY, "catalog: out of memory");
    while (rc == HF_OK) {
        const uint8_t *chunk;
        struct hf_id block;
        uint64_t offset;
        size_t size;

        rc = stream_cursor_next(cursor, &chunk, &size, &offset, &block, err);
        if (rc == HF_OK && size == 0) break;
        if (rc == HF_OK) rc = get_chunk(catalog, chunk, size, &block, err);
    }
    stream_cursor_free(cursor);
    if (rc == HF_OK) return HF_OK;
    catalog_done(catalog);
    return hf_prefix(err, "catalog of %s", head.host_name);
}

/* ---- writing ---- */

struct line {
    struct packed place;
    const struct catalog_entry *entry;
};

struct group {
    struct line *lines;
    size_t count;
};

static void encode(void *arg, struct packer *packer, struct hf_writer *w)
{
    struct group *group = arg;

    hf_put_header(w, 0, HF_TYPE_CATALOG, VERSION);
    for (size_t i = 0; i < group->count; i++) {
        const struct catalog_entry *e = group->lines[i].entry;

        hf_put_map(w, 6);
        hf_put_key(w, KEY_SNAPSHOT);
        packer_put_chunk(packer, w, &group->lines[i].place);
        hf_put_key(w, KEY_TIME);
        hf_put_int(w, e->time_ns);
        hf_put_key(w, KEY_UTC_OFFSET);
        hf_put_int(w, e->utc_offset_s);
        hf_put_key(w, KEY_ORDINAL);
        hf_put_uint(w, e->ordinal);
        hf_put_key(w, KEY_HOST_NAME);
        hf_put_bytes(w, e->host_name, strlen(e->host_name));
        hf_put_key(w, KEY_TAGS);
        hf_put_array(w, e->tag_count);
        for (size_t t = 0; t < e->tag_count; t++)
            hf_put_bytes(w, e->tags[t], strlen(e->tags[t]));
    }
}

static size_t group_end(const struct line *lines, size_t count, size_t from)
{
    for (size_t i = from; i < count; i++) {
        if (i + 1 - from == CHUNK_LINES_MAX ||
            lines[i].entry->snapshot.b[0] % CUT_MODULUS == 0)
            return i + 1;
    }
    return count;
}

static enum hf_code write_lines(struct packer *packer, struct line *lines, size_t count,
                                struct stream_packed *out, struct hf_err *err)
{
    struct stream_writer writer;
    enum hf_code rc = HF_OK;

    stream_writer_init(&writer, packer);
    for (size_t from = 0; rc == HF_OK && from < count;) {
        size_t end = group_end(lines, count, from);
        struct group group = {lines + from, end - from};
        struct packed packed;

        rc = packer_add_tree(packer, FRAME_CATALOG, encode, &group, &packed, err);
        if (rc == HF_OK) rc = stream_writer_add(&writer, packed.ref.size, &packed, err);
        from = end;
    }
    if (rc == HF_OK) rc = stream_writer_finish(&writer, out, err);
    stream_writer_done(&writer);
    return rc;
}

enum hf_code catalog_write(struct packer *packer, const struct catalog *catalog,
                           const struct snapshot *snapshot, struct packed *place,
                           struct stream_packed *out, struct hf_err *err)
{
    struct catalog_entry entry = {.snapshot = snapshot->id,
                                  .time_ns = snapshot->time_ns,
                                  .utc_offset_s = snapshot->utc_offset_s,
                                  .ordinal = snapshot->ordinal,
                                  .tags = snapshot->tags,
                                  .tag_count = snapshot->tag_count};
    size_t count = catalog->count + 1;
    struct line *lines = hf_alloc_array(count, sizeof *lines);
    enum hf_code rc;

    memset(out, 0, sizeof *out);
    if (lines == NULL) return hf_fail(err, HF_NO_MEMORY, "catalog: out of memory");
    memcpy(entry.host_name, snapshot->host_name, sizeof entry.host_name);
    for (size_t i = 0; i < catalog->count; i++) {
        lines[i].place = packed_known(&catalog->entries[i].ref);
        lines[i].entry = &catalog->entries[i];
    }
    lines[catalog->count].place = *place;
    lines[catalog->count].entry = &entry;
    rc = write_lines(packer, lines, count, out, err);
    *place = lines[catalog->count].place; /* it may have become complete */
    free(lines);
    return rc;
}
