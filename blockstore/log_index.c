/* The four tables, all values [fields] followed by the checksum (docs/formats.md):
 *     rows      key of an entry          -> where it is
 *     dead      segment, offset          -> an entry to be overwritten
 *     segments  segment                  -> what is live in it
 *     state     "state"                  -> struct log_state */
#include "blockstore/log_index.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/log.h"
#include "blockstore/log_seal.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INDEX_VERSION 1u
#define MAP_SIZE      ((size_t)64 << 30) /* address space: some 400 million rows */
#define READERS_MAX   512u
#define VALUE_MAX     256u
#define CHECK_SIZE    8u
#define NUMBER_SIZE   8u

enum table { ROWS, DEAD, SEGMENTS, STATE, TABLES };

static const char *const table_names[TABLES] = {"rows", "dead", "segments", "state"};
static const char state_key[] = "state";

struct log_index {
    MDB_env *env;
    MDB_dbi tables[TABLES];
    struct hf_files *files;
    int dir_fd; /* borrowed */
    bool read_only;
    bool sealed;         /* a seal may be on disk; the writing thread's */
    atomic_bool damaged; /* seen while reading: to be built anew */
};

/* Whatever LMDB says. */
static enum hf_code fail(struct log_index *index, int rc, const char *what,
                         struct hf_err *err)
{
    switch (rc) {
    case MDB_NOTFOUND: return hf_fail(err, HF_NOT_FOUND, "not in the index");
    case MDB_MAP_FULL: return hf_fail(err, HF_NO_SPACE, "%s the index: it is full", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
        if (index != NULL) atomic_store(&index->damaged, true);
        return hf_fail(err, HF_CORRUPT, "%s the index: %s", what, mdb_strerror(rc));
    default: break;
    }
    if (rc > 0) return hf_fail_errno(err, rc, "%s the index", what);
    return hf_fail(err, HF_IO, "%s the index: %s", what, mdb_strerror(rc));
}

/* ---- values ---- */

static void value_check(enum table table, MDB_val key, const uint8_t *bytes, size_t n,
                        uint8_t check[static CHECK_SIZE])
{
    const uint8_t letter = (uint8_t)table;
    struct hf_sha256 h;
    struct hf_id sum;

    hf_sha256_init(&h);
    hf_sha256_add(&h, &letter, 1);
    hf_sha256_add(&h, key.mv_data, key.mv_size);
    hf_sha256_add(&h, bytes, n);
    hf_sha256_final(&h, &sum);
    memcpy(check, sum.b, CHECK_SIZE);
}

static int put(MDB_txn *txn, const struct log_index *index, enum table table, MDB_val key,
               struct hf_writer *w)
{
    uint8_t check[CHECK_SIZE];
    MDB_val value;

    value_check(table, key, w->start, hf_writer_size(w), check);
    hf_put_bytes(w, check, sizeof check);
    if (w->failed) return EINVAL;
    value = (MDB_val){.mv_data = w->start, .mv_size = hf_writer_size(w)};
    return mdb_put(txn, index->tables[table], &key, &value, 0);
}

/* A reader for the fields of a value; failed when the checksum is wrong. */
static struct hf_reader open_value(enum table table, MDB_val key, MDB_val value,
                                   uint32_t fields)
{
    struct hf_reader r = hf_reader_init(value.mv_data, value.mv_size);
    uint8_t check[CHECK_SIZE], want[CHECK_SIZE];
    size_t n = 0;
    const uint8_t *item = hf_get_item(&r, &n);

    hf_get_fixed(&r, check, sizeof check);
    if (!hf_reader_done(&r)) {
        hf_reader_fail(&r);
        return r;
    }
    value_check(table, key, item, n, want);
    r = hf_reader_init(item, n);
    if (memcmp(check, want, sizeof check) != 0 || hf_get_array(&r, fields, 1) != fields)
        hf_reader_fail(&r);
    return r;
}

static enum hf_code damaged(struct log_index *index, struct hf_err *err)
{
    atomic_store(&index->damaged, true);
    return hf_fail(err, HF_CORRUPT,
                   "the index is damaged; it is rebuilt when the store is next opened "
                   "for writing after this");
}

static int put_row(MDB_txn *txn, const struct log_index *index, const struct log_change *c)
{
    struct log_key k = c->key;
    MDB_val key = {.mv_data = k.b, .mv_size = k.size};
    uint8_t bytes[VALUE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    int rc;

    if (c->row.removed) {
        rc = mdb_del(txn, index->tables[ROWS], &key, NULL);
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    hf_put_array(&w, 6);
    hf_put_uint(&w, c->row.segment);
    hf_put_uint(&w, c->row.offset);
    hf_put_uint(&w, c->row.sequence);
    hf_put_int(&w, c->row.arrival_ns);
    hf_put_uint(&w, c->row.frame_size);
    hf_put_uint(&w, c->row.payload_size);
    return put(txn, index, ROWS, key, &w);
}

static bool get_row(MDB_val key, MDB_val value, struct log_row *row)
{
    struct hf_reader r = open_value(ROWS, key, value, 6);

    *row = (struct log_row){0};
    row->segment = hf_get_u64(&r);
    row->offset = hf_get_u64(&r);
    row->sequence = hf_get_u64(&r);
    row->arrival_ns = hf_get_int(&r);
    row->frame_size = (uint32_t)hf_get_uint(&r, LOG_FRAME_MAX);
    row->payload_size = (uint32_t)hf_get_uint(&r, LOG_PAYLOAD_MAX);
    return hf_reader_done(&r);
}

static void number_encode(uint64_t number, uint8_t out[static NUMBER_SIZE])
{
    for (size_t i = 0; i < NUMBER_SIZE; i++)
        out[i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t number_decode(const uint8_t in[static NUMBER_SIZE])
{
    uint64_t number = 0;

    for (size_t i = 0; i < NUMBER_SIZE; i++)
        number = number << 8 | in[i];
    return number;
}

static int put_dead(MDB_txn *txn, const struct log_index *index,
                    const struct log_dead *dead)
{
    uint8_t k[2 * NUMBER_SIZE], bytes[VALUE_MAX];
    MDB_val key = {.mv_data = k, .mv_size = sizeof k};
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    number_encode(dead->segment, k);
    number_encode(dead->offset, k + NUMBER_SIZE);
    hf_put_array(&w, 2);
    hf_put_uint(&w, dead->sequence);
    hf_put_uint(&w, dead->footprint);
    return put(txn, index, DEAD, key, &w);
}

static int put_segment(MDB_txn *txn, const struct log_index *index,
                       const struct log_segment *segment)
{
    uint8_t k[NUMBER_SIZE], bytes[VALUE_MAX];
    MDB_val key = {.mv_data = k, .mv_size = sizeof k};
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    number_encode(segment->number, k);
    hf_put_array(&w, 2);
    hf_put_uint(&w, segment->live);
    hf_put_bool(&w, segment->damaged);
    return put(txn, index, SEGMENTS, key, &w);
}

static MDB_val key_of_state(char copy[static sizeof state_key])
{
    memcpy(copy, state_key, sizeof state_key);
    return (MDB_val){.mv_data = copy, .mv_size = sizeof state_key - 1};
}

#define STATE_FIELDS (6u + 2u * LOG_KINDS)

static int put_state(MDB_txn *txn, const struct log_index *index,
                     const struct log_state *state)
{
    char copy[sizeof state_key];
    uint8_t bytes[VALUE_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    hf_put_array(&w, STATE_FIELDS);
    hf_put_uint(&w, INDEX_VERSION);
    hf_put_id(&w, &state->store);
    hf_put_uint(&w, state->position.segment);
    hf_put_uint(&w, state->position.offset);
    hf_put_uint(&w, state->next_sequence);
    hf_put_uint(&w, state->totals.disk_bytes);
    for (size_t i = 0; i < LOG_KINDS; i++) {
        hf_put_uint(&w, state->totals.entries[i]);
        hf_put_uint(&w, state->totals.payload_bytes[i]);
    }
    return put(txn, index, STATE, key_of_state(copy), &w);
}

/* ---- opening ---- */

/* LMDB maps the file and would be killed by SIGBUS if pages of it were missing. */
static bool whole(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat page;
    struct stat st;
    int fd;

    if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &page) != 0) return false;
    if (mdb_env_get_fd(env, &fd) != 0 || fstat(fd, &st) != 0) return false;
    return (uint64_t)st.st_size / page.ms_psize > info.me_last_pgno;
}

static int open_tables(struct log_index *index)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(index->env, NULL, index->read_only ? MDB_RDONLY : 0, &txn);

    for (size_t i = 0; rc == 0 && i < TABLES; i++)
        rc = mdb_dbi_open(txn, table_names[i], index->read_only ? 0 : MDB_CREATE,
                          &index->tables[i]);
    if (rc == 0) return mdb_txn_commit(txn);
    if (txn != NULL) mdb_txn_abort(txn);
    return rc;
}

static enum hf_code open_env(struct log_index *index, const char *path, struct hf_err *err)
{
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (index->read_only ? MDB_RDONLY : 0);
    int dead_readers;
    int rc = mdb_env_create(&index->env);

    if (rc != 0) return fail(index, rc, "open", err);
    (void)mdb_env_set_maxdbs(index->env, TABLES);
    (void)mdb_env_set_maxreaders(index->env, READERS_MAX);
    (void)mdb_env_set_mapsize(index->env, MAP_SIZE);
    rc = mdb_env_open(index->env, path, flags, 0600);
    if (rc == ENOENT) return hf_fail(err, HF_NOT_FOUND, "there is no index");
    if (rc != 0) return fail(index, rc, "open", err);
    if (!whole(index->env)) return damaged(index, err);
    (void)mdb_reader_check(index->env, &dead_readers);
    rc = open_tables(index);
    return rc == 0 ? HF_OK : fail(index, rc, "open", err);
}

enum hf_code log_index_open(struct hf_files *files, const char *path, int dir_fd,
                            bool read_only, struct log_index **index, struct hf_err *err)
{
    struct log_index *made = calloc(1, sizeof *made);
    enum hf_code rc;

    *index = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    made->files = files;
    made->dir_fd = dir_fd;
    made->read_only = read_only;
    rc = log_seal_check(files, dir_fd, &made->sealed, err);
    if (rc == HF_OK) rc = open_env(made, path, err);
    if (rc == HF_OK) {
        *index = made;
        return HF_OK;
    }
    if (made->env != NULL) mdb_env_close(made->env);
    free(made);
    return rc;
}

void log_index_close(struct log_index *index)
{
    enum hf_code rc = HF_OK;
    struct hf_err err;

    if (index == NULL) return;
    mdb_env_close(index->env);
    if (!index->read_only && atomic_load(&index->damaged)) {
        rc = log_index_delete(index->files, index->dir_fd, &err);
    } else if (!index->read_only && !index->sealed) {
        /* Without a seal the next opening trusts LMDB. */
        rc = log_seal_write(index->files, index->dir_fd, &err);
    }
    if (rc != HF_OK) hf_log(HF_LOG_WARN, "store", "close the index: %s", err.msg);
    free(index);
}

enum hf_code log_index_delete(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    static const char *const names[] = {LOG_SEAL_NAME, LOG_SEAL_DATA, "lock.mdb"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (files->unlink(files, dir_fd, names[i]) != 0 && errno != ENOENT)
            return hf_fail_errno(err, errno, "remove index/%s", names[i]);
    }
    return HF_OK;
}

/* ---- reading ---- */

enum hf_code log_index_state(struct log_index *index, struct log_state *state,
                             struct hf_err *err)
{
    char copy[sizeof state_key];
    MDB_val key = key_of_state(copy), value;
    enum hf_code code = HF_OK;
    struct hf_reader r;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_get(txn, index->tables[STATE], &key, &value);
    if (rc != 0) {
        code = fail(index, rc, "read", err);
        goto out;
    }
    r = open_value(STATE, key, value, STATE_FIELDS);
    if (hf_get_u32(&r) != INDEX_VERSION) hf_reader_fail(&r);
    hf_get_id(&r, &state->store);
    state->position.segment = hf_get_u64(&r);
    state->position.offset = hf_get_u64(&r);
    state->next_sequence = hf_get_u64(&r);
    state->totals.disk_bytes = hf_get_u64(&r);
    for (size_t i = 0; i < LOG_KINDS; i++) {
        state->totals.entries[i] = hf_get_u64(&r);
        state->totals.payload_bytes[i] = hf_get_u64(&r);
    }
    if (!hf_reader_done(&r)) code = damaged(index, err);
out:
    mdb_txn_abort(txn);
    return code;
}

enum hf_code log_index_find(struct log_index *index, const struct log_key *key,
                            struct log_row *row, struct hf_err *err)
{
    struct log_key copy = *key;
    MDB_val k = {.mv_data = copy.b, .mv_size = copy.size}, value;
    enum hf_code code = HF_OK;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_get(txn, index->tables[ROWS], &k, &value);
    if (rc != 0) {
        code = fail(index, rc, "read", err);
    } else if (!get_row(k, value, row)) {
        code = damaged(index, err);
    }
    mdb_txn_abort(txn);
    return code;
}

static enum hf_code list(struct log_index *index, MDB_cursor *cursor,
                         const struct log_key *prefix, const struct log_key *from,
                         bool after, struct log_change *out, size_t max, size_t *count,
                         struct hf_err *err)
{
    struct log_key start = *from;
    MDB_val k = {.mv_data = start.b, .mv_size = start.size}, value;
    int rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);

    if (rc == 0 && after && k.mv_size == from->size &&
        memcmp(k.mv_data, from->b, from->size) == 0)
        rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
    for (; rc == 0 && *count < max; rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT)) {
        struct log_change *change = &out[*count];

        if (k.mv_size > sizeof change->key.b) return damaged(index, err);
        change->key.size = k.mv_size;
        memcpy(change->key.b, k.mv_data, k.mv_size);
        if (!log_key_has_prefix(&change->key, prefix)) break;
        if (!get_row(k, value, &change->row)) return damaged(index, err);
        ++*count;
    }
    return rc == 0 || rc == MDB_NOTFOUND ? HF_OK : fail(index, rc, "read", err);
}

enum hf_code log_index_list(struct log_index *index, const struct log_key *prefix,
                            const struct log_key *from, bool after, struct log_change *out,
                            size_t max, size_t *count, struct hf_err *err)
{
    enum hf_code code;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    *count = 0;
    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_cursor_open(txn, index->tables[ROWS], &cursor);
    if (rc != 0) {
        code = fail(index, rc, "read", err);
    } else {
        code = list(index, cursor, prefix, from, after, out, max, count, err);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return code;
}

/* Calls fn with each pair of a table until it returns false or the end. */
static enum hf_code each(struct log_index *index, enum table table,
                         bool (*fn)(void *arg, MDB_val key, MDB_val value), void *arg,
                         struct hf_err *err)
{
    MDB_val key, value;
    MDB_cursor *cursor = NULL;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_cursor_open(txn, index->tables[table], &cursor);
    while (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && !fn(arg, key, value)) break;
    }
    if (cursor != NULL) mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return rc == 0 || rc == MDB_NOTFOUND ? HF_OK : fail(index, rc, "read", err);
}

struct segment_reading {
    struct log_segments *segments;
    bool damaged, no_memory;
};

static bool read_segment(void *arg, MDB_val key, MDB_val value)
{
    struct segment_reading *reading = arg;
    struct hf_reader r = open_value(SEGMENTS, key, value, 2);
    struct log_segment *segment;
    uint64_t live = hf_get_u64(&r);
    bool bad = hf_get_bool(&r);

    reading->damaged = key.mv_size != NUMBER_SIZE || !hf_reader_done(&r);
    if (reading->damaged) return false;
    segment = log_segments_add(reading->segments, number_decode(key.mv_data));
    reading->no_memory = segment == NULL;
    if (segment == NULL) return false;
    segment->live = live;
    segment->damaged = bad;
    segment->changed = false;
    return true;
}

enum hf_code log_index_segments(struct log_index *index, struct log_segments *segments,
                                struct hf_err *err)
{
    struct segment_reading reading = {.segments = segments};
    enum hf_code rc = each(index, SEGMENTS, read_segment, &reading, err);

    if (reading.no_memory) return hf_fail(err, HF_NO_MEMORY, "no memory for the segments");
    return reading.damaged ? damaged(index, err) : rc;
}

struct dead_reading {
    struct log_dead *out;
    size_t max, count;
    bool damaged;
};

static bool read_dead(void *arg, MDB_val key, MDB_val value)
{
    struct dead_reading *reading = arg;
    struct hf_reader r = open_value(DEAD, key, value, 2);
    struct log_dead *dead;

    if (reading->count == reading->max) return false;
    dead = &reading->out[reading->count];
    dead->sequence = hf_get_u64(&r);
    dead->footprint = hf_get_uint(&r, LOG_PAYLOAD_MAX + LOG_FRAME_MAX + LOG_ALIGN);
    reading->damaged = key.mv_size != (size_t)2 * NUMBER_SIZE || !hf_reader_done(&r);
    if (reading->damaged) return false;
    dead->segment = number_decode(key.mv_data);
    dead->offset = number_decode((const uint8_t *)key.mv_data + NUMBER_SIZE);
    reading->count++;
    return true;
}

enum hf_code log_index_dead(struct log_index *index, struct log_dead *out, size_t max,
                            size_t *count, struct hf_err *err)
{
    struct dead_reading reading = {.out = out, .max = max};
    enum hf_code rc = each(index, DEAD, read_dead, &reading, err);

    *count = reading.count;
    return reading.damaged ? damaged(index, err) : rc;
}

/* ---- writing ---- */

/* The first change breaks the seal, before LMDB writes anything. */
static enum hf_code break_seal(struct log_index *index, struct hf_err *err)
{
    enum hf_code rc;

    if (!index->sealed) return HF_OK;
    rc = log_seal_remove(index->files, index->dir_fd, err);
    if (rc == HF_OK) index->sealed = false;
    return rc;
}

static int write_batch(MDB_txn *txn, struct log_index *index, const struct log_batch *batch)
{
    const struct log_key start = {.size = 0};
    int rc = 0;

    for (const struct log_change *c = log_changes_seek(batch->changes, &start, false);
         rc == 0 && c != NULL; c = log_changes_next(c))
        rc = put_row(txn, index, c);
    for (size_t i = 0; rc == 0 && i < batch->dead_count; i++)
        rc = put_dead(txn, index, &batch->dead[i]);
    for (size_t i = 0; rc == 0 && i < batch->segment_count; i++)
        rc = put_segment(txn, index, &batch->segments[i]);
    if (rc == 0) rc = put_state(txn, index, &batch->state);
    return rc;
}

enum hf_code log_index_save(struct log_index *index, const struct log_batch *batch,
                            struct hf_err *err)
{
    MDB_txn *txn;
    int rc;

    if (break_seal(index, err) != HF_OK) return err->code;
    rc = mdb_txn_begin(index->env, NULL, 0, &txn);
    if (rc != 0) return fail(index, rc, "save", err);
    rc = write_batch(txn, index, batch);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    return rc == 0 ? HF_OK : fail(index, rc, "save", err);
}

/* MDB_NOTFOUND is as good. */
static int forget(MDB_txn *txn, const struct log_index *index, enum table table, uint8_t *k,
                  size_t size)
{
    MDB_val key = {.mv_data = k, .mv_size = size};
    int rc = mdb_del(txn, index->tables[table], &key, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum hf_code log_index_forget(struct log_index *index, const struct log_dead *dead,
                              size_t dead_count, const uint64_t *segments,
                              size_t segment_count, struct hf_err *err)
{
    uint8_t k[2 * NUMBER_SIZE];
    MDB_txn *txn;
    int rc;

    if (break_seal(index, err) != HF_OK) return err->code;
    rc = mdb_txn_begin(index->env, NULL, 0, &txn);
    if (rc != 0) return fail(index, rc, "save", err);
    for (size_t i = 0; rc == 0 && i < dead_count; i++) {
        number_encode(dead[i].segment, k);
        number_encode(dead[i].offset, k + NUMBER_SIZE);
        rc = forget(txn, index, DEAD, k, sizeof k);
    }
    for (size_t i = 0; rc == 0 && i < segment_count; i++) {
        number_encode(segments[i], k);
        rc = forget(txn, index, SEGMENTS, k, NUMBER_SIZE);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    return rc == 0 ? HF_OK : fail(index, rc, "save", err);
}
