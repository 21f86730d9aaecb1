/* No two of the locks below are ever held at once, but for a stripe, which is held around
 * the log's own. */
#include "daemon/shelf.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/record.h"
#include "dht/lists.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REMIND_MS    600000u /* a failure that lasts is told again */
#define STRIPES      16u
#define ATTEMPTS_MAX 8u                /* at an entry that is replaced while it is read */
#define KEY_BLOCK    (1u + HF_ID_SIZE) /* where the block id stands in a fragment's key */
#define KEY_TAIL     (KEY_BLOCK + HF_ID_SIZE) /* generation and index */

struct shelf {
    struct segment_log *log;
    pthread_mutex_t stripes[STRIPES]; /* by slot: one record at a time is judged and put */

    pthread_mutex_t damage_mutex;              /* guards the rest of the block */
    struct log_key damaged[SHELF_DAMAGED_MAX]; /* size 0: a free place */
    size_t next_damaged;
    enum hf_code failure; /* that was logged last, or HF_OK */
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
    shelf->log = log;
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_init(&shelf->stripes[i], NULL);
    (void)pthread_mutex_init(&shelf->damage_mutex, NULL);
    (void)pthread_mutex_init(&shelf->room_mutex, NULL);
    (void)pthread_cond_init(&shelf->room, NULL);
    return shelf;
}

void shelf_free(struct shelf *shelf)
{
    if (shelf == NULL) return;
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_destroy(&shelf->stripes[i]);
    (void)pthread_mutex_destroy(&shelf->damage_mutex);
    (void)pthread_mutex_destroy(&shelf->room_mutex);
    (void)pthread_cond_destroy(&shelf->room);
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

/* ---- damage ---- */

static struct log_key *find_damaged(struct shelf *shelf, const struct log_key *key)
{
    for (size_t i = 0; i < SHELF_DAMAGED_MAX; i++)
        if (shelf->damaged[i].size > 0 && log_key_compare(&shelf->damaged[i], key) == 0)
            return &shelf->damaged[i];
    return NULL;
}

static bool is_damaged(struct shelf *shelf, const struct log_key *key)
{
    bool damaged;

    (void)pthread_mutex_lock(&shelf->damage_mutex);
    damaged = find_damaged(shelf, key) != NULL;
    (void)pthread_mutex_unlock(&shelf->damage_mutex);
    return damaged;
}

static void is_sound(struct shelf *shelf, const struct log_key *key)
{
    struct log_key *place;

    (void)pthread_mutex_lock(&shelf->damage_mutex);
    place = find_damaged(shelf, key);
    if (place != NULL) place->size = 0;
    (void)pthread_mutex_unlock(&shelf->damage_mutex);
}

static uint32_t generation_of(const struct log_key *key)
{
    const uint8_t *b = key->b + KEY_TAIL;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t index_of(const struct log_key *key)
{
    return (uint32_t)key->b[KEY_TAIL + 4] << 8 | key->b[KEY_TAIL + 5];
}

/* Remembers it; one line for each, until it is replaced. */
static void found_damaged(struct shelf *shelf, const struct log_key *key, const char *why)
{
    char hex[HF_ID_HEX_SIZE];
    struct hf_id id; /* of the block or, of a record, the vault */
    bool known;

    (void)pthread_mutex_lock(&shelf->damage_mutex);
    known = find_damaged(shelf, key) != NULL;
    if (!known) {
        shelf->damaged[shelf->next_damaged] = *key;
        shelf->next_damaged = (shelf->next_damaged + 1) % SHELF_DAMAGED_MAX;
    }
    (void)pthread_mutex_unlock(&shelf->damage_mutex);
    if (known) return;
    if (key->b[0] == LOG_FRAGMENT) {
        memcpy(id.b, key->b + KEY_BLOCK, sizeof id.b);
        hf_log(HF_LOG_WARN, "store",
               "fragment %u of block %s, held for others, is damaged on this disk (%s); it "
               "is not given out",
               index_of(key), hf_id_hex(&id, hex), why);
    } else {
        memcpy(id.b, key->b + 1, sizeof id.b);
        hf_log(HF_LOG_WARN, "store",
               "a record of vault %s, held for others, is damaged on this disk (%s); it is "
               "not given out",
               hf_id_hex(&id, hex), why);
    }
}

/* One line when stores fail, and again after a while if they still do. */
static void note_store(struct shelf *shelf, enum hf_code code, const char *why)
{
    uint64_t now_ms = hf_clock_monotonic_ms();
    bool news;

    if (code == HF_OK) return;
    (void)pthread_mutex_lock(&shelf->damage_mutex);
    news = code != shelf->failure || now_ms - shelf->failed_ms >= REMIND_MS;
    if (news) {
        shelf->failure = code;
        shelf->failed_ms = now_ms;
    }
    (void)pthread_mutex_unlock(&shelf->damage_mutex);
    if (news) hf_log(HF_LOG_ERROR, "store", "what others send cannot be kept: %s", why);
}

/* ---- storing ---- */

static enum hf_code put(struct shelf *shelf, const struct log_put *put, struct hf_err *err)
{
    enum hf_code rc = segment_log_put(shelf->log, put, err);

    note_store(shelf, rc, err->msg);
    if (rc == HF_OK) is_sound(shelf, &put->key);
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

/* The newest fragments of a block that are here: a ring. */
struct fragments {
    struct log_key keys[SHELF_FRAGMENTS_MAX];
    size_t seen;         /* of which the last SHELF_FRAGMENTS_MAX are kept */
    uint32_t generation; /* 0: any */
};

static bool collect(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct fragments *f = arg;

    (void)info;
    if (f->generation != 0 && generation_of(key) != f->generation) return true;
    f->keys[f->seen++ % SHELF_FRAGMENTS_MAX] = *key;
    return true;
}

/* HF_OK when there is one, else HF_NOT_FOUND or HF_INCOMPLETE. */
static enum hf_code list_fragments(struct shelf *shelf, const struct dht_item *wanted,
                                   struct fragments *f, struct hf_err *err)
{
    struct log_key prefix = log_prefix_block(&wanted->vault, &wanted->block);
    enum hf_code rc;

    f->seen = 0;
    f->generation = wanted->generation;
    rc = segment_log_list(shelf->log, &prefix, collect, f, err);
    if ((rc == HF_OK || rc == HF_INCOMPLETE) && f->seen > 0) return HF_OK;
    return rc == HF_OK ? hf_fail(err, HF_NOT_FOUND, "no fragment is here") : rc;
}

/* How many of them were kept, and the i-th newest. */
static size_t fragments_kept(const struct fragments *f)
{
    return f->seen < SHELF_FRAGMENTS_MAX ? f->seen : SHELF_FRAGMENTS_MAX;
}

static const struct log_key *fragments_newest(const struct fragments *f, size_t i)
{
    return &f->keys[(f->seen - 1 - i) % SHELF_FRAGMENTS_MAX];
}

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
    enum hf_code rc = list_fragments(shelf, wanted, &f, err);

    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < fragments_kept(&f); i++) {
        const struct log_key *key = fragments_newest(&f, i);

        rc = read_fragment(shelf, key, loaded, err);
        if (rc == HF_OK) {
            is_sound(shelf, key);
            loaded->kind = DHT_ITEM_FRAGMENT;
            loaded->vault = wanted->vault;
            loaded->block = wanted->block;
            loaded->generation = generation_of(key);
            loaded->index = index_of(key);
            return HF_OK;
        }
        if (rc == HF_NO_MEMORY) return rc;
        if (rc == HF_CORRUPT) found_damaged(shelf, key, err->msg);
    }
    return rc;
}

static enum hf_code load_record(struct shelf *shelf, const struct dht_item *wanted,
                                struct dht_item *loaded, struct hf_err *err)
{
    struct log_key key = log_key_record(&wanted->vault, &wanted->host);
    enum hf_code rc = read_meta(shelf, &key, &loaded->payload, err);

    if (rc == HF_CORRUPT) found_damaged(shelf, &key, err->msg);
    if (rc != HF_OK) return rc;
    take_room(shelf, loaded->payload->size);
    loaded->kind = DHT_ITEM_RECORD;
    return HF_OK;
}

struct record_list {
    struct shelf *shelf;
    const struct hf_id *vault;
    struct dht_records records;
    bool damaged; /* one that is here is missing in it */
};

static bool add_record(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct record_list *list = arg;
    uint8_t meta[LOG_META_MAX];
    struct hf_err err;
    size_t n;
    enum hf_code rc = segment_log_meta(list->shelf->log, key, meta, &n, &err);

    (void)info;
    if (rc == HF_OK &&
        dht_records_add(&list->records, list->vault, meta, n) == DHT_RECORD_INVALID)
        rc = hf_fail(&err, HF_CORRUPT, "it does not verify");
    if (rc == HF_CORRUPT) found_damaged(list->shelf, key, err.msg);
    if (rc != HF_OK) list->damaged = true;
    return list->records.count < DHT_SLOTS_MAX;
}

static enum hf_code load_records(struct shelf *shelf, const struct dht_item *wanted,
                                 struct dht_item *loaded, struct hf_err *err)
{
    struct log_key prefix = log_prefix_vault(LOG_RECORD, &wanted->vault);
    struct record_list *list = hf_alloc_array(1, sizeof *list);
    enum hf_code rc;

    if (list == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for records");
    list->shelf = shelf;
    list->vault = &wanted->vault;
    rc = segment_log_list(shelf->log, &prefix, add_record, list, err);
    if (rc == HF_OK && list->damaged)
        rc = hf_fail(err, HF_INCOMPLETE, "a record is damaged");
    if (rc == HF_OK || rc == HF_INCOMPLETE) {
        loaded->kind = DHT_ITEM_RECORDS;
        loaded->payload = dht_records_encode(&list->records);
        if (loaded->payload == NULL)
            rc = hf_fail(err, HF_NO_MEMORY, "no memory for records");
        else
            take_room(shelf, loaded->payload->size);
    }
    dht_records_done(&list->records);
    free(list);
    return rc;
}

/* What is here of one block, damaged fragments not counted. */
static enum hf_code presence_of(struct shelf *shelf, const struct dht_item *block,
                                struct dht_presence *presence, struct hf_err *err)
{
    uint8_t meta[LOG_META_MAX];
    struct manifest manifest;
    struct hf_err ignored;
    struct fragments f;
    enum hf_code rc = list_fragments(shelf, block, &f, err);

    *presence = (struct dht_presence){0};
    if (rc == HF_NOT_FOUND) return HF_OK;
    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < fragments_kept(&f); i++) {
        const struct log_key *key = fragments_newest(&f, i);
        size_t n;

        if (is_damaged(shelf, key) ||
            segment_log_meta(shelf->log, key, meta, &n, &ignored) != HF_OK ||
            manifest_parse(meta, n, &manifest, &ignored) != HF_OK)
            continue;
        *presence = (struct dht_presence){generation_of(key), manifest.shape.k,
                                          manifest.shape.n, index_of(key)};
        return HF_OK;
    }
    return HF_OK;
}

struct presence_list {
    struct hf_id ids[DHT_PRESENCE_MAX];
    struct dht_presence presence[DHT_PRESENCE_MAX];
    size_t count;
};

static enum hf_code fill_presence(struct shelf *shelf, const struct hf_id *vault,
                                  struct presence_list *list, struct hf_err *err)
{
    struct dht_item block = {.kind = DHT_ITEM_FRAGMENT, .vault = *vault};
    bool incomplete = false;

    for (size_t i = 0; i < list->count; i++) {
        enum hf_code rc;

        block.block = list->ids[i];
        rc = presence_of(shelf, &block, &list->presence[i], err);
        if (rc == HF_INCOMPLETE)
            incomplete = true;
        else if (rc != HF_OK)
            return rc;
    }
    return incomplete ? HF_INCOMPLETE : HF_OK;
}

static enum hf_code load_presence(struct shelf *shelf, const struct dht_item *wanted,
                                  struct dht_item *loaded, struct hf_err *err)
{
    struct presence_list *list = hf_alloc_array(1, sizeof *list);
    enum hf_code rc = HF_OK;

    if (list == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for a list");
    if (wanted->payload == NULL || !dht_ids_parse(wanted->payload, list->ids, &list->count))
        rc = hf_fail(err, HF_CORRUPT, "a list of blocks that does not parse");
    if (rc == HF_OK) rc = fill_presence(shelf, &wanted->vault, list, err);
    if (rc == HF_OK || rc == HF_INCOMPLETE) {
        loaded->kind = DHT_ITEM_PRESENCE;
        loaded->payload = dht_presence_encode(list->presence, list->count);
        if (loaded->payload == NULL)
            rc = hf_fail(err, HF_NO_MEMORY, "no memory for a list");
        else
            take_room(shelf, loaded->payload->size);
    }
    free(list);
    return rc;
}

enum hf_code shelf_load(struct shelf *shelf, const struct dht_item *wanted,
                        struct dht_item *loaded, struct hf_err *err)
{
    *loaded = (struct dht_item){0};
    switch (wanted->kind) {
    case DHT_ITEM_FRAGMENT: return load_fragment(shelf, wanted, loaded, err);
    case DHT_ITEM_RECORD: return load_record(shelf, wanted, loaded, err);
    case DHT_ITEM_RECORDS: return load_records(shelf, wanted, loaded, err);
    case DHT_ITEM_PRESENCE: return load_presence(shelf, wanted, loaded, err);
    }
    return hf_fail(err, HF_INVALID, "an item of kind %u", (unsigned)wanted->kind);
}
