#include "blockstore/block_store.h"

bool block_size_valid(size_t size)
{
    return size > 0 && size <= BLOCK_SIZE_MAX && size % BLOCK_SIZE_MIN == 0;
}

void block_store_begin(struct block_store *store, uint64_t seq)
{
    store->ops->begin(store, seq);
}

enum hf_code block_store_put(struct block_store *store, const uint8_t *data, size_t n,
                             struct hf_id *id, struct hf_err *err)
{
    if (!block_size_valid(n))
        return hf_fail(err, HF_INVALID, "a block of %zu bytes is of no size class", n);
    return store->ops->put(store, data, n, id, err);
}

enum hf_code block_store_get(struct block_store *store, const struct hf_id *id,
                             size_t offset, size_t size, uint8_t *buf, struct hf_err *err)
{
    if (size > BLOCK_SIZE_MAX || offset > BLOCK_SIZE_MAX - size)
        return hf_fail(err, HF_CORRUPT, "bytes %zu+%zu are beyond the end of any block",
                       offset, size);
    return store->ops->get(store, id, offset, size, buf, err);
}

enum hf_code block_store_have(struct block_store *store, const struct hf_id *ids,
                              size_t count, bool *have, struct hf_err *err)
{
    if (count > BLOCK_HAVE_MAX)
        return hf_fail(err, HF_TOO_LARGE, "asked for %zu blocks at once, at most %u", count,
                       BLOCK_HAVE_MAX);
    return store->ops->have(store, ids, count, have, err);
}

enum hf_code block_store_flush(struct block_store *store, struct hf_err *err)
{
    return store->ops->flush(store, err);
}

enum hf_code block_store_put_record(struct block_store *store, const uint8_t *record,
                                    size_t n, struct hf_err *err)
{
    return store->ops->put_record(store, record, n, err);
}

enum hf_code block_store_get_records(struct block_store *store, block_store_record_fn *fn,
                                     void *arg, struct hf_err *err)
{
    return store->ops->get_records(store, fn, arg, err);
}

void block_store_close(struct block_store *store)
{
    if (store != NULL) store->ops->close(store);
}
