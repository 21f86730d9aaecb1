#include "blockstore/log_index.h"

#include "base/log.h"
#include "blockstore/log_seal.h"
#include "blockstore/log_values.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_SIZE    ((size_t)64 << 30) /* address space: some 400 million rows */
#define READERS_MAX 512u

static const char *const table_names[LOG_TABLES] = {"rows", "dead", "segments", "state"};

struct log_index {
    MDB_env *env;
    MDB_dbi tables[LOG_TABLES];
    struct hf_files *files;
    int dir_fd; /* borrowed */
    bool read_only;
    bool sealed;         /* its seal holds; the writing thread's */
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

static enum hf_code damaged(struct log_index *index, struct hf_err *err)
{
    atomic_store(&index->damaged, true);
    return hf_fail(err, HF_CORRUPT,
                   "the index is damaged; it is rebuilt when the store is next opened "
                   "for writing after this");
}

static MDB_val value_key(struct log_value *value)
{
    return (MDB_val){.mv_data = value->key, .mv_size = value->key_size};
}

static MDB_val value_bytes(struct log_value *value)
{
    return (MDB_val){.mv_data = value->bytes, .mv_size = value->size};
}

/* False: larger than any value, so none of ours. */
static bool value_copy(MDB_val key, MDB_val bytes, struct log_value *value)
{
    if (key.mv_size > sizeof value->key || bytes.mv_size > sizeof value->bytes)
        return false;
    value->key_size = key.mv_size;
    memcpy(value->key, key.mv_data, key.mv_size);
    value->size = bytes.mv_size;
    memcpy(value->bytes, bytes.mv_data, bytes.mv_size);
    return true;
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

    for (size_t i = 0; rc == 0 && i < LOG_TABLES; i++)
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
    (void)mdb_env_set_maxdbs(index->env, LOG_TABLES);
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
    rc = log_seal_check(files, dir_fd, err);
    made->sealed = rc == HF_OK;
    if (rc == HF_NOT_FOUND && !read_only) rc = log_seal_remove(files, dir_fd, err);
    if (rc == HF_OK) rc = open_env(made, path, err);
    if (rc == HF_OK) {
        *index = made;
        return HF_OK;
    }
    if (made->env != NULL) mdb_env_close(made->env);
    free(made);
    return rc;
}

enum hf_code log_index_seal(struct log_index *index, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (atomic_load(&index->damaged)) return damaged(index, err);
    if (!index->sealed) rc = log_seal_write(index->files, index->dir_fd, err);
    index->sealed = rc == HF_OK;
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
    } else if (!index->read_only) {
        rc = log_index_seal(index, &err);
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

/* The value under value->key.  HF_NOT_FOUND. */
static enum hf_code get(struct log_index *index, enum log_table table,
                        struct log_value *value, struct hf_err *err)
{
    MDB_val key = value_key(value), bytes;
    enum hf_code code = HF_OK;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_get(txn, index->tables[table], &key, &bytes);
    if (rc != 0) {
        code = fail(index, rc, "read", err);
    } else if (!value_copy(key, bytes, value)) {
        code = damaged(index, err);
    }
    mdb_txn_abort(txn);
    return code;
}

enum hf_code log_index_state(struct log_index *index, struct log_state *state,
                             struct hf_err *err)
{
    struct log_value value;
    enum hf_code rc;

    log_value_state_key(&value);
    rc = get(index, LOG_TABLE_STATE, &value, err);
    if (rc == HF_OK && !log_value_get_state(&value, state)) return damaged(index, err);
    return rc;
}

enum hf_code log_index_find(struct log_index *index, const struct log_key *key,
                            struct log_row *row, struct hf_err *err)
{
    struct log_value value;
    enum hf_code rc;

    log_value_row_key(key, &value);
    rc = get(index, LOG_TABLE_ROWS, &value, err);
    if (rc == HF_OK && !log_value_get_row(&value, row)) return damaged(index, err);
    return rc;
}

/* Fills the page from the cursor; HF_CORRUPT for a bad row. */
static enum hf_code list(struct log_index *index, MDB_cursor *cursor, struct log_page *page,
                         struct hf_err *err)
{
    struct log_key start = page->from;
    MDB_val key = {.mv_data = start.b, .mv_size = start.size}, bytes;
    int rc = mdb_cursor_get(cursor, &key, &bytes, MDB_SET_RANGE);

    if (rc == 0 && page->after && key.mv_size == page->from.size &&
        memcmp(key.mv_data, page->from.b, key.mv_size) == 0)
        rc = mdb_cursor_get(cursor, &key, &bytes, MDB_NEXT);
    while (rc == 0 && page->count < LOG_PAGE_ROWS) {
        struct log_change *change = &page->rows[page->count];
        struct log_value value;

        if (!value_copy(key, bytes, &value) || !log_value_get_row(&value, &change->row))
            return damaged(index, err);
        change->key.size = value.key_size;
        memcpy(change->key.b, value.key, value.key_size);
        if (!log_key_has_prefix(&change->key, &page->prefix)) return HF_OK;
        page->count++;
        rc = mdb_cursor_get(cursor, &key, &bytes, MDB_NEXT);
    }
    page->more = rc == 0;
    return rc == 0 || rc == MDB_NOTFOUND ? HF_OK : fail(index, rc, "read", err);
}

enum hf_code log_index_list(struct log_index *index, struct log_page *page,
                            struct hf_err *err)
{
    enum hf_code code;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    page->count = 0;
    page->more = false;
    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_cursor_open(txn, index->tables[LOG_TABLE_ROWS], &cursor);
    if (rc != 0) {
        code = fail(index, rc, "read", err);
    } else {
        code = list(index, cursor, page, err);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return code;
}

/* Calls fn with each value of a table until it says HF_CANCELLED or fails. */
static enum hf_code each(struct log_index *index, enum log_table table,
                         enum hf_code (*fn)(void *arg, const struct log_value *value),
                         void *arg, struct hf_err *err)
{
    enum hf_code code = HF_OK;
    MDB_cursor *cursor = NULL;
    MDB_txn *txn;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0) return fail(index, rc, "read", err);
    rc = mdb_cursor_open(txn, index->tables[table], &cursor);
    while (rc == 0 && code == HF_OK) {
        struct log_value value;
        MDB_val key, bytes;

        rc = mdb_cursor_get(cursor, &key, &bytes, MDB_NEXT);
        if (rc != 0) break;
        code = value_copy(key, bytes, &value) ? fn(arg, &value) : HF_CORRUPT;
    }
    if (cursor != NULL) mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    if (code == HF_CORRUPT) return damaged(index, err);
    if (code == HF_NO_MEMORY) return hf_fail(err, code, "no memory for the segments");
    return rc == 0 || rc == MDB_NOTFOUND ? HF_OK : fail(index, rc, "read", err);
}

static enum hf_code read_segment(void *arg, const struct log_value *value)
{
    struct log_segment read, *segment;

    if (!log_value_get_segment(value, &read)) return HF_CORRUPT;
    segment = log_segments_add(arg, read.number);
    if (segment == NULL) return HF_NO_MEMORY;
    *segment = read;
    return HF_OK;
}

enum hf_code log_index_segments(struct log_index *index, struct log_segments *segments,
                                struct hf_err *err)
{
    return each(index, LOG_TABLE_SEGMENTS, read_segment, segments, err);
}

struct dead_reading {
    struct log_dead *out;
    size_t max, count;
};

static enum hf_code read_dead(void *arg, const struct log_value *value)
{
    struct dead_reading *reading = arg;

    if (reading->count == reading->max) return HF_CANCELLED;
    if (!log_value_get_dead(value, &reading->out[reading->count])) return HF_CORRUPT;
    reading->count++;
    return HF_OK;
}

enum hf_code log_index_dead(struct log_index *index, struct log_dead *out, size_t max,
                            size_t *count, struct hf_err *err)
{
    struct dead_reading reading = {.out = out, .max = max};
    enum hf_code rc = each(index, LOG_TABLE_DEAD, read_dead, &reading, err);

    *count = reading.count;
    return rc;
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

static int put(MDB_txn *txn, const struct log_index *index, enum log_table table,
               struct log_value *value)
{
    MDB_val key = value_key(value), bytes = value_bytes(value);

    return mdb_put(txn, index->tables[table], &key, &bytes, 0);
}

/* MDB_NOTFOUND is as good. */
static int drop(MDB_txn *txn, const struct log_index *index, enum log_table table,
                struct log_value *value)
{
    MDB_val key = value_key(value);
    int rc = mdb_del(txn, index->tables[table], &key, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_change(MDB_txn *txn, const struct log_index *index,
                        const struct log_change *change)
{
    struct log_value value;

    log_value_row_key(&change->key, &value);
    if (change->row.removed) return drop(txn, index, LOG_TABLE_ROWS, &value);
    log_value_put_row(&change->row, &value);
    return put(txn, index, LOG_TABLE_ROWS, &value);
}

static int write_batch(MDB_txn *txn, struct log_index *index, const struct log_batch *batch)
{
    const struct log_key start = {.size = 0};
    struct log_value value;
    int rc = 0;

    for (const struct log_change *c = log_changes_seek(batch->changes, &start, false);
         rc == 0 && c != NULL; c = log_changes_next(c))
        rc = write_change(txn, index, c);
    for (size_t i = 0; rc == 0 && i < batch->dead_count; i++) {
        log_value_dead_key(&batch->dead[i], &value);
        log_value_put_dead(&batch->dead[i], &value);
        rc = put(txn, index, LOG_TABLE_DEAD, &value);
    }
    for (size_t i = 0; rc == 0 && i < batch->segment_count; i++) {
        log_value_segment_key(batch->segments[i].number, &value);
        log_value_put_segment(&batch->segments[i], &value);
        rc = put(txn, index, LOG_TABLE_SEGMENTS, &value);
    }
    if (rc != 0) return rc;
    log_value_state_key(&value);
    log_value_put_state(&batch->state, &value);
    return put(txn, index, LOG_TABLE_STATE, &value);
}

/* Ends a transaction after `rc`. */
static enum hf_code finish(struct log_index *index, MDB_txn *txn, int rc,
                           struct hf_err *err)
{
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    return rc == 0 ? HF_OK : fail(index, rc, "save", err);
}

enum hf_code log_index_save(struct log_index *index, const struct log_batch *batch,
                            struct hf_err *err)
{
    MDB_txn *txn;
    int rc;

    if (break_seal(index, err) != HF_OK) return err->code;
    rc = mdb_txn_begin(index->env, NULL, 0, &txn);
    if (rc != 0) return fail(index, rc, "save", err);
    return finish(index, txn, write_batch(txn, index, batch), err);
}

enum hf_code log_index_forget(struct log_index *index, const struct log_dead *dead,
                              size_t dead_count, const uint64_t *segments,
                              size_t segment_count, struct hf_err *err)
{
    struct log_value value;
    MDB_txn *txn;
    int rc;

    if (break_seal(index, err) != HF_OK) return err->code;
    rc = mdb_txn_begin(index->env, NULL, 0, &txn);
    if (rc != 0) return fail(index, rc, "save", err);
    for (size_t i = 0; rc == 0 && i < dead_count; i++) {
        log_value_dead_key(&dead[i], &value);
        rc = drop(txn, index, LOG_TABLE_DEAD, &value);
    }
    for (size_t i = 0; rc == 0 && i < segment_count; i++) {
        log_value_segment_key(segments[i], &value);
        rc = drop(txn, index, LOG_TABLE_SEGMENTS, &value);
    }
    return finish(index, txn, rc, err);
}
