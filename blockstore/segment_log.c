/* Lock order: checkpoint_lock or refresh_lock, then the locks inside log_writer and log_map
 * (which never nest). */
#include "blockstore/segment_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/tree_hash.h"
#include "blockstore/log_directory.h"
#include "blockstore/log_map.h"
#include "blockstore/log_read.h"
#include "blockstore/log_reclaim.h"
#include "blockstore/log_replay.h"
#include "blockstore/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Puts wait for a checkpoint when this many times checkpoint_rows are unsaved. */
#define BACKLOG_MAX ((size_t)4)

struct segment_log {
    struct log_options options; /* defaults filled in; holder is not kept */
    struct log_directory directory;
    struct log_map *map;
    struct log_writer *writer; /* NULL in a reader */
    pthread_mutex_t checkpoint_lock;

    pthread_mutex_t refresh_lock; /* a reader's: guards the rest */
    struct log_position position; /* the map knows the log up to here */
    struct timespec listed;       /* of segments/, when it was read last */
    struct timespec read;         /* of the last segment */
};

const struct hf_id *segment_log_id(const struct segment_log *log)
{
    return &log->directory.identity.store;
}

/* ---- reading after the writer ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* True when nothing was written since the last refresh, as far as the times tell. */
static bool quiet(struct segment_log *log)
{
    struct stat dir, last;
    char name[LOG_SEGMENT_NAME_SIZE];
    bool same;

    log_segment_name(log->position.segment, name);
    if (fstat(log->directory.segments_fd, &dir) != 0 ||
        fstatat(log->directory.segments_fd, name, &last, 0) != 0)
        return false;
    same = same_time(&dir.st_mtim, &log->listed) && same_time(&last.st_mtim, &log->read) &&
           (uint64_t)last.st_size == log->position.offset;
    log->listed = dir.st_mtim;
    log->read = last.st_mtim;
    return same;
}

/* Brings a reader's map up to what the writer has written by now. */
static enum hf_code refresh(struct segment_log *log, struct hf_err *err)
{
    struct log_replay replay = {.files = log->options.files,
                                .identity = &log->directory.identity,
                                .map = log->map,
                                .segments_fd = log->directory.segments_fd};
    struct log_state state;
    enum hf_code rc = HF_OK;

    (void)pthread_mutex_lock(&log->refresh_lock);
    if (quiet(log)) goto out;
    rc = log_map_state(log->map, &state, err);
    if (rc == HF_OK && (state.position.segment > log->position.segment ||
                        (state.position.segment == log->position.segment &&
                         state.position.offset > log->position.offset))) {
        rc = log_map_clear(log->map, err);
        log->position = state.position;
    }
    if (rc != HF_OK && rc != HF_NOT_FOUND) goto out;
    replay.position = log->position;
    rc = log_replay_run(&replay, err);
    if (rc == HF_OK) log->position = replay.position;
out:
    (void)pthread_mutex_unlock(&log->refresh_lock);
    return rc;
}

static enum hf_code find_row(struct segment_log *log, const struct log_key *key,
                             struct log_row *row, struct hf_err *err)
{
    enum hf_code rc = log_map_find(log->map, key, row, err);

    if (rc != HF_NOT_FOUND || !log->options.read_only) return rc;
    rc = refresh(log, err);
    return rc == HF_OK ? log_map_find(log->map, key, row, err) : rc;
}

/* ---- opening ---- */

/* The map over the index in the directory, brought up to the end of the log. */
static enum hf_code load_map(struct segment_log *log, bool with_index,
                             struct log_replay *replay, struct hf_err *err)
{
    struct log_state state = {.store = log->directory.identity.store, .next_sequence = 1};
    struct log_index *index = NULL;
    enum hf_code rc;

    if (with_index) {
        struct log_state saved = {0};

        rc = log_directory_index(&log->directory, log->options.read_only, &index, err);
        if (rc == HF_OK) rc = log_index_state(index, &saved, err);
        if (rc == HF_OK && !hf_id_equal(&saved.store, &state.store))
            rc = hf_fail(err, HF_CORRUPT, "the index is that of another store");
        if (rc == HF_OK) state = saved;
        if (rc != HF_OK && rc != HF_NOT_FOUND) goto fail;
    }
    rc = log_map_new(index, log->options.read_only, &state, &log->map, err);
    if (rc != HF_OK) goto fail;
    *replay = (struct log_replay){.files = log->options.files,
                                  .identity = &log->directory.identity,
                                  .map = log->map,
                                  .segments_fd = log->directory.segments_fd,
                                  .position = state.position,
                                  .next_sequence = state.next_sequence};
    if (!log->options.read_only) replay->save_rows = log->options.checkpoint_rows;
    rc = log_replay_run(replay, err);
    if (rc == HF_OK) return HF_OK;
    log_map_free(log->map);
    log->map = NULL;
    return rc;
fail:
    log_index_close(index);
    return rc;
}

/* As load_map; an index that fails is built anew, or by a reader done without. */
static enum hf_code load_or_rebuild(struct segment_log *log, struct log_replay *replay,
                                    struct hf_err *err)
{
    enum hf_code rc = load_map(log, true, replay, err);

    if (rc != HF_CORRUPT && !(log->options.read_only && rc == HF_DENIED)) return rc;
    hf_log(HF_LOG_WARN, "store", "%s; reading all segments instead", err->msg);
    if (!log->options.read_only) {
        rc = log_directory_drop_index(&log->directory, err);
        if (rc != HF_OK) return rc;
    }
    return load_map(log, !log->options.read_only, replay, err);
}

/* Whoever is killed from now on leaves an index that is believed. */
static void seal(struct segment_log *log)
{
    struct hf_err err;

    if (log_map_seal(log->map, &err) != HF_OK)
        hf_log(HF_LOG_WARN, "store",
               "the index was not sealed, the start after a crash takes longer: %s",
               err.msg);
}

static enum hf_code start(struct segment_log *log, const char *path, struct hf_err *err)
{
    struct log_writer_config config;
    struct log_replay replay;
    enum hf_code rc = log_directory_open(path, &log->options, &log->directory, err);

    if (rc == HF_OK) rc = load_or_rebuild(log, &replay, err);
    if (rc != HF_OK) return rc;
    log->position = replay.position;
    if (log->options.read_only) return HF_OK;
    seal(log);
    config = (struct log_writer_config){.files = log->options.files,
                                        .identity = &log->directory.identity,
                                        .segments_fd = log->directory.segments_fd,
                                        .segment_size = log->options.segment_size,
                                        .reserve = log->options.reserve,
                                        .last_segment = replay.last_segment,
                                        .last_size = replay.last_size,
                                        .next_sequence = replay.next_sequence};
    log->writer = log_writer_new(&config);
    if (log->writer == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the log");
    return HF_OK;
}

/* Releases everything; nothing is saved. */
static void release(struct segment_log *log)
{
    log_writer_free(log->writer);
    log_map_free(log->map);
    log_directory_close(&log->directory);
    (void)pthread_mutex_destroy(&log->checkpoint_lock);
    (void)pthread_mutex_destroy(&log->refresh_lock);
    free(log);
}

enum hf_code segment_log_open(const char *path, const struct log_options *options,
                              struct segment_log **log, struct hf_err *err)
{
    struct segment_log *made = calloc(1, sizeof *made);
    struct log_options *o;
    enum hf_code rc;

    *log = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the log");
    o = &made->options;
    *o = *options;
    if (o->files == NULL) o->files = hf_files_system();
    if (o->holder == NULL) o->holder = "holdfast";
    if (o->segment_size == 0) o->segment_size = LOG_SEGMENT_SIZE;
    if (o->reserve == 0) o->reserve = LOG_RESERVE;
    if (o->checkpoint_rows == 0) o->checkpoint_rows = LOG_CHECKPOINT_ROWS;
    (void)pthread_mutex_init(&made->checkpoint_lock, NULL);
    (void)pthread_mutex_init(&made->refresh_lock, NULL);
    rc = start(made, path, err);
    o->holder = NULL;
    if (rc != HF_OK) {
        release(made);
        return hf_prefix(err, "store %s", path);
    }
    *log = made;
    return HF_OK;
}

void segment_log_close(struct segment_log *log)
{
    struct hf_err err;

    if (log == NULL) return;
    if (log->writer != NULL && segment_log_checkpoint(log, &err) != HF_OK)
        hf_log(HF_LOG_WARN, "store",
               "the index was not saved, the next start takes longer: %s", err.msg);
    release(log);
}

/* ---- checkpoints ---- */

static enum hf_code save(struct segment_log *log, struct hf_err *err)
{
    struct log_position position;
    uint64_t next_sequence;
    enum hf_code rc = HF_OK;

    /* What an earlier checkpoint could not save goes first. */
    if (log_map_frozen(log->map)) rc = log_map_save(log->map, err);
    if (rc != HF_OK) return rc;
    log_writer_pause(log->writer, &position, &next_sequence);
    rc = log_map_freeze(log->map, &position, next_sequence, err);
    log_writer_resume(log->writer);
    return rc == HF_OK ? log_map_save(log->map, err) : rc;
}

static enum hf_code checkpoint_locked(struct segment_log *log, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (log_map_unsaved(log->map).rows > 0) rc = save(log, err);
    if (rc == HF_OK)
        rc = log_reclaim(log->options.files, &log->directory.identity,
                         log->directory.segments_fd, log->map, err);
    seal(log); /* after a failure, too: LMDB has kept what was there before */
    return rc == HF_OK ? HF_OK : hf_prefix(err, "checkpoint");
}

enum hf_code segment_log_checkpoint(struct segment_log *log, struct hf_err *err)
{
    enum hf_code rc;

    if (log->options.read_only) return hf_fail(err, HF_INVALID, "opened for reading");
    (void)pthread_mutex_lock(&log->checkpoint_lock);
    rc = checkpoint_locked(log, err);
    (void)pthread_mutex_unlock(&log->checkpoint_lock);
    return rc;
}

/* After a put: when it is time, and nobody else is at it. */
static void checkpoint_if_due(struct segment_log *log)
{
    struct log_map_unsaved unsaved = log_map_unsaved(log->map);
    struct hf_err err;

    if (unsaved.rows < log->options.checkpoint_rows && unsaved.bytes < LOG_CHECKPOINT_SIZE)
        return;
    if (pthread_mutex_trylock(&log->checkpoint_lock) != 0) return;
    if (checkpoint_locked(log, &err) != HF_OK) hf_log(HF_LOG_WARN, "store", "%s", err.msg);
    (void)pthread_mutex_unlock(&log->checkpoint_lock);
}

/* ---- writing ---- */

static enum hf_code check_put(struct segment_log *log, const struct log_entry *entry,
                              struct hf_err *err)
{
    uint64_t footprint = log_entry_footprint(LOG_FRAME_MAX, entry->payload_size);
    struct log_map_figures figures;

    if (log_map_unsaved(log->map).rows >= BACKLOG_MAX * log->options.checkpoint_rows &&
        segment_log_checkpoint(log, err) != HF_OK)
        return hf_prefix(err, "too much is not in the index");
    if (log->options.space_max == 0 || entry->key.b[0] == LOG_REMOVAL) return HF_OK;
    log_map_figures(log->map, &figures);
    if (figures.totals.disk_bytes + footprint <= log->options.space_max) return HF_OK;
    return hf_fail(err, HF_NO_SPACE,
                   "%" PRIu64 " of %" PRIu64 " MiB are in use; raise --space or prune",
                   figures.totals.disk_bytes >> 20, log->options.space_max >> 20);
}

/* Writes the entry and makes it known. */
static enum hf_code append(struct segment_log *log, struct log_entry *entry,
                           const uint8_t *payload, struct hf_err *err)
{
    static const uint8_t none[1];
    struct log_slot slot;
    enum hf_code rc = check_put(log, entry, err);

    if (rc != HF_OK) return rc;
    if (entry->meta_size == 0) entry->meta = none;
    if (entry->arrival_ns == 0) entry->arrival_ns = hf_clock_realtime_ns();
    rc = log_writer_append(log->writer, entry, payload, &slot, err);
    if (rc != HF_OK) return rc;
    rc = log_replay_entry(log->map, entry, err);
    log_writer_release(log->writer, &slot);
    checkpoint_if_due(log);
    return rc;
}

static enum hf_code check_limits(const struct segment_log *log, const struct log_key *key,
                                 size_t meta_size, size_t payload_size, struct hf_err *err)
{
    size_t key_size = key->size > 0 ? key->size - 1 : 0;

    if (log->options.read_only) return hf_fail(err, HF_INVALID, "opened for reading");
    if (key_size < LOG_KEY_MIN || key_size > LOG_KEY_MAX)
        return hf_fail(err, HF_INVALID, "a key of %zu bytes", key_size);
    if (meta_size > LOG_META_MAX || payload_size > LOG_PAYLOAD_MAX)
        return hf_fail(err, HF_TOO_LARGE, "an entry of %zu + %zu bytes", meta_size,
                       payload_size);
    return HF_OK;
}

enum hf_code segment_log_put(struct segment_log *log, const struct log_put *put,
                             struct hf_err *err)
{
    struct log_entry entry = {.key = put->key,
                              .arrival_ns = put->arrival_ns,
                              .payload_size = (uint32_t)put->payload_size,
                              .meta = put->meta,
                              .meta_size = put->meta_size};
    enum hf_code rc = check_limits(log, &put->key, put->meta_size, put->payload_size, err);

    if (rc != HF_OK) return rc;
    if (put->key.b[0] < LOG_BLOCK || put->key.b[0] >= LOG_REMOVAL)
        return hf_fail(err, HF_INVALID, "an entry of kind %u", put->key.b[0]);
    if (put->payload_root != NULL)
        entry.payload_root = *put->payload_root;
    else
        hf_tree_hash(put->payload, put->payload_size, &entry.payload_root);
    return append(log, &entry, put->payload, err);
}

enum hf_code segment_log_remove(struct segment_log *log, const struct log_key *key,
                                const uint8_t *order, size_t n, struct hf_err *err)
{
    bool of_removal = key->size > 1 && key->b[0] == LOG_REMOVAL;
    struct log_entry entry = {.meta = order, .meta_size = n};
    struct log_key plain = of_removal ? log_removal_target(key) : *key;
    struct log_row row;
    enum hf_code rc = check_limits(log, &plain, n, 0, err);

    if (rc != HF_OK) return rc;
    if (plain.b[0] < LOG_BLOCK || plain.b[0] >= LOG_REMOVAL)
        return hf_fail(err, HF_INVALID, "removal of an entry of kind %u", plain.b[0]);
    if (n == 0) {
        rc = log_map_find(log->map, key, &row, err);
        if (rc != HF_OK) return rc == HF_NOT_FOUND ? HF_OK : rc;
    }
    entry.key = log_key_removal(key);
    return append(log, &entry, NULL, err);
}

/* ---- reading ---- */

/* Calls read until it agrees with the map: between looking a key up and reading its entry
 * it may have been replaced, removed, overwritten. */
static enum hf_code read_entry(struct segment_log *log, const struct log_key *key,
                               log_read_fn *read, struct log_range *range,
                               struct hf_err *err)
{
    struct log_row row;
    struct log_place place = {.files = log->options.files,
                              .identity = &log->directory.identity,
                              .segments_fd = log->directory.segments_fd,
                              .key = key,
                              .row = &row};
    enum hf_code rc = find_row(log, key, &row, err);

    while (rc == HF_OK) {
        uint64_t sequence = row.sequence;
        struct hf_err why;

        rc = read(&place, range, &why);
        if (rc == HF_OK) return HF_OK;
        if (rc == HF_NOT_FOUND || rc == HF_CORRUPT) {
            rc = log->options.read_only ? refresh(log, err) : HF_OK;
            if (rc == HF_OK) rc = find_row(log, key, &row, err);
            if (rc != HF_OK || row.sequence != sequence) continue;
        }
        *err = why;
        /* Named by the index, and still not there. */
        if (why.code == HF_NOT_FOUND) err->code = HF_CORRUPT;
        return err->code;
    }
    return rc;
}

static struct log_info info_of(const struct log_row *row)
{
    return (struct log_info){.sequence = row->sequence,
                             .arrival_ns = row->arrival_ns,
                             .payload_size = row->payload_size};
}

enum hf_code segment_log_find(struct segment_log *log, const struct log_key *key,
                              struct log_info *info, struct hf_err *err)
{
    struct log_row row;
    enum hf_code rc = find_row(log, key, &row, err);

    if (rc == HF_OK) *info = info_of(&row);
    return rc;
}

/* NOLINTBEGIN(readability-non-const-parameter): buf is written through the range */
enum hf_code segment_log_get(struct segment_log *log, const struct log_key *key,
                             size_t offset, size_t size, uint8_t *buf, struct hf_err *err)
{
    struct log_range range = {.offset = offset, .size = size, .buf = buf};

    return read_entry(log, key, log_read_range, &range, err);
}

enum hf_code segment_log_load(struct segment_log *log, const struct log_key *key,
                              uint8_t *buf, size_t max, size_t *n, struct hf_err *err)
{
    struct log_range range = {.size = max, .buf = buf};
    enum hf_code rc = read_entry(log, key, log_read_whole, &range, err);

    *n = range.got;
    return rc;
}

enum hf_code segment_log_meta(struct segment_log *log, const struct log_key *key,
                              uint8_t buf[static LOG_META_MAX], size_t *n,
                              struct hf_err *err)
{
    struct log_range range = {.size = LOG_META_MAX, .buf = buf};
    enum hf_code rc = read_entry(log, key, log_read_meta, &range, err);

    *n = range.got;
    return rc;
}

/* NOLINTEND(readability-non-const-parameter) */

enum hf_code segment_log_verify(struct segment_log *log, const struct log_key *key,
                                struct hf_err *err)
{
    struct log_range none = {0};

    return read_entry(log, key, log_read_check, &none, err);
}

/* ---- listing ---- */

enum hf_code segment_log_list(struct segment_log *log, const struct log_key *prefix,
                              log_list_fn *fn, void *arg, struct hf_err *err)
{
    struct log_page *page = malloc(sizeof *page);
    struct log_map_figures figures;
    enum hf_code rc = HF_OK;

    if (page == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for a list");
    page->prefix = page->from = *prefix;
    page->after = false;
    page->more = true;
    if (log->options.read_only) rc = refresh(log, err);
    while (rc == HF_OK && page->more) {
        rc = log_map_list(log->map, page, err);
        for (size_t i = 0; rc == HF_OK && i < page->count; i++) {
            struct log_info info = info_of(&page->rows[i].row);

            if (!fn(arg, &page->rows[i].key, &info)) goto out;
        }
    }
    if (rc != HF_OK) goto out;
    log_map_figures(log->map, &figures);
    if (figures.damaged_segments > 0)
        rc = hf_fail(err, HF_INCOMPLETE,
                     "%zu segments are damaged or missing; they may have held more",
                     figures.damaged_segments);
out:
    free(page);
    return rc;
}

enum hf_code segment_log_status(struct segment_log *log, struct log_status *status,
                                struct hf_err *err)
{
    struct log_map_figures figures;
    struct log_state state;
    enum hf_code rc;

    log_map_figures(log->map, &figures);
    if (log->options.read_only) {
        rc = log_map_state(log->map, &state, err);
        if (rc == HF_OK) figures.totals = state.totals;
        if (rc != HF_OK && rc != HF_NOT_FOUND) return rc;
    }
    *status = (struct log_status){.disk_bytes = figures.totals.disk_bytes,
                                  .segments = figures.segments,
                                  .damaged_segments = figures.damaged_segments,
                                  .unsaved_rows = log_map_unsaved(log->map).rows};
    memcpy(status->entries, figures.totals.entries, sizeof status->entries);
    memcpy(status->payload_bytes, figures.totals.payload_bytes,
           sizeof status->payload_bytes);
    return HF_OK;
}
