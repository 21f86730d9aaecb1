/* One snapshot: encoded, its id is the SHA-256 of it. */
#include "base/alloc.h"
#include "base/types.h"
#include "snapshot/catalog.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1u

enum key {
    KEY_HOST = 2,
    KEY_HOST_NAME = 3,
    KEY_INCARNATION = 4,
    KEY_VAULT = 5,
    KEY_TIME = 6,
    KEY_UTC_OFFSET = 7,
    KEY_ORDINAL = 8,
    KEY_SET = 9,
    KEY_PATHS = 10,
    KEY_TAGS = 11,
    KEY_OPTIONS = 12,
    KEY_ROOT = 13,
    KEY_TOTALS = 14,
    KEY_PARENT = 15
};

#define PATH_BYTES_MAX 65536u

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; strings != NULL && i < count; i++)
        free(strings[i]);
    free(strings);
}

void snapshot_done(struct snapshot *snapshot)
{
    free_strings(snapshot->paths, snapshot->path_count);
    free_strings(snapshot->tags, snapshot->tag_count);
    free_strings(snapshot->options, snapshot->option_count);
    memset(snapshot, 0, sizeof *snapshot);
}

static void put_strings(struct hf_writer *w, int64_t key, char **strings, size_t count)
{
    hf_put_key(w, key);
    hf_put_array(w, count);
    for (size_t i = 0; i < count; i++)
        hf_put_bytes(w, strings[i], strlen(strings[i]));
}

static char **get_strings(struct hf_reader *r, uint32_t max, size_t *count)
{
    uint32_t want = hf_get_array(r, max, 1);
    char **strings = hf_alloc_array(want, sizeof(char *));

    *count = 0;
    for (uint32_t i = 0; strings != NULL && i < want; i++) {
        size_t n;
        const uint8_t *bytes = hf_get_bytes(r, PATH_BYTES_MAX, &n);

        if (bytes == NULL || memchr(bytes, '\0', n) != NULL) {
            hf_reader_fail(r);
            break;
        }
        strings[i] = calloc(1, n + 1);
        if (strings[i] == NULL) break;
        memcpy(strings[i], bytes, n);
        (*count)++;
    }
    if (strings == NULL || *count != want) hf_reader_fail(r);
    return strings;
}

static void put_totals(struct hf_writer *w, const struct snapshot_totals *t)
{
    hf_put_array(w, 5);
    hf_put_uint(w, t->files);
    hf_put_uint(w, t->dirs);
    hf_put_uint(w, t->others);
    hf_put_uint(w, t->bytes);
    hf_put_uint(w, t->errors);
}

static void get_totals(struct hf_reader *r, struct snapshot_totals *t)
{
    if (hf_get_array(r, 5, 1) != 5) hf_reader_fail(r);
    t->files = hf_get_u64(r);
    t->dirs = hf_get_u64(r);
    t->others = hf_get_u64(r);
    t->bytes = hf_get_u64(r);
    t->errors = hf_get_u64(r);
}

struct encoding {
    const struct snapshot *snapshot;
    struct stream_packed *root;
};

static void encode(void *arg, struct packer *packer, struct hf_writer *w)
{
    struct encoding *e = arg;
    const struct snapshot *s = e->snapshot;

    hf_put_header(w, s->has_parent ? 14 : 13, HF_TYPE_SNAPSHOT, VERSION);
    hf_put_key(w, KEY_HOST);
    hf_put_id(w, &s->host);
    hf_put_key(w, KEY_HOST_NAME);
    hf_put_bytes(w, s->host_name, strlen(s->host_name));
    hf_put_key(w, KEY_INCARNATION);
    hf_put_uint(w, s->incarnation);
    hf_put_key(w, KEY_VAULT);
    hf_put_id(w, &s->vault);
    hf_put_key(w, KEY_TIME);
    hf_put_int(w, s->time_ns);
    hf_put_key(w, KEY_UTC_OFFSET);
    hf_put_int(w, s->utc_offset_s);
    hf_put_key(w, KEY_ORDINAL);
    hf_put_uint(w, s->ordinal);
    hf_put_key(w, KEY_SET);
    hf_put_bytes(w, s->set, strlen(s->set));
    put_strings(w, KEY_PATHS, s->paths, s->path_count);
    put_strings(w, KEY_TAGS, s->tags, s->tag_count);
    put_strings(w, KEY_OPTIONS, s->options, s->option_count);
    hf_put_key(w, KEY_ROOT);
    packer_put_root(packer, w, e->root->size, e->root->depth, &e->root->chunk);
    hf_put_key(w, KEY_TOTALS);
    put_totals(w, &s->totals);
    if (s->has_parent) {
        hf_put_key(w, KEY_PARENT);
        hf_put_id(w, &s->parent);
    }
}

enum hf_code snapshot_write(struct packer *packer, struct snapshot *snapshot,
                            struct stream_packed *root, struct packed *out,
                            struct hf_err *err)
{
    struct encoding e = {snapshot, root};
    enum hf_code rc;

    if (root->size > 0 && !packed_ready(packer, &root->chunk))
        return hf_fail(err, HF_INVALID, "snapshot: written before its tree");
    rc = packer_add_tree(packer, FRAME_CATALOG, encode, &e, out, err);
    if (rc == HF_OK) snapshot->id = out->ref.id;
    return rc;
}

static bool parse(const uint8_t *bytes, size_t n, const struct hf_id *block,
                  struct snapshot *s)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 32, HF_TYPE_SNAPSHOT, VERSION);
    size_t size;
    const uint8_t *name;
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_HOST: hf_get_id(&r, &s->host); break;
        case KEY_HOST_NAME:
            name = hf_get_bytes(&r, sizeof s->host_name - 1, &size);
            if (name != NULL) memcpy(s->host_name, name, size);
            break;
        case KEY_INCARNATION: s->incarnation = hf_get_u32(&r); break;
        case KEY_VAULT: hf_get_id(&r, &s->vault); break;
        case KEY_TIME: s->time_ns = hf_get_int(&r); break;
        case KEY_UTC_OFFSET: s->utc_offset_s = (int32_t)hf_get_int(&r); break;
        case KEY_ORDINAL: s->ordinal = hf_get_u32(&r); break;
        case KEY_SET:
            name = hf_get_bytes(&r, sizeof s->set - 1, &size);
            if (name != NULL) memcpy(s->set, name, size);
            break;
        case KEY_PATHS:
            s->paths = get_strings(&r, SNAPSHOT_PATHS_MAX, &s->path_count);
            break;
        case KEY_TAGS: s->tags = get_strings(&r, SNAPSHOT_TAGS_MAX, &s->tag_count); break;
        case KEY_OPTIONS:
            s->options = get_strings(&r, SNAPSHOT_OPTIONS_MAX, &s->option_count);
            break;
        case KEY_ROOT: stream_root_get(&r, &s->root, block); break;
        case KEY_TOTALS: get_totals(&r, &s->totals); break;
        case KEY_PARENT:
            hf_get_id(&r, &s->parent);
            s->has_parent = true;
            break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x7ffc);
    return hf_reader_done(&r);
}

enum hf_code snapshot_read(struct fetcher *fetcher, const struct catalog_entry *entry,
                           struct snapshot *snapshot, struct hf_err *err)
{
    struct fetched chunk;
    enum hf_code rc = fetch_chunk(fetcher, FRAME_CATALOG, &entry->ref, &chunk, err);

    memset(snapshot, 0, sizeof *snapshot);
    if (rc != HF_OK) return hf_prefix(err, "snapshot");
    if (!parse(chunk.bytes, chunk.size, &entry->ref.frame.block, snapshot)) {
        snapshot_done(snapshot);
        rc = hf_fail(err, HF_CORRUPT, "snapshot: %zu bytes do not parse", chunk.size);
    }
    snapshot->id = entry->ref.id;
    fetched_done(&chunk);
    return rc;
}
