#include "blockstore/ring_store.h"

#include "base/clock.h"
#include "base/tree_hash.h"
#include "blockstore/local_client.h"
#include "erasure/code.h"
#include "erasure/manifest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define INFO_EVERY_MS 2000u /* how old the redundancy may be that a block is coded with */
#define WORKS_MAX     4u    /* buffers for coding, kept for reuse */

enum slot_state { SLOT_EMPTY, SLOT_LOADING, SLOT_READY };

struct slot {
    enum slot_state state;
    struct hf_id id;
    unsigned users; /* copying from it: not to be replaced */
    uint64_t used;  /* by the store's clock */
    size_t size;
    uint8_t *bytes; /* BLOCK_SIZE_MAX, once it was used */
};

struct ring_store {
    struct block_store base;
    struct block_owner owner;
    struct local_client *client;
    struct coder *coder;
    _Atomic uint64_t seq;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct slot slots[RING_STORE_BLOCKS];
    uint64_t clock;
    uint8_t *works[WORKS_MAX];
    size_t work_sizes[WORKS_MAX];
    size_t work_count;
    uint32_t k, n;
    struct hf_id node;
    uint64_t info_ms; /* 0: not asked yet */
};

static struct ring_store *ring_of(struct block_store *store)
{
    return (struct ring_store *)store;
}

static void ring_begin(struct block_store *store, uint64_t seq)
{
    atomic_store(&ring_of(store)->seq, seq);
}

/* ---- put ---- */

struct coding {
    uint32_t k, n;
    struct hf_id node;
};

static enum hf_code ask_coding(struct ring_store *s, struct coding *coding,
                               struct hf_err *err)
{
    uint64_t now = hf_clock_monotonic_ms();
    struct local_call call = {.request = {.kind = LOCAL_INFO}};
    struct local_reply reply;
    bool fresh;
    enum hf_code rc;

    (void)pthread_mutex_lock(&s->mutex);
    fresh = s->info_ms != 0 && now - s->info_ms < INFO_EVERY_MS;
    *coding = (struct coding){s->k, s->n, s->node};
    (void)pthread_mutex_unlock(&s->mutex);
    if (fresh) return HF_OK;
    rc = local_client_call(s->client, &call, &reply, err);
    if (rc != HF_OK) return rc;
    if (reply.number_count != 2 || reply.numbers[1] > CODE_FRAGMENTS_MAX ||
        reply.numbers[0] > reply.numbers[1])
        return hf_fail(err, HF_CORRUPT, "daemon: its answer makes no sense");
    *coding =
        (struct coding){(uint32_t)reply.numbers[0], (uint32_t)reply.numbers[1], reply.node};
    if (coding->n == 0)
        return hf_fail(err, HF_UNAVAILABLE,
                       "too few peers: no other machine of the ring can hold anything; "
                       "invite one with 'holdfast ring invite'");
    (void)pthread_mutex_lock(&s->mutex);
    s->k = coding->k;
    s->n = coding->n;
    s->node = coding->node;
    s->info_ms = now;
    (void)pthread_mutex_unlock(&s->mutex);
    return HF_OK;
}

/* Fresh memory of this size costs a page fault for every 4 KiB: it is used again. */
static uint8_t *take_work(struct ring_store *s, size_t size)
{
    uint8_t *work = NULL;
    size_t have = 0;

    (void)pthread_mutex_lock(&s->mutex);
    if (s->work_count > 0) {
        work = s->works[--s->work_count];
        have = s->work_sizes[s->work_count];
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (work != NULL && have >= size) return work;
    free(work);
    return malloc(size + 1); /* replication needs none */
}

static void give_work(struct ring_store *s, uint8_t *work, size_t size)
{
    (void)pthread_mutex_lock(&s->mutex);
    if (s->work_count < WORKS_MAX) {
        s->works[s->work_count] = work;
        s->work_sizes[s->work_count++] = size;
        work = NULL;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    free(work);
}

static enum hf_code sign_manifest(struct ring_store *s, const struct coding *coding,
                                  struct manifest *manifest, uint8_t *bytes, size_t *n,
                                  struct hf_err *err)
{
    struct hf_writer w = hf_writer_init(bytes, MANIFEST_SIZE_MAX);
    enum hf_code rc;

    manifest->epoch = 0;
    manifest->generation = 1;
    manifest->host = s->owner.host;
    manifest->seq = atomic_load(&s->seq);
    manifest->source = coding->node;
    manifest->time_ns = hf_clock_realtime_ns();
    rc = manifest_encode(&w, manifest, s->owner.signer, err);
    *n = hf_writer_size(&w);
    return rc;
}

static enum hf_code send_fragments(struct ring_store *s, const struct code_shape *shape,
                                   const uint8_t *manifest, size_t manifest_size,
                                   const uint8_t *const *fragments, struct hf_err *err)
{
    const uint8_t *parts[1 + CODE_FRAGMENTS_MAX];
    size_t sizes[1 + CODE_FRAGMENTS_MAX];
    struct local_call call = {.request = {.kind = LOCAL_PUT, .part_count = 1 + shape->n},
                              .parts = parts,
                              .sizes = sizes};
    struct local_reply reply;
    enum hf_code rc;

    parts[0] = manifest;
    sizes[0] = manifest_size;
    for (uint32_t i = 0; i < shape->n; i++) {
        parts[1 + i] = fragments[i];
        sizes[1 + i] = shape->fragment_size;
    }
    rc = local_client_call(s->client, &call, &reply, err);
    return rc == HF_DEGRADED ? HF_OK : rc; /* accepted: the flush tells of the rest */
}

static enum hf_code ring_put(struct block_store *store, const uint8_t *data, size_t n,
                             struct hf_id *id, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    const uint8_t *fragments[CODE_FRAGMENTS_MAX];
    struct hf_id leaves[HF_LEAVES_MAX];
    uint8_t bytes[MANIFEST_SIZE_MAX];
    struct manifest manifest;
    struct code_shape shape;
    struct coding coding;
    uint8_t *work = NULL;
    size_t work_size = 0;
    size_t size;
    enum hf_code rc;

    if (!block_size_valid(n))
        return hf_fail(err, HF_INVALID, "block of %zu bytes: no size class", n);
    if (s->owner.signer == NULL)
        return hf_fail(err, HF_DENIED, "store: opened for reading");
    rc = ask_coding(s, &coding, err);
    if (rc == HF_OK) rc = code_shape_init(&shape, n, coding.k, coding.n, err);
    if (rc != HF_OK) return rc;
    work_size = code_work_size(&shape);
    work = take_work(s, work_size);
    if (work == NULL) return hf_fail(err, HF_NO_MEMORY, "block: out of memory");
    hf_tree_root(leaves, hf_leaf_hashes(data, n, leaves), id);
    rc = coder_encode(s->coder, &shape, data, work, fragments, err);
    if (rc == HF_OK) {
        manifest_build(&manifest, &shape, leaves, fragments);
        rc = sign_manifest(s, &coding, &manifest, bytes, &size, err);
    }
    if (rc == HF_OK) rc = send_fragments(s, &shape, bytes, size, fragments, err);
    give_work(s, work, work_size);
    return rc;
}

/* ---- get ---- */

/* A block that is being received: data fragments go straight to their place in it. */
struct receiving {
    struct ring_store *store;
    const struct hf_id *id;
    uint8_t *block; /* BLOCK_SIZE_MAX */
    uint8_t manifest_bytes[MANIFEST_SIZE_MAX];
    struct manifest manifest;
    bool parsed;
    uint8_t *spare; /* for fragments that are not data, or that do not fit whole */
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    uint32_t piece_count;
};

static bool parse_manifest(struct receiving *r, const struct local_reply *reply)
{
    const struct code_shape *shape = &r->manifest.shape;
    struct hf_err err;

    if (manifest_parse(r->manifest_bytes, reply->sizes[0], &r->manifest, &err) != HF_OK)
        return false;
    r->parsed = hf_id_equal(&r->manifest.vault, &r->store->owner.vault) &&
                hf_id_equal(&r->manifest.block, r->id) &&
                reply->part_count == 1 + (size_t)shape->k &&
                reply->number_count == shape->k;
    return r->parsed;
}

static uint8_t *place_part(void *arg, const struct local_reply *reply, size_t index)
{
    struct receiving *r = arg;
    const struct code_shape *shape = &r->manifest.shape;
    uint64_t number;
    uint8_t *to;

    if (index == 0) return reply->sizes[0] <= MANIFEST_SIZE_MAX ? r->manifest_bytes : NULL;
    if (index == 1 && !parse_manifest(r, reply)) return NULL;
    number = reply->numbers[index - 1];
    if (!r->parsed || number >= shape->n || reply->sizes[index] != shape->fragment_size)
        return NULL;
    for (uint32_t i = 0; i < r->piece_count; i++) {
        if (r->pieces[i].index == number) return NULL;
    }
    if (number < shape->k && (number + 1) * shape->fragment_size <= shape->block_size) {
        to = r->block + number * shape->fragment_size;
    } else {
        if (r->spare == NULL) r->spare = malloc((size_t)shape->k * shape->fragment_size);
        if (r->spare == NULL) return NULL;
        to = r->spare + (index - 1) * shape->fragment_size;
    }
    r->pieces[r->piece_count++] = (struct code_piece){to, (uint32_t)number};
    return to;
}

/* Puts what is not in its place there.  With parity among the pieces the block is decoded
 * beside itself, because some of them lie in it. */
static enum hf_code assemble(struct receiving *r, struct hf_err *err)
{
    const struct code_shape *shape = &r->manifest.shape;
    bool all_data = true;
    enum hf_code rc;
    uint8_t *copy;

    for (uint32_t i = 0; i < r->piece_count; i++)
        all_data = all_data && r->pieces[i].index < shape->k;
    if (all_data) {
        for (uint32_t i = 0; i < r->piece_count; i++) { /* a last one that is padded */
            size_t at = (size_t)r->pieces[i].index * shape->fragment_size;

            if (at < shape->block_size && r->pieces[i].bytes != r->block + at)
                memcpy(r->block + at, r->pieces[i].bytes, shape->block_size - at);
        }
        return HF_OK;
    }
    copy = take_work(r->store, shape->block_size);
    if (copy == NULL) return hf_fail(err, HF_NO_MEMORY, "block: out of memory");
    rc = coder_decode(r->store->coder, shape, r->pieces, copy, err);
    if (rc == HF_OK) memcpy(r->block, copy, shape->block_size);
    give_work(r->store, copy, shape->block_size);
    return rc;
}

static enum hf_code fetch(struct ring_store *s, const struct hf_id *id, uint8_t *block,
                          size_t *size, struct hf_err *err)
{
    struct receiving *r = calloc(1, sizeof *r);
    struct local_call call = {
        .request = {.kind = LOCAL_GET, .vault = s->owner.vault, .block = *id},
        .part = place_part,
        .arg = r};
    struct local_reply reply;
    enum hf_code rc;

    if (r == NULL) return hf_fail(err, HF_NO_MEMORY, "block: out of memory");
    r->store = s;
    r->id = id;
    r->block = block;
    rc = local_client_call(s->client, &call, &reply, err);
    if (rc == HF_OK && (!r->parsed || r->piece_count != r->manifest.shape.k))
        rc = hf_fail(err, HF_CORRUPT, "daemon: its answer makes no sense");
    if (rc == HF_OK) rc = assemble(r, err);
    *size = r->manifest.shape.block_size;
    free(r->spare);
    free(r);
    return rc;
}

/* Finds the block among those kept, waits for the thread that is fetching it, or gives a
 * slot to fetch it into (state SLOT_LOADING).  Called with the mutex held. */
static struct slot *find_slot(struct ring_store *s, const struct hf_id *id)
{
    for (;;) {
        struct slot *oldest = NULL;
        bool wait = false;

        for (size_t i = 0; i < RING_STORE_BLOCKS; i++) {
            struct slot *slot = &s->slots[i];

            if (slot->state != SLOT_EMPTY && hf_id_equal(&slot->id, id)) {
                if (slot->state == SLOT_READY) return slot;
                wait = true;
            }
            if (slot->state != SLOT_LOADING && slot->users == 0 &&
                (oldest == NULL || slot->used < oldest->used))
                oldest = slot;
        }
        if (!wait && oldest != NULL) {
            oldest->state = SLOT_LOADING;
            oldest->id = *id;
            return oldest;
        }
        (void)pthread_cond_wait(&s->changed, &s->mutex);
    }
}

static enum hf_code load_slot(struct ring_store *s, struct slot *slot, struct hf_err *err)
{
    struct hf_id id = slot->id;
    size_t size = 0;
    enum hf_code rc;

    (void)pthread_mutex_unlock(&s->mutex); /* loading, it is this thread's alone */
    if (slot->bytes == NULL) slot->bytes = malloc(BLOCK_SIZE_MAX);
    rc = slot->bytes != NULL ? fetch(s, &id, slot->bytes, &size, err)
                             : hf_fail(err, HF_NO_MEMORY, "block: out of memory");
    (void)pthread_mutex_lock(&s->mutex);
    slot->size = size;
    slot->state = rc == HF_OK ? SLOT_READY : SLOT_EMPTY;
    (void)pthread_cond_broadcast(&s->changed);
    return rc;
}

static enum hf_code ring_get(struct block_store *store, const struct hf_id *id,
                             size_t offset, size_t size, uint8_t *buf, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    struct slot *slot;
    enum hf_code rc = HF_OK;

    (void)pthread_mutex_lock(&s->mutex);
    slot = find_slot(s, id);
    if (slot->state == SLOT_LOADING) rc = load_slot(s, slot, err);
    if (rc != HF_OK) {
        (void)pthread_mutex_unlock(&s->mutex);
        return rc;
    }
    slot->users++;
    slot->used = ++s->clock;
    (void)pthread_mutex_unlock(&s->mutex);
    if (offset > slot->size || size > slot->size - offset)
        rc = hf_fail(err, HF_CORRUPT, "block: %zu bytes at %zu are beyond its end", size,
                     offset);
    else
        memcpy(buf, slot->bytes + offset, size);
    (void)pthread_mutex_lock(&s->mutex);
    slot->users--;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* ---- have, flush, records ---- */

struct answers {
    uint8_t bytes[BLOCK_HAVE_MAX];
    size_t count;
};

static uint8_t *take_answers(void *arg, const struct local_reply *reply, size_t index)
{
    struct answers *a = arg;

    return index == 0 && reply->sizes[0] == a->count ? a->bytes : NULL;
}

static enum hf_code ring_have(struct block_store *store, const struct hf_id *ids,
                              size_t count, bool *have, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    struct answers answers = {.count = count};
    const uint8_t *part = (const uint8_t *)ids;
    size_t size = count * sizeof *ids;
    struct local_call call = {
        .request = {.kind = LOCAL_HAVE, .vault = s->owner.vault, .part_count = 1},
        .parts = &part,
        .sizes = &size,
        .part = take_answers,
        .arg = &answers};
    struct local_reply reply;
    enum hf_code rc;

    if (count == 0 || count > BLOCK_HAVE_MAX)
        return count == 0 ? HF_OK
                          : hf_fail(err, HF_TOO_LARGE, "have: %zu blocks at once", count);
    rc = local_client_call(s->client, &call, &reply, err);
    if (rc == HF_OK && reply.part_count != 1)
        rc = hf_fail(err, HF_CORRUPT, "daemon: its answer makes no sense");
    /* What nobody can tell for sure is not lost: only what is known to be is read again. */
    for (size_t i = 0; rc == HF_OK && i < count; i++)
        have[i] = answers.bytes[i] != LOCAL_HAVE_LOST;
    return rc;
}

static enum hf_code ring_flush(struct block_store *store, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    struct local_call call = {.request = {.kind = LOCAL_FLUSH, .vault = s->owner.vault}};
    struct local_reply reply;

    return local_client_call(s->client, &call, &reply, err);
}

static enum hf_code ring_put_record(struct block_store *store, const uint8_t *record,
                                    size_t n, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    struct local_call call = {.request = {.kind = LOCAL_RECORD_PUT, .part_count = 1},
                              .parts = &record,
                              .sizes = &n};
    struct local_reply reply;

    return local_client_call(s->client, &call, &reply, err);
}

struct records {
    uint8_t *bytes[LOCAL_PARTS_MAX];
    size_t count;
};

static uint8_t *take_record(void *arg, const struct local_reply *reply, size_t index)
{
    struct records *r = arg;

    r->bytes[index] = malloc(reply->sizes[index] + 1u);
    if (r->bytes[index] != NULL) r->count = index + 1;
    return r->bytes[index];
}

static enum hf_code ring_get_records(struct block_store *store, block_store_record_fn *fn,
                                     void *arg, struct hf_err *err)
{
    struct ring_store *s = ring_of(store);
    struct records *records = calloc(1, sizeof *records);
    struct local_call call = {
        .request = {.kind = LOCAL_RECORDS_GET, .vault = s->owner.vault},
        .part = take_record,
        .arg = records};
    struct local_reply reply;
    enum hf_code rc;

    if (records == NULL) return hf_fail(err, HF_NO_MEMORY, "records: out of memory");
    rc = local_client_call(s->client, &call, &reply, err);
    for (size_t i = 0; (rc == HF_OK || rc == HF_INCOMPLETE) && i < records->count; i++)
        fn(arg, records->bytes[i], reply.sizes[i]);
    for (size_t i = 0; i < records->count; i++)
        free(records->bytes[i]);
    free(records);
    return rc;
}

/* ---- opening and closing ---- */

static void ring_close(struct block_store *store)
{
    struct ring_store *s = ring_of(store);

    for (size_t i = 0; i < RING_STORE_BLOCKS; i++)
        free(s->slots[i].bytes);
    while (s->work_count > 0)
        free(s->works[--s->work_count]);
    coder_free(s->coder);
    local_client_free(s->client);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

enum hf_code ring_store_open(const char *run_dir, const struct block_owner *owner,
                             const struct local_cancel *cancel, struct block_store **store,
                             struct hf_err *err)
{
    static const struct block_store_ops ops = {.begin = ring_begin,
                                               .put = ring_put,
                                               .get = ring_get,
                                               .have = ring_have,
                                               .flush = ring_flush,
                                               .put_record = ring_put_record,
                                               .get_records = ring_get_records,
                                               .close = ring_close};
    struct ring_store *s = calloc(1, sizeof *s);
    struct local_call call = {.request = {.kind = LOCAL_INFO}};
    struct local_reply reply;
    enum hf_code rc;

    *store = NULL;
    if (s == NULL) return hf_fail(err, HF_NO_MEMORY, "store: out of memory");
    s->base.ops = &ops;
    s->owner = *owner;
    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    s->coder = coder_new();
    rc = s->coder == NULL ? hf_fail(err, HF_NO_MEMORY, "store: out of memory")
                          : local_client_new(run_dir, &s->client, err);
    if (rc == HF_OK && cancel != NULL) local_client_cancel_on(s->client, cancel);
    /* Is anybody there?  A ring that is too small for writing can still be read. */
    if (rc == HF_OK) rc = local_client_call(s->client, &call, &reply, err);
    if (rc == HF_OK || rc == HF_UNAVAILABLE) {
        *store = &s->base;
        return HF_OK;
    }
    ring_close(&s->base);
    return rc;
}
