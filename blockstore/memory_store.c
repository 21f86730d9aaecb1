#include "blockstore/memory_store.h"

#include "base/alloc.h"
#include "base/record.h"
#include "base/tree_hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct memory_block {
    struct hf_id id;
    struct hf_id vault;
    uint8_t *bytes; /* NULL: lost */
    size_t size;
};

struct memory_record {
    struct hf_id vault, host;
    size_t size;
    uint8_t bytes[HF_RECORD_MAX];
};

struct fault {
    uint64_t calls, at; /* at: the call that fails; 0: none */
    enum hf_code code;
    bool sticky;
};

struct contents {
    pthread_mutex_t lock; /* guards all */
    size_t references;
    struct memory_block *blocks;
    size_t block_count, block_capacity;
    struct memory_record *records; /* sorted by vault, host */
    size_t record_count, record_capacity;
    struct fault faults[MEMORY_OPS];
    uint64_t seq;
};

struct memory_store {
    struct block_store base; /* first */
    struct contents *contents;
    struct block_owner owner;
};

static struct memory_store *memory(struct block_store *store)
{
    return (struct memory_store *)store;
}

static struct contents *lock(struct block_store *store)
{
    struct contents *c = memory(store)->contents;

    (void)pthread_mutex_lock(&c->lock);
    return c;
}

static void unlock(struct contents *c)
{
    (void)pthread_mutex_unlock(&c->lock);
}

/* Counts the call; anything but HF_OK is what it was told to fail with. */
static enum hf_code call(struct contents *c, enum memory_op op, struct hf_err *err)
{
    struct fault *fault = &c->faults[op];

    fault->calls++;
    if (fault->at == 0 || fault->calls < fault->at) return HF_OK;
    if (fault->calls > fault->at && !fault->sticky) return HF_OK;
    return hf_fail(err, fault->code, "told to fail");
}

static struct memory_block *find_block(struct contents *c, const struct hf_id *vault,
                                       const struct hf_id *id)
{
    for (size_t i = 0; i < c->block_count; i++)
        if (c->blocks[i].bytes != NULL && hf_id_equal(&c->blocks[i].id, id) &&
            hf_id_equal(&c->blocks[i].vault, vault))
            return &c->blocks[i];
    return NULL;
}

static void begin(struct block_store *store, uint64_t seq)
{
    struct contents *c = lock(store);

    c->seq = seq;
    unlock(c);
}

static enum hf_code add_block(struct contents *c, const struct hf_id *vault,
                              const uint8_t *data, size_t n, const struct hf_id *id,
                              struct hf_err *err)
{
    struct memory_block *blocks =
        hf_grow_array(c->blocks, &c->block_capacity, c->block_count + 1, sizeof *blocks);
    uint8_t *copy = malloc(n);

    if (blocks != NULL) c->blocks = blocks;
    if (blocks == NULL || copy == NULL) {
        free(copy);
        return hf_fail(err, HF_NO_MEMORY, "no memory for a block");
    }
    memcpy(copy, data, n);
    blocks[c->block_count++] =
        (struct memory_block){.id = *id, .vault = *vault, .bytes = copy, .size = n};
    return HF_OK;
}

static enum hf_code put(struct block_store *store, const uint8_t *data, size_t n,
                        struct hf_id *id, struct hf_err *err)
{
    const struct hf_id *vault = &memory(store)->owner.vault;
    struct contents *c;
    enum hf_code rc;

    hf_tree_hash(data, n, id);
    c = lock(store);
    rc = call(c, MEMORY_PUT, err);
    if (rc == HF_OK && find_block(c, vault, id) == NULL)
        rc = add_block(c, vault, data, n, id, err);
    unlock(c);
    return rc;
}

static enum hf_code get(struct block_store *store, const struct hf_id *id, size_t offset,
                        size_t size, uint8_t *buf, struct hf_err *err)
{
    struct contents *c = lock(store);
    enum hf_code rc = call(c, MEMORY_GET, err);
    const struct memory_block *block;

    if (rc != HF_OK) goto out;
    block = find_block(c, &memory(store)->owner.vault, id);
    if (block == NULL) {
        rc = hf_fail(err, HF_NOT_FOUND, "no such block");
    } else if (size > block->size || offset > block->size - size) {
        rc = hf_fail(err, HF_CORRUPT, "bytes %zu+%zu of a block of %zu", offset, size,
                     block->size);
    } else {
        memcpy(buf, block->bytes + offset, size);
    }
out:
    unlock(c);
    return rc;
}

static enum hf_code have(struct block_store *store, const struct hf_id *ids, size_t count,
                         bool *have, struct hf_err *err)
{
    struct contents *c = lock(store);
    enum hf_code rc = call(c, MEMORY_HAVE, err);

    for (size_t i = 0; rc == HF_OK && i < count; i++)
        have[i] = find_block(c, &memory(store)->owner.vault, &ids[i]) != NULL;
    unlock(c);
    return rc;
}

static enum hf_code flush(struct block_store *store, struct hf_err *err)
{
    struct contents *c = lock(store);
    enum hf_code rc = call(c, MEMORY_FLUSH, err);

    unlock(c);
    return rc;
}

/* ---- records ---- */

static int compare_slots(const struct memory_record *slot, const struct hf_record *record)
{
    int order = hf_id_compare(&slot->vault, &record->vault);

    return order != 0 ? order : hf_id_compare(&slot->host, &record->host);
}

/* Puts a new slot before index i. */
static enum hf_code add_slot(struct contents *c, size_t i, const struct hf_record *record,
                             struct hf_err *err)
{
    struct memory_record *records = hf_grow_array(c->records, &c->record_capacity,
                                                  c->record_count + 1, sizeof *records);

    if (records == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for a record");
    c->records = records;
    memmove(records + i + 1, records + i, (c->record_count - i) * sizeof *records);
    c->record_count++;
    records[i] = (struct memory_record){.vault = record->vault, .host = record->host};
    return HF_OK;
}

static enum hf_code store_record(struct contents *c, const struct hf_record *record,
                                 const uint8_t *bytes, size_t n, struct hf_err *err)
{
    struct hf_record old;
    size_t i = 0;

    while (i < c->record_count && compare_slots(&c->records[i], record) < 0)
        i++;
    if (i == c->record_count || compare_slots(&c->records[i], record) != 0) {
        if (add_slot(c, i, record, err) != HF_OK) return err->code;
    } else {
        if (c->records[i].size == n && memcmp(c->records[i].bytes, bytes, n) == 0)
            return HF_OK;
        if (hf_record_parse(c->records[i].bytes, c->records[i].size, &old, err) == HF_OK &&
            hf_record_compare(record, &old) <= 0)
            return hf_fail(err, HF_EXISTS, "a record as new or newer is there");
    }
    memcpy(c->records[i].bytes, bytes, n);
    c->records[i].size = n;
    return HF_OK;
}

static enum hf_code put_record(struct block_store *store, const uint8_t *bytes, size_t n,
                               struct hf_err *err)
{
    struct hf_record record;
    struct contents *c;
    enum hf_code rc = hf_record_parse(bytes, n, &record, err);

    if (rc != HF_OK) return rc;
    if (!hf_id_equal(&record.vault, &memory(store)->owner.vault))
        return hf_fail(err, HF_DENIED, "a record of another vault");
    c = lock(store);
    rc = call(c, MEMORY_PUT_RECORD, err);
    if (rc == HF_OK) rc = store_record(c, &record, bytes, n, err);
    unlock(c);
    return rc;
}

static enum hf_code get_records(struct block_store *store, block_store_record_fn *fn,
                                void *arg, struct hf_err *err)
{
    const struct hf_id *vault = &memory(store)->owner.vault;
    struct contents *c = lock(store);
    enum hf_code rc = call(c, MEMORY_GET_RECORDS, err);
    struct memory_record *copy = NULL;
    size_t count = 0;

    /* HF_INCOMPLETE passes on what there is. */
    if (rc == HF_OK || rc == HF_INCOMPLETE) {
        copy = hf_alloc_array(c->record_count + 1, sizeof *copy);
        if (copy == NULL) rc = hf_fail(err, HF_NO_MEMORY, "no memory for the records");
        for (size_t i = 0; copy != NULL && i < c->record_count; i++)
            if (hf_id_equal(&c->records[i].vault, vault)) copy[count++] = c->records[i];
    }
    unlock(c);
    /* Not under the lock: fn may call the store. */
    for (size_t i = 0; i < count; i++)
        fn(arg, copy[i].bytes, copy[i].size);
    free(copy);
    return rc;
}

/* ---- making and closing ---- */

static void contents_unref(struct contents *c)
{
    bool last;

    (void)pthread_mutex_lock(&c->lock);
    last = --c->references == 0;
    unlock(c);
    if (!last) return;
    for (size_t i = 0; i < c->block_count; i++)
        free(c->blocks[i].bytes);
    free(c->blocks);
    free(c->records);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static void close_store(struct block_store *store)
{
    contents_unref(memory(store)->contents);
    free(store);
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

/* Takes over a reference to c, also when it fails. */
static struct block_store *store_over(struct contents *c, const struct block_owner *owner)
{
    struct memory_store *store = calloc(1, sizeof *store);

    if (store == NULL) {
        contents_unref(c);
        return NULL;
    }
    store->base.ops = &ops;
    store->contents = c;
    store->owner = *owner;
    return &store->base;
}

struct block_store *memory_store_new(const struct block_owner *owner)
{
    struct contents *c = calloc(1, sizeof *c);

    if (c == NULL) return NULL;
    (void)pthread_mutex_init(&c->lock, NULL);
    c->references = 1;
    return store_over(c, owner);
}

struct block_store *memory_store_share(struct block_store *store,
                                       const struct block_owner *owner)
{
    struct contents *c = lock(store);

    c->references++;
    unlock(c);
    return store_over(c, owner);
}

/* ---- what tests ask and demand ---- */

void memory_store_fail(struct block_store *store, enum memory_op op, uint64_t n,
                       enum hf_code code, bool sticky)
{
    struct contents *c = lock(store);
    struct fault *fault = &c->faults[op];

    fault->at = n == 0 ? 0 : fault->calls + n;
    fault->code = code;
    fault->sticky = sticky;
    unlock(c);
}

uint64_t memory_store_calls(struct block_store *store, enum memory_op op)
{
    struct contents *c = lock(store);
    uint64_t calls = c->faults[op].calls;

    unlock(c);
    return calls;
}

size_t memory_store_block_count(struct block_store *store)
{
    struct contents *c = lock(store);
    size_t count = 0;

    for (size_t i = 0; i < c->block_count; i++)
        if (c->blocks[i].bytes != NULL) count++;
    unlock(c);
    return count;
}

struct hf_id memory_store_block_id(struct block_store *store, size_t index)
{
    struct contents *c = lock(store);
    struct hf_id id = {0};

    for (size_t i = 0; i < c->block_count; i++) {
        if (c->blocks[i].bytes == NULL) continue;
        if (index-- == 0) {
            id = c->blocks[i].id;
            break;
        }
    }
    unlock(c);
    return id;
}

bool memory_store_lose(struct block_store *store, const struct hf_id *id)
{
    struct contents *c = lock(store);
    struct memory_block *block = find_block(c, &memory(store)->owner.vault, id);

    if (block != NULL) {
        free(block->bytes);
        block->bytes = NULL;
    }
    unlock(c);
    return block != NULL;
}

bool memory_store_alter(struct block_store *store, const struct hf_id *id, size_t offset)
{
    struct contents *c = lock(store);
    struct memory_block *block = find_block(c, &memory(store)->owner.vault, id);
    bool there = block != NULL && offset < block->size;

    if (there) block->bytes[offset] ^= 0xff;
    unlock(c);
    return there;
}

uint64_t memory_store_seq(struct block_store *store)
{
    struct contents *c = lock(store);
    uint64_t seq = c->seq;

    unlock(c);
    return seq;
}
