/* Two tables: frame -> bytes in it, bytes of them dead; and the keys of sparse frames. */
#include "snapshot/index_frames.h"

#include "base/alloc.h"
#include "base/cbor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (2 * (size_t)INDEX_SHIFTS_MAX)

struct counts {
    uint64_t size, dead;
};

static struct frame_key key_of(const struct frame_ref *frame)
{
    struct frame_key key;

    memcpy(key.b, frame->block.b, HF_ID_SIZE);
    for (size_t i = 0; i < 4; i++)
        key.b[HF_ID_SIZE + i] = (uint8_t)(frame->offset >> (24 - 8 * i));
    return key;
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct frame_key));
}

/* ---- rows ---- */

static int get_counts(struct index_frames *f, MDB_txn *txn, struct frame_key *key,
                      struct counts *counts)
{
    MDB_val k = {sizeof key->b, key->b};
    MDB_val v;
    struct hf_reader r;
    int rc = mdb_get(txn, f->frames, &k, &v);

    memset(counts, 0, sizeof *counts);
    if (rc != 0) return rc;
    r = hf_reader_init(v.mv_data, v.mv_size);
    counts->size = hf_get_uint(&r, UINT32_MAX);
    counts->dead = hf_get_uint(&r, counts->size);
    return hf_reader_done(&r) ? 0 : MDB_NOTFOUND;
}

static int put_counts(struct index_frames *f, MDB_txn *txn, struct frame_key *key,
                      const struct counts *counts)
{
    uint8_t bytes[2 * HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    MDB_val k = {sizeof key->b, key->b};
    MDB_val v;

    hf_put_uint(&w, counts->size);
    hf_put_uint(&w, counts->dead);
    v = (MDB_val){hf_writer_size(&w), bytes};
    return mdb_put(txn, f->frames, &k, &v, 0);
}

static int forget(MDB_txn *txn, MDB_dbi table, struct frame_key *key)
{
    MDB_val k = {sizeof key->b, key->b};
    int rc = mdb_del(txn, table, &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Less than a fifth is alive, and something is. */
static bool is_sparse(const struct counts *c)
{
    return c->dead < c->size && (c->size - c->dead) * 5 < c->size;
}

int index_frames_add(struct index_frames *f, MDB_txn *txn, const struct chunk_ref *refs,
                     size_t count)
{
    int rc = 0;

    for (size_t i = 0, n; rc == 0 && i < count; i += n) {
        struct frame_key key = key_of(&refs[i].frame);
        struct counts counts;
        uint64_t size = 0;

        for (n = 0; i + n < count; n++) {
            struct frame_key next = key_of(&refs[i + n].frame);

            if (compare_keys(&key, &next) != 0) break;
            size += refs[i + n].size;
        }
        if (n < INDEX_FRAME_CHUNKS_MIN) continue;
        rc = get_counts(f, txn, &key, &counts);
        if (rc != 0 && rc != MDB_NOTFOUND) break;
        counts.size += size;
        rc = put_counts(f, txn, &key, &counts);
        index_map_looked(f->map, 1);
    }
    return rc;
}

/* ---- which are sparse ---- */

int index_frames_load(struct index_frames *f, MDB_txn *txn)
{
    size_t capacity = 0;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, f->sparse, &cursor);

    if (rc != 0) return rc;
    while (f->sparse_count < INDEX_SPARSE_MAX &&
           (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct frame_key *grown;

        if (key.mv_size != sizeof(struct frame_key)) continue;
        grown = hf_grow_array(f->now_sparse, &capacity, f->sparse_count + 1, sizeof *grown);
        if (grown == NULL) {
            rc = ENOMEM;
            break;
        }
        f->now_sparse = grown;
        memcpy(grown[f->sparse_count++].b, key.mv_data, sizeof grown->b);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

bool index_frames_sparse(const struct index_frames *f, const struct frame_ref *frame)
{
    struct frame_key key;

    if (f->sparse_count == 0) return false;
    key = key_of(frame);
    return bsearch(&key, f->now_sparse, f->sparse_count, sizeof key, compare_keys) != NULL;
}

/* ---- changes ---- */

bool index_frames_shift(struct index_frames *f, const struct frame_ref *frame,
                        int64_t bytes)
{
    struct frame_key key = key_of(frame);
    size_t slot;
    bool full;

    memcpy(&slot, key.b, sizeof slot);
    slot += frame->offset;
    (void)pthread_mutex_lock(&f->mutex);
    for (;; slot++) {
        struct frame_shift *s = &f->shifts[slot % SLOTS];

        if (s->used && compare_keys(&s->key, &key) != 0) continue;
        if (!s->used && f->shift_count == SLOTS - 1) break; /* only an estimate */
        if (!s->used) f->shift_count++;
        s->used = true;
        s->key = key;
        s->bytes += bytes;
        break;
    }
    full = f->shift_count >= INDEX_SHIFTS_MAX;
    (void)pthread_mutex_unlock(&f->mutex);
    return full;
}

static int apply(struct index_frames *f, MDB_txn *txn, struct frame_shift *shift)
{
    MDB_val k = {sizeof shift->key.b, shift->key.b};
    MDB_val nothing = {0, shift->key.b};
    struct counts counts;
    uint64_t more = shift->bytes > 0 ? (uint64_t)shift->bytes : 0;
    uint64_t less = shift->bytes < 0 ? (uint64_t)-shift->bytes : 0;
    int rc = get_counts(f, txn, &shift->key, &counts);

    if (rc != 0) return rc == MDB_NOTFOUND ? 0 : rc; /* not one that is looked at */
    counts.dead = counts.dead + more > less ? counts.dead + more - less : 0;
    if (counts.dead > counts.size) counts.dead = counts.size;
    rc = put_counts(f, txn, &shift->key, &counts);
    if (rc != 0) return rc;
    return is_sparse(&counts) ? mdb_put(txn, f->sparse, &k, &nothing, 0)
                              : forget(txn, f->sparse, &shift->key);
}

int index_frames_save(struct index_frames *f, MDB_txn *txn, bool retire)
{
    int rc = 0;

    (void)pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; rc == 0 && i < SLOTS && f->shift_count > 0; i++) {
        if (f->shifts[i].used && f->shifts[i].bytes != 0) rc = apply(f, txn, &f->shifts[i]);
    }
    memset(f->shifts, 0, SLOTS * sizeof *f->shifts);
    f->shift_count = 0;
    (void)pthread_mutex_unlock(&f->mutex);
    for (size_t i = 0; rc == 0 && retire && i < f->sparse_count; i++) {
        rc = forget(txn, f->sparse, &f->now_sparse[i]);
        if (rc == 0) rc = forget(txn, f->frames, &f->now_sparse[i]);
    }
    return rc;
}

int index_frames_open(struct index_frames *f, MDB_txn *txn)
{
    int rc = mdb_dbi_open(txn, "frames", MDB_CREATE, &f->frames);

    if (rc == 0) rc = mdb_dbi_open(txn, "sparse", MDB_CREATE, &f->sparse);
    if (rc != 0 || f->shifts != NULL) return rc;
    (void)pthread_mutex_init(&f->mutex, NULL);
    f->shifts = hf_alloc_array(SLOTS, sizeof *f->shifts);
    return f->shifts != NULL ? 0 : ENOMEM;
}

void index_frames_close(struct index_frames *f)
{
    if (f->shifts == NULL) return;
    (void)pthread_mutex_destroy(&f->mutex);
    free(f->shifts);
    free(f->now_sparse);
    memset(f, 0, sizeof *f);
}
