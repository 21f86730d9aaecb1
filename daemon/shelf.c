/* No two of the locks below are ever held at once, but for a stripe, which is held around
 * the log's own. */
#include "daemon/shelf.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/record.h"
#include "daemon/damage.h"
#include "daemon/fragments.h"
#include "daemon/inventory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REMIND_MS    600000u /* a failure that lasts is told again */
#define STRIPES      16u
#define ATTEMPTS_MAX 8u /* at an entry that is replaced while it is read */

struct shelf {
    struct segment_log *log;
    struct damage *damage;
    pthread_mutex_t stripes[STRIPES]; /* by slot: one record at a time is judged and put */

    pthread_mutex_t failure_mutex; /* guards the rest of the block */
    enum hf_code failure;          /* that was logged last, or HF_OK */
    uint64_t failed_ms;

    pthread_mutex_t room_mutex; /* guards the rest */
    pthread_cond_t room;        /* there is more, or the end has come */
    size_t loaded_bytes;
    bool ended;
};

struct shelf *shelf_new(struct segment_log *log)
{
    struct shelf *shelf = hf_alloc_array(1, sizeof *shelf);

    if (shelf == NULL) return NULL;
    shelf->damage = damage_new();
    if (shelf->damage == NULL) {
        free(shelf);
        return NULL;
    }
    shelf->log = log;
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_init(&shelf->stripes[i], NULL);
    (void)pthread_mutex_init(&shelf->failure_mutex, NULL);
    (void)pthread_mutex_init(&shelf->room_mutex, NULL);
    (void)pthread_cond_init(&shelf->room, NULL);
    return shelf;
}

void shelf_free(struct shelf *shelf)
{
    if (shelf == NULL) return;
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_destroy(&shelf->stripes[i]);
    (void)pthread_mutex_destroy(&shelf->failure_mutex);
    (void)pthread_mutex_destroy(&shelf->room_mutex);
    (void)pthread_cond_destroy(&shelf->room);
    damage_free(shelf->damage);
    free(shelf);
}

/* ---- memory ---- */

/* Waits until `size` more bytes may be loaded; one alone always may. */
static void take_room(struct shelf *shelf, size_t size)
{
    (void)pthread_mutex_lock(&shelf->room_mutex);
    while (!shelf->ended && shelf->loaded_bytes > 0 &&
           shelf->loaded_bytes + size > SHELF_BYTES_MAX)
        (void)pthread_cond_wait(&shelf->room, &shelf->room_mutex);
    shelf->loaded_bytes += size;
    (void)pthread_mutex_unlock(&shelf->room_mutex);
}

static void give_room(struct shelf *shelf, size_t size)
{
    (void)pthread_mutex_lock(&shelf->room_mutex);
    shelf->loaded_bytes -= size;
    (void)pthread_cond_broadcast(&shelf->room);
    (void)pthread_mutex_unlock(&shelf->room_mutex);
}

void shelf_release(struct shelf *shelf, struct dht_item *loaded)
{
    if (loaded->payload != NULL) give_room(shelf, loaded->payload->size);
    hf_buffer_unref(loaded->payload);
    hf_buffer_unref(loaded->manifest);
    *loaded = (struct dht_item){0};
}

void shelf_end(struct shelf *shelf)
{
    (void)pthread_mutex_lock(&shelf->room_mutex);
    shelf->ended = true;
    (void)pthread_cond_broadcast(&shelf->room);
    (void)pthread_mutex_unlock(&shelf->room_mutex);
}

/* One line when stores fail, and again after a while if they still do. */
static void note_store(struct shelf *shelf, enum hf_code code, const char *why)
{
    uint64_t now_ms = hf_clock_monotonic_ms();
    bool news;

    if (code == HF_OK) return;
    (void)pthread_mutex_lock(&shelf->failure_mutex);
    news = code != shelf->failure || now_ms - shelf->failed_ms >= REMIND_MS;
    if (news) {
        shelf->failure = code;
        shelf->failed_ms = now_ms;
    }
    (void)pthread_mutex_unlock(&shelf->failure_mutex);
    if (news) hf_log(HF_LOG_ERROR, "store", "what others send cannot be kept: %s", why);
}

/* ---- storing ---- */

static enum hf_code put(struct shelf *shelf, const struct log_put *put, struct hf_err *err)
{
    enum hf_code rc = segment_log_put(shelf->log, put, err);

    note_store(shelf, rc, err->msg);
    if (rc == HF_OK) damage_mended(shelf->damage, &put->key);
    return rc;
}

/* A holder that is asked twice, because its disk is slow, is not made slower. */
static bool is_here(struct shelf *shelf, const struct log_key *key,
                    const struct hf_buffer *manifest)
{
    uint8_t meta[LOG_META_MAX];
    struct hf_err ignored;
    size_t n;

    return segment_log_meta(shelf->log, key, meta, &n, &ignored) == HF_OK &&
           n == manifest->size && memcmp(meta, manifest->b, n) == 0 &&
           segment_log_verify(shelf->log, key, &ignored) == HF_OK;
}

static enum hf_code store_fragment(struct shelf *shelf, const struct dht_item *item,
                                   struct hf_err *err)
{
    struct log_put p = {.meta = item->manifest->b,
                        .meta_size = item->manifest->size,
                        .payload = item->payload->b,
                        .payload_size = item->payload->size};
    struct manifest manifest;
    enum hf_code rc = manifest_parse(p.meta, p.meta_size, &manifest, err);

    if (rc != HF_OK) return rc;
    if (item->index >= manifest.shape.n || p.payload_size != manifest.shape.fragment_size)
        return hf_fail(err, HF_CORRUPT, "fragment %u is none of its manifest", item->index);
    p.key = log_key_fragment(&manifest.vault, &manifest.block, manifest.generation,
                             (uint16_t)item->index);
    p.payload_root = &manifest.roots[item->index]; /* verified by dht/holder.c */
    if (is_here(shelf, &p.key, item->manifest)) return HF_OK;
    return put(shelf, &p, err);
}

/* HF_OK: `record` is higher than what stands there, or that is damaged. */
static enum hf_code judge(struct shelf *shelf, const struct log_key *key,
                          const struct hf_record *record, const struct hf_buffer *bytes,
                          bool *same, struct hf_err *err)
{
    uint8_t meta[LOG_META_MAX];
    struct hf_record there;
    struct hf_err ignored;
    size_t n;
    enum hf_code rc = segment_log_meta(shelf->log, key, meta, &n, err);
    int order;

    *same = false;
    if (rc == HF_NOT_FOUND || rc == HF_CORRUPT) return HF_OK;
    if (rc != HF_OK) return rc;
    if (hf_record_parse(meta, n, &there, &ignored) != HF_OK) return HF_OK;
    order = hf_record_compare(record, &there);
    *same = order == 0 && n == bytes->size && memcmp(meta, bytes->b, n) == 0;
    if (order > 0 || *same) return HF_OK;
    return hf_fail(err, HF_EXISTS, "a higher record stands there");
}

static enum hf_code store_record(struct shelf *shelf, const struct dht_item *item,
                                 struct hf_err *err)
{
    struct log_put p = {.meta = item->payload->b, .meta_size = item->payload->size};
    struct hf_record record;
    pthread_mutex_t *stripe;
    enum hf_code rc = hf_record_parse(p.meta, p.meta_size, &record, err);
    bool same;

    if (rc != HF_OK) return rc;
    p.key = log_key_record(&record.vault, &record.host);
    stripe = &shelf->stripes[(record.vault.b[0] ^ record.host.b[0]) % STRIPES];
    (void)pthread_mutex_lock(stripe);
    rc = judge(shelf, &p.key, &record, item->payload, &same, err);
    if (rc == HF_OK && !same) rc = put(shelf, &p, err);
    (void)pthread_mutex_unlock(stripe);
    return rc;
}

enum hf_code shelf_store(struct shelf *shelf, const struct dht_item *item,
                         struct hf_err *err)
{
    switch (item->kind) {
    case DHT_ITEM_FRAGMENT: return store_fragment(shelf, item, err);
    case DHT_ITEM_RECORD: return store_record(shelf, item, err);
    case DHT_ITEM_RECORDS:
    case DHT_ITEM_PRESENCE: break;
    }
    return hf_fail(err, HF_INVALID, "an item of kind %u cannot be stored",
                   (unsigned)item->kind);
}

/* ---- loading ---- */

/* The meta of an entry in a new buffer. */
static enum hf_code read_meta(struct shelf *shelf, const struct log_key *key,
                              struct hf_buffer **out, struct hf_err *err)
{
    uint8_t meta[LOG_META_MAX];
    size_t n;
    enum hf_code rc = segment_log_meta(shelf->log, key, meta, &n, err);

    if (rc != HF_OK) return rc;
    *out = hf_buffer_new(n);
    if (*out == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for %zu bytes", n);
    memcpy((*out)->b, meta, n);
    return HF_OK;
}

/* The payload in a new buffer, for which room is taken. */
static enum hf_code read_payload(struct shelf *shelf, const struct log_key *key,
                                 size_t size, struct hf_buffer **out, struct hf_err *err)
{
    enum hf_code rc;
    size_t n;

    if (size == 0 || size > DHT_PAYLOAD_MAX)
        return hf_fail(err, HF_CORRUPT, "a fragment of %zu bytes", size);
    take_room(shelf, size);
    *out = hf_buffer_new(size);
    if (*out == NULL) {
        give_room(shelf, size);
        return hf_fail(err, HF_NO_MEMORY, "no memory for %zu bytes", size);
    }
    rc = segment_log_load(shelf->log, key, (*out)->b, size, &n, err);
    if (rc == HF_OK && n != size)
        rc = hf_fail(err, HF_CORRUPT, "%zu of %zu bytes", n, size);
    return rc;
}

/* Reads one entry: manifest and payload of the same put. */
static enum hf_code read_fragment(struct shelf *shelf, const struct log_key *key,
                                  struct dht_item *loaded, struct hf_err *err)
{
    struct log_info before, after;

    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        enum hf_code rc = segment_log_find(shelf->log, key, &before, err);

        if (rc != HF_OK) return rc;
        rc = read_meta(shelf, key, &loaded->manifest, err);
        if (rc == HF_OK)
            rc = read_payload(shelf, key, before.payload_size, &loaded->payload, err);
        if (segment_log_find(shelf->log, key, &after, err) == HF_OK &&
            after.sequence == before.sequence) {
            if (rc == HF_OK) return HF_OK;
        } else {
            rc = HF_OK; /* replaced meanwhile: once more */
        }
        shelf_release(shelf, loaded);
        if (rc != HF_OK) return rc;
    }
    return hf_fail(err, HF_IO, "it is replaced all the time");
}

static enum hf_code load_fragment(struct shelf *shelf, const struct dht_item *wanted,
                                  struct dht_item *loaded, struct hf_err *err)
{
    struct fragments f;
    enum hf_code rc = fragments_list(shelf->log, &wanted->vault, &wanted->block,
                                     wanted->generation, &f, err);

    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < f.count; i++) {
        const struct log_key *key = &f.keys[i];

        rc = read_fragment(shelf, key, loaded, err);
        if (rc == HF_OK) {
            damage_mended(shelf->damage, key);
            loaded->kind = DHT_ITEM_FRAGMENT;
            loaded->vault = wanted->vault;
            loaded->block = wanted->block;
            loaded->generation = fragment_key_generation(key);
            loaded->index = fragment_key_index(key);
            return HF_OK;
        }
        if (rc == HF_NO_MEMORY) return rc;
        if (rc == HF_CORRUPT) damage_found(shelf->damage, key, err->msg);
    }
    return rc;
}

static enum hf_code load_record(struct shelf *shelf, const struct dht_item *wanted,
                                struct dht_item *loaded, struct hf_err *err)
{
    struct log_key key = log_key_record(&wanted->vault, &wanted->host);
    enum hf_code rc = read_meta(shelf, &key, &loaded->payload, err);

    if (rc == HF_CORRUPT) damage_found(shelf->damage, &key, err->msg);
    if (rc != HF_OK) return rc;
    take_room(shelf, loaded->payload->size);
    loaded->kind = DHT_ITEM_RECORD;
    return HF_OK;
}

static enum hf_code load_list(struct shelf *shelf, const struct dht_item *wanted,
                              struct dht_item *loaded, struct hf_err *err)
{
    enum hf_code rc = wanted->kind == DHT_ITEM_RECORDS
                          ? inventory_records(shelf->log, shelf->damage, &wanted->vault,
                                              &loaded->payload, err)
                          : inventory_presence(shelf->log, shelf->damage, &wanted->vault,
                                               wanted->payload, &loaded->payload, err);

    if (loaded->payload == NULL) return rc;
    loaded->kind = wanted->kind;
    take_room(shelf, loaded->payload->size);
    return rc;
}

enum hf_code shelf_load(struct shelf *shelf, const struct dht_item *wanted,
                        struct dht_item *loaded, struct hf_err *err)
{
    *loaded = (struct dht_item){0};
    switch (wanted->kind) {
    case DHT_ITEM_FRAGMENT: return load_fragment(shelf, wanted, loaded, err);
    case DHT_ITEM_RECORD: return load_record(shelf, wanted, loaded, err);
    case DHT_ITEM_RECORDS:
    case DHT_ITEM_PRESENCE: return load_list(shelf, wanted, loaded, err);
    }
    return hf_fail(err, HF_INVALID, "an item of kind %u", (unsigned)wanted->kind);
}
