/* Two tables: chunk id -> reference, block id -> nothing (the blocks that references
 * name, so that they can be confirmed without reading every row). */
#include "snapshot/index.h"

#include "snapshot/index_frames.h"
#include "snapshot/index_guard.h"
#include "snapshot/index_map.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/home.h"
#include "base/log.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_SIZE    (64ull << 30) /* address space, not memory: some 300 million chunks */
#define CHECK_SIZE  8u
#define READERS_MAX 16u
#define VERSION     "hf-index-2"

struct index {
    MDB_env *env;
    MDB_dbi chunks, quick, blocks, meta;
    struct index_frames frames;
    struct index_map map;
    struct index_guard guard;
    pthread_mutex_t mutex;         /* guards the two below */
    MDB_txn *readers[READERS_MAX]; /* idle: reset, to be renewed */
    size_t reader_count;
    struct hf_id *lost; /* sorted */
    size_t lost_count, lost_capacity;
};

struct value {
    uint8_t bytes[REFERENCE_ENCODED_MAX + CHECK_SIZE];
    size_t size;
};

static enum hf_code fail(const struct index *index, struct hf_err *err, int mdb,
                         const char *what)
{
    if (mdb == ENOSPC || mdb == MDB_MAP_FULL)
        return hf_fail(err, HF_NO_SPACE, "index: %s: %s", what, mdb_strerror(mdb));
    if (index_guard_saw(&index->guard, mdb))
        return hf_fail(err, HF_IO,
                       "index: %s: %s: it is damaged, the next backup builds it anew", what,
                       mdb_strerror(mdb));
    return hf_fail(err, HF_IO, "index: %s: %s", what, mdb_strerror(mdb));
}

static void checksum(const struct hf_id *chunk, const uint8_t *bytes, size_t n,
                     uint8_t out[static CHECK_SIZE])
{
    struct hf_sha256 h;
    struct hf_id sum;

    hf_sha256_init(&h);
    hf_sha256_add(&h, chunk->b, sizeof chunk->b);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, &sum);
    memcpy(out, sum.b, CHECK_SIZE);
}

static bool decode(const struct hf_id *chunk, const MDB_val *v, struct index_hit *hit)
{
    const uint8_t *bytes = v->mv_data;
    uint8_t want[CHECK_SIZE];
    struct hf_reader r;

    hit->found = false;
    if (v->mv_size < CHECK_SIZE || v->mv_size > sizeof((struct value *)0)->bytes)
        return false;
    checksum(chunk, bytes, v->mv_size - CHECK_SIZE, want);
    if (memcmp(want, bytes + v->mv_size - CHECK_SIZE, CHECK_SIZE) != 0) return false;
    r = hf_reader_init(bytes, v->mv_size - CHECK_SIZE);
    chunk_ref_get(&r, &hit->ref, NULL);
    hit->found = hf_reader_done(&r) && hf_id_equal(&hit->ref.id, chunk);
    return hit->found;
}

/* A file that lost its end would be a trap: its pages are read through a mapping. */
static bool is_whole(const struct index *index)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    int fd;

    return mdb_env_info(index->env, &info) == 0 && mdb_env_stat(index->env, &stat) == 0 &&
           mdb_env_get_fd(index->env, &fd) == 0 && fstat(fd, &st) == 0 &&
           ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize <= (uint64_t)st.st_size;
}

/* Opens the environment and its tables in a transaction; an error of LMDB, or 0. */
static int open_env(const char *path, struct index *index, MDB_txn **txn)
{
    int rc = mdb_env_create(&index->env);

    *txn = NULL;
    if (rc == 0) index_guard_watch(index->env);
    if (rc == 0) rc = mdb_env_set_mapsize(index->env, MAP_SIZE);
    if (rc == 0) rc = mdb_env_set_maxdbs(index->env, 8);
    if (rc == 0) rc = mdb_env_open(index->env, path, MDB_NORDAHEAD | MDB_NOTLS, 0600);
    if (rc == 0 && !is_whole(index)) rc = MDB_CORRUPTED;
    if (rc == 0) rc = mdb_txn_begin(index->env, NULL, 0, txn);
    if (rc == 0) rc = mdb_dbi_open(*txn, "chunks", MDB_CREATE, &index->chunks);
    if (rc == 0) rc = mdb_dbi_open(*txn, "quick", MDB_CREATE, &index->quick);
    if (rc == 0) rc = mdb_dbi_open(*txn, "blocks", MDB_CREATE, &index->blocks);
    if (rc == 0) rc = mdb_dbi_open(*txn, "meta", MDB_CREATE, &index->meta);
    return rc == 0 ? index_frames_open(&index->frames, *txn) : rc;
}

static char key_owner[] = "owner";
static char key_complete[] = "complete";

/* True when the index is this vault's and host's; an empty one is made so. */
static bool claim(struct index *index, MDB_txn *txn, const struct hf_id *vault,
                  const struct hf_id *host, bool *fresh)
{
    uint8_t want[sizeof VERSION + 2 * HF_ID_SIZE];
    MDB_val key = {sizeof key_owner - 1, key_owner};
    MDB_val complete = {sizeof key_complete - 1, key_complete};
    MDB_val value;
    int rc;

    memcpy(want, VERSION, sizeof VERSION);
    memcpy(want + sizeof VERSION, vault->b, HF_ID_SIZE);
    memcpy(want + sizeof VERSION + HF_ID_SIZE, host->b, HF_ID_SIZE);
    *fresh = mdb_get(txn, index->meta, &complete, &value) != 0;
    rc = mdb_get(txn, index->meta, &key, &value);
    if (rc == 0)
        return value.mv_size == sizeof want &&
               memcmp(value.mv_data, want, sizeof want) == 0;
    value = (MDB_val){sizeof want, want};
    return rc == MDB_NOTFOUND && mdb_put(txn, index->meta, &key, &value, 0) == 0;
}

static void begin_anew(const struct index *index, const char *path)
{
    char file[HF_PATH_MAX + 16];

    hf_log(HF_LOG_WARN, "index", "%s cannot be used and is begun anew", path);
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    (void)unlink(file);
    (void)snprintf(file, sizeof file, "%s/lock.mdb", path);
    (void)unlink(file);
    index_guard_clear(&index->guard);
}

static void drop_env(struct index *index)
{
    while (index->reader_count > 0)
        mdb_txn_abort(index->readers[--index->reader_count]);
    if (index->env != NULL) mdb_env_close(index->env);
    index->env = NULL;
}

enum hf_code index_open(const char *dir, const struct hf_id *vault,
                        const struct hf_id *host, struct index **out, bool *fresh,
                        struct hf_err *err)
{
    char path[HF_PATH_MAX];
    char hex[HF_ID_HEX_SIZE];
    struct index *index = calloc(1, sizeof *index);
    enum hf_code rc = HF_OK;

    *out = NULL;
    if (index == NULL) return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
    (void)pthread_mutex_init(&index->mutex, NULL);
    if (snprintf(path, sizeof path, "%s/index-%.16s", dir, hf_id_hex(vault, hex)) >=
        (int)sizeof path)
        rc = hf_fail(err, HF_TOO_LARGE, "index: path too long");
    else if (mkdir(path, 0700) != 0 && errno != EEXIST)
        rc = hf_fail_errno(err, errno, "index: make %s", path);
    if (rc == HF_OK && index_guard_begin(&index->guard, path)) begin_anew(index, path);
    for (int attempt = 0; rc == HF_OK; attempt++) {
        MDB_txn *txn;
        int mdb = open_env(path, index, &txn);

        if (mdb == 0 && claim(index, txn, vault, host, fresh)) {
            mdb = index_frames_load(&index->frames, txn);
            if (mdb == 0)
                mdb = mdb_txn_commit(txn);
            else
                mdb_txn_abort(txn);
            if (mdb != 0) rc = fail(index, err, mdb, "commit");
            break;
        }
        if (txn != NULL) mdb_txn_abort(txn);
        drop_env(index);
        if (attempt > 0 || mdb == ENOSPC || mdb == EACCES) {
            rc = fail(index, err, mdb, path);
            break;
        }
        begin_anew(index, path);
    }
    if (rc != HF_OK) {
        index_close(index);
        return rc;
    }
    index_map_init(&index->map, index->env, path);
    index->frames.map = &index->map;
    *out = index;
    return HF_OK;
}

void index_close(struct index *index)
{
    if (index == NULL) return;
    drop_env(index);
    index_guard_end(&index->guard);
    index_frames_close(&index->frames);
    (void)pthread_mutex_destroy(&index->mutex);
    free(index->lost);
    free(index);
}

/* A reading transaction of this moment, or NULL. */
static MDB_txn *take_reader(struct index *index)
{
    MDB_txn *txn = NULL;
    int rc;

    (void)pthread_mutex_lock(&index->mutex);
    if (index->reader_count > 0) txn = index->readers[--index->reader_count];
    (void)pthread_mutex_unlock(&index->mutex);
    if (txn == NULL)
        return mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn) == 0 ? txn : NULL;
    rc = mdb_txn_renew(txn);
    if (rc == 0) return txn;
    mdb_txn_abort(txn);
    return NULL;
}

static void give_reader(struct index *index, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    (void)pthread_mutex_lock(&index->mutex);
    if (index->reader_count < READERS_MAX) {
        index->readers[index->reader_count++] = txn;
        txn = NULL;
    }
    (void)pthread_mutex_unlock(&index->mutex);
    if (txn != NULL) mdb_txn_abort(txn);
}

/* What cannot be read is not there. */
static bool get(const struct index *index, MDB_txn *txn, MDB_dbi table, struct hf_id id,
                MDB_val *value)
{
    MDB_val key = {sizeof id.b, id.b};
    int rc = mdb_get(txn, table, &key, value);

    if (rc != 0 && rc != MDB_NOTFOUND) (void)index_guard_saw(&index->guard, rc);
    return rc == 0;
}

static void find(struct index *index, MDB_txn *txn, struct hf_id id, struct index_hit *hit)
{
    MDB_val value;

    hit->found = get(index, txn, index->chunks, id, &value) && decode(&id, &value, hit) &&
                 !index_frames_sparse(&index->frames, &hit->ref.frame);
    index_map_looked(&index->map, 1);
}

void index_find_many(struct index *index, const struct hf_id *ids, size_t count,
                     struct index_hit *hits)
{
    MDB_txn *txn = take_reader(index);

    for (size_t i = 0; i < count; i++) {
        if (txn != NULL && !hits[i].found) find(index, txn, ids[i], &hits[i]);
    }
    if (txn != NULL) give_reader(index, txn);
}

/* The id of the chunk with that quick hash. */
static bool find_id(struct index *index, MDB_txn *txn, struct index_quick *row)
{
    MDB_val value;
    uint8_t want[CHECK_SIZE];

    index_map_looked(&index->map, 1);
    if (!get(index, txn, index->quick, row->quick, &value) ||
        value.mv_size != HF_ID_SIZE + CHECK_SIZE)
        return false;
    memcpy(row->chunk.b, value.mv_data, HF_ID_SIZE);
    checksum(&row->quick, row->chunk.b, HF_ID_SIZE, want);
    return memcmp((const uint8_t *)value.mv_data + HF_ID_SIZE, want, CHECK_SIZE) == 0;
}

void index_find_quick(struct index *index, struct index_quick *rows, size_t count,
                      struct index_hit *hits)
{
    MDB_txn *txn = take_reader(index);

    for (size_t i = 0; i < count; i++) {
        hits[i].found = false;
        if (txn != NULL && find_id(index, txn, &rows[i]))
            find(index, txn, rows[i].chunk, &hits[i]);
    }
    if (txn != NULL) give_reader(index, txn);
}

bool index_find(struct index *index, const struct hf_id *chunk, struct chunk_ref *ref)
{
    struct index_hit hit = {.found = false};

    index_find_many(index, chunk, 1, &hit);
    if (hit.found) *ref = hit.ref;
    return hit.found;
}

static int put_row(struct index *index, MDB_txn *txn, const struct chunk_ref *ref)
{
    struct value v;
    struct hf_writer w = hf_writer_init(v.bytes, REFERENCE_ENCODED_MAX);
    struct hf_id chunk = ref->id;
    MDB_val key = {sizeof chunk.b, chunk.b};
    MDB_val value;

    chunk_ref_put(&w, ref, false);
    v.size = hf_writer_size(&w);
    checksum(&chunk, v.bytes, v.size, v.bytes + v.size);
    value = (MDB_val){v.size + CHECK_SIZE, v.bytes};
    return mdb_put(txn, index->chunks, &key, &value, 0);
}

static int put_block(struct index *index, MDB_txn *txn, struct hf_id block)
{
    MDB_val key = {sizeof block.b, block.b};
    MDB_val value = {0, block.b};

    return mdb_put(txn, index->blocks, &key, &value, 0);
}

static int compare_refs(const void *a, const void *b)
{
    const struct chunk_ref *x = a;
    const struct chunk_ref *y = b;

    return hf_id_compare(&x->id, &y->id);
}

/* Chunks come block by block and frame by frame, so that each is put once; the rows of
 * chunks go in by rising keys, which spares the tree most of its way. */
static int put_all(struct index *index, MDB_txn *txn, struct chunk_ref *refs, size_t count)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i == 0 || !hf_id_equal(&refs[i].frame.block, &refs[i - 1].frame.block))
            rc = put_block(index, txn, refs[i].frame.block);
    }
    if (rc == 0) rc = index_frames_add(&index->frames, txn, refs, count);
    if (count > 1) qsort(refs, count, sizeof *refs, compare_refs);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = put_row(index, txn, &refs[i]);
        index_map_looked(&index->map, 1);
    }
    return rc;
}

enum hf_code index_add(struct index *index, struct chunk_ref *refs, size_t count,
                       struct hf_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, 0, &txn); /* waits for another thread's */

    if (rc != 0) return fail(index, err, rc, "begin");
    rc = put_all(index, txn, refs, count);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return fail(index, err, rc, "add");
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? HF_OK : fail(index, err, rc, "commit");
}

bool index_frame_sparse(const struct index *index, const struct frame_ref *frame)
{
    return index_frames_sparse(&index->frames, frame);
}

static enum hf_code save_frames(struct index *index, bool retire, struct hf_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, 0, &txn);

    if (rc != 0) return fail(index, err, rc, "begin");
    rc = index_frames_save(&index->frames, txn, retire);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        return rc == 0 ? HF_OK : fail(index, err, rc, "commit");
    }
    mdb_txn_abort(txn);
    return fail(index, err, rc, "count what is alive");
}

void index_frame_shift(struct index *index, const struct frame_ref *frame, int64_t dead)
{
    struct hf_err err;

    if (index_frames_shift(&index->frames, frame, dead) &&
        save_frames(index, false, &err) != HF_OK)
        hf_log(HF_LOG_WARN, "index", "%s", err.msg); /* only estimates are lost */
}

enum hf_code index_frames_done(struct index *index, struct hf_err *err)
{
    return save_frames(index, true, err);
}

static int put_quick(struct index *index, MDB_txn *txn, struct index_quick row)
{
    uint8_t bytes[HF_ID_SIZE + CHECK_SIZE];
    MDB_val key = {sizeof row.quick.b, row.quick.b};
    MDB_val value = {sizeof bytes, bytes};

    memcpy(bytes, row.chunk.b, HF_ID_SIZE);
    checksum(&row.quick, bytes, HF_ID_SIZE, bytes + HF_ID_SIZE);
    return mdb_put(txn, index->quick, &key, &value, 0);
}

enum hf_code index_add_quick(struct index *index, const struct index_quick *rows,
                             size_t count, struct hf_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, 0, &txn);

    if (rc != 0) return fail(index, err, rc, "begin");
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = put_quick(index, txn, rows[i]);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        return rc == 0 ? HF_OK : fail(index, err, rc, "commit");
    }
    mdb_txn_abort(txn);
    return fail(index, err, rc, "add");
}

enum hf_code index_complete(struct index *index, struct hf_err *err)
{
    MDB_val key = {sizeof key_complete - 1, key_complete};
    MDB_val value = {0, key_complete};
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, 0, &txn);

    if (rc != 0) return fail(index, err, rc, "begin");
    rc = mdb_put(txn, index->meta, &key, &value, 0);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        return rc == 0 ? HF_OK : fail(index, err, rc, "commit");
    }
    mdb_txn_abort(txn);
    return fail(index, err, rc, "add");
}

static enum hf_code note_lost(struct index *index, const struct hf_id *block,
                              struct hf_err *err)
{
    struct hf_id *grown = hf_grow_array(index->lost, &index->lost_capacity,
                                        index->lost_count + 1, sizeof *grown);

    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
    index->lost = grown;
    index->lost[index->lost_count++] = *block; /* in order: the table is sorted by id */
    return HF_OK;
}

static enum hf_code ask(struct index *index, struct block_store *store,
                        const struct hf_id *ids, size_t count, struct hf_err *err)
{
    bool have[BLOCK_HAVE_MAX];
    enum hf_code rc = block_store_have(store, ids, count, have, err);

    for (size_t i = 0; rc == HF_OK && i < count; i++) {
        if (!have[i]) rc = note_lost(index, &ids[i], err);
    }
    return rc;
}

/* Takes every row out of `table` whose block is lost. */
static int remove_lost(struct index *index, MDB_txn *txn, MDB_dbi table, bool of_chunks)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, table, &cursor);

    if (rc != 0) return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct index_hit hit;
        struct hf_id id;
        bool gone;

        if (key.mv_size != sizeof id.b) continue;
        memcpy(id.b, key.mv_data, sizeof id.b);
        gone = of_chunks ? !decode(&id, &value, &hit) ||
                               index_block_lost(index, &hit.ref.frame.block)
                         : index_block_lost(index, &id);
        if (gone) rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static enum hf_code ask_all(struct index *index, MDB_txn *txn, struct block_store *store,
                            struct hf_err *err)
{
    struct hf_id *ids = hf_alloc_array(BLOCK_HAVE_MAX, sizeof *ids);
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    size_t count = 0;
    enum hf_code rc = HF_OK;
    int mdb = ids == NULL ? ENOMEM : mdb_cursor_open(txn, index->blocks, &cursor);

    while (mdb == 0 && rc == HF_OK) {
        mdb = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (mdb == 0 && key.mv_size == sizeof ids->b)
            memcpy(ids[count++].b, key.mv_data, sizeof ids->b);
        index_map_looked(&index->map, 1);
        if (count == BLOCK_HAVE_MAX || (mdb != 0 && count > 0)) {
            rc = ask(index, store, ids, count, err);
            count = 0;
        }
    }
    if (cursor != NULL) mdb_cursor_close(cursor);
    free(ids);
    if (rc == HF_OK && mdb != MDB_NOTFOUND) rc = fail(index, err, mdb, "list the blocks");
    return rc;
}

enum hf_code index_confirm(struct index *index, struct block_store *store, size_t *lost,
                           struct hf_err *err)
{
    MDB_txn *txn;
    enum hf_code rc;
    int mdb = mdb_txn_begin(index->env, NULL, 0, &txn);

    *lost = 0;
    index->lost_count = 0;
    if (mdb != 0) return fail(index, err, mdb, "begin");
    rc = ask_all(index, txn, store, err);
    if (rc != HF_OK || index->lost_count == 0) {
        mdb_txn_abort(txn);
        index->lost_count = 0;
        return rc;
    }
    mdb = remove_lost(index, txn, index->chunks, true);
    if (mdb == 0) mdb = remove_lost(index, txn, index->blocks, false);
    if (mdb != 0) {
        mdb_txn_abort(txn);
        return fail(index, err, mdb, "remove lost blocks");
    }
    *lost = index->lost_count;
    mdb = mdb_txn_commit(txn);
    return mdb == 0 ? HF_OK : fail(index, err, mdb, "commit");
}

static int compare_ids(const void *a, const void *b)
{
    return hf_id_compare(a, b);
}

bool index_block_lost(const struct index *index, const struct hf_id *block)
{
    return index->lost_count > 0 && bsearch(block, index->lost, index->lost_count,
                                            sizeof *index->lost, compare_ids) != NULL;
}
