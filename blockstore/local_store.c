#include "blockstore/local_store.h"

#include "base/record.h"
#include "base/tree_hash.h"
#include "blockstore/segment_log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct local_store {
    struct block_store base; /* first */
    struct segment_log *log;
    struct block_owner owner;
    pthread_mutex_t record_lock; /* held from reading a slot to writing it */
};

static struct local_store *local(struct block_store *store)
{
    return (struct local_store *)store;
}

static void begin(struct block_store *store, uint64_t seq)
{
    /* Blocks of a local store do not name their run. */
    (void)store;
    (void)seq;
}

static enum hf_code put(struct block_store *store, const uint8_t *data, size_t n,
                        struct hf_id *id, struct hf_err *err)
{
    struct local_store *s = local(store);
    struct log_put entry = {.payload = data, .payload_size = n, .payload_root = id};
    struct log_info info;
    enum hf_code rc;

    hf_tree_hash(data, n, id);
    entry.key = log_key_block(&s->owner.vault, id);
    rc = segment_log_find(s->log, &entry.key, &info, err);
    /* Stored before: seldom, for fresh frames make fresh ids.  A damaged one is replaced.
     */
    if (rc == HF_OK) rc = segment_log_verify(s->log, &entry.key, err);
    if (rc != HF_NOT_FOUND && rc != HF_CORRUPT) return rc;
    rc = segment_log_put(s->log, &entry, err);
    return rc == HF_OK ? HF_OK : hf_prefix(err, "put a block");
}

static enum hf_code get(struct block_store *store, const struct hf_id *id, size_t offset,
                        size_t size, uint8_t *buf, struct hf_err *err)
{
    struct local_store *s = local(store);
    struct log_key key = log_key_block(&s->owner.vault, id);
    char hex[HF_ID_HEX_SIZE];
    enum hf_code rc = segment_log_get(s->log, &key, offset, size, buf, err);

    return rc == HF_OK ? HF_OK : hf_prefix(err, "block %.16s", hf_id_hex(id, hex));
}

static enum hf_code have(struct block_store *store, const struct hf_id *ids, size_t count,
                         bool *have, struct hf_err *err)
{
    struct local_store *s = local(store);

    for (size_t i = 0; i < count; i++) {
        struct log_key key = log_key_block(&s->owner.vault, &ids[i]);
        struct log_info info;
        enum hf_code rc = segment_log_find(s->log, &key, &info, err);

        if (rc != HF_OK && rc != HF_NOT_FOUND) return rc;
        have[i] = rc == HF_OK;
    }
    return HF_OK;
}

static enum hf_code flush(struct block_store *store, struct hf_err *err)
{
    /* A put returns when the block is durable; a local store has no other target. */
    (void)store;
    (void)err;
    return HF_OK;
}

/* ---- records ---- */

/* A record as it comes in. */
struct incoming {
    const uint8_t *bytes;
    size_t size;
    struct hf_record record; /* parsed from them */
    struct log_key key;
    bool same; /* set by compare_slot: it is what stands in its slot */
};

/* HF_OK: it may be written over what is in its slot.  HF_EXISTS: it may not. */
static enum hf_code compare_slot(struct local_store *s, struct incoming *in,
                                 struct hf_err *err)
{
    uint8_t there[LOG_META_MAX];
    struct hf_record old;
    size_t size;
    enum hf_code rc = segment_log_meta(s->log, &in->key, there, &size, err);

    in->same = false;
    /* A damaged record is worth less than a valid one. */
    if (rc == HF_NOT_FOUND || rc == HF_CORRUPT) return HF_OK;
    if (rc != HF_OK) return rc;
    if (size == in->size && memcmp(there, in->bytes, size) == 0) {
        in->same = true;
        return HF_OK;
    }
    if (hf_record_parse(there, size, &old, err) != HF_OK) return HF_OK;
    if (hf_record_compare(&in->record, &old) > 0) return HF_OK;
    return hf_fail(err, HF_EXISTS,
                   "the store holds a record of this host that is as new or newer "
                   "(incarnation %" PRIu32 ", seq %" PRIu64 ")",
                   old.incarnation, old.seq);
}

static enum hf_code put_record(struct block_store *store, const uint8_t *bytes, size_t n,
                               struct hf_err *err)
{
    struct local_store *s = local(store);
    struct incoming in = {.bytes = bytes, .size = n};
    struct log_put entry = {.meta = bytes, .meta_size = n};
    enum hf_code rc = hf_record_parse(bytes, n, &in.record, err);

    if (rc != HF_OK) return rc;
    if (!hf_id_equal(&in.record.vault, &s->owner.vault))
        return hf_fail(err, HF_DENIED, "a record of another vault");
    entry.key = in.key = log_key_record(&in.record.vault, &in.record.host);
    (void)pthread_mutex_lock(&s->record_lock);
    rc = compare_slot(s, &in, err);
    if (rc == HF_OK && !in.same) rc = segment_log_put(s->log, &entry, err);
    (void)pthread_mutex_unlock(&s->record_lock);
    return rc;
}

struct record_listing {
    struct local_store *store;
    block_store_record_fn *fn;
    void *arg;
    bool damaged;
    enum hf_code rc;
    struct hf_err *err;
};

static bool list_record(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct record_listing *listing = arg;
    uint8_t bytes[LOG_META_MAX];
    struct hf_record record;
    size_t n;
    enum hf_code rc = segment_log_meta(listing->store->log, key, bytes, &n, listing->err);

    (void)info;
    if (rc == HF_OK) rc = hf_record_parse(bytes, n, &record, listing->err);
    if (rc == HF_OK) listing->fn(listing->arg, bytes, n);
    if (rc == HF_CORRUPT) {
        listing->damaged = true;
    } else if (rc != HF_OK && rc != HF_NOT_FOUND) {
        listing->rc = rc;
    }
    return listing->rc == HF_OK;
}

static enum hf_code get_records(struct block_store *store, block_store_record_fn *fn,
                                void *arg, struct hf_err *err)
{
    struct record_listing listing = {
        .store = local(store), .fn = fn, .arg = arg, .rc = HF_OK, .err = err};
    struct log_key prefix = log_prefix_vault(LOG_RECORD, &listing.store->owner.vault);
    struct hf_err why;
    enum hf_code rc =
        segment_log_list(listing.store->log, &prefix, list_record, &listing, &why);

    if (listing.rc != HF_OK) return listing.rc;
    if (rc != HF_OK) {
        *err = why;
        return rc;
    }
    if (!listing.damaged) return HF_OK;
    return hf_fail(err, HF_INCOMPLETE, "a record in the store is damaged");
}

/* ---- opening ---- */

static void close_store(struct block_store *store)
{
    struct local_store *s = local(store);

    segment_log_close(s->log);
    (void)pthread_mutex_destroy(&s->record_lock);
    free(s);
}

static const struct block_store_ops ops = {
    .begin = begin,
    .put = put,
    .get = get,
    .have = have,
    .flush = flush,
    .put_record = put_record,
    .get_records = get_records,
    .close = close_store,
};

enum hf_code local_store_open(const char *dir, const struct block_owner *owner,
                              bool read_only, struct hf_files *files,
                              struct block_store **store, struct hf_err *err)
{
    const struct log_options options = {.files = files, .read_only = read_only};
    struct local_store *s = calloc(1, sizeof *s);
    enum hf_code rc;

    *store = NULL;
    if (s == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the store");
    rc = segment_log_open(dir, &options, &s->log, err);
    if (rc != HF_OK) {
        free(s);
        return rc;
    }
    s->base.ops = &ops;
    s->owner = *owner;
    (void)pthread_mutex_init(&s->record_lock, NULL);
    *store = &s->base;
    return HF_OK;
}

enum hf_code local_store_status(struct block_store *store,
                                struct local_store_status *status, struct hf_err *err)
{
    struct log_status log;
    enum hf_code rc = segment_log_status(local(store)->log, &log, err);

    if (rc != HF_OK) return rc;
    *status = (struct local_store_status){.blocks = log.entries[LOG_BLOCK],
                                          .block_bytes = log.payload_bytes[LOG_BLOCK],
                                          .records = log.entries[LOG_RECORD],
                                          .disk_bytes = log.disk_bytes,
                                          .damaged_segments = log.damaged_segments};
    return HF_OK;
}

enum hf_code local_store_verify(struct block_store *store, const struct hf_id *id,
                                struct hf_err *err)
{
    struct local_store *s = local(store);
    struct log_key key = log_key_block(&s->owner.vault, id);
    char hex[HF_ID_HEX_SIZE];
    enum hf_code rc = segment_log_verify(s->log, &key, err);

    return rc == HF_OK ? HF_OK : hf_prefix(err, "block %.16s", hf_id_hex(id, hex));
}
