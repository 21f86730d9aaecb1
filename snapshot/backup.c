#include "snapshot/backup.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "snapshot/backup_walk.h"
#include "snapshot/build.h"
#include "snapshot/fetch.h"
#include "snapshot/file_read.h"
#include "snapshot/index.h"
#include "snapshot/index_rebuild.h"
#include "snapshot/own_head.h"
#include "snapshot/parent.h"
#include "snapshot/paths.h"
#include "snapshot/stdin_file.h"
#include "snapshot/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_FRAMES 16u

struct run {
    const struct backup_options *options;
    struct backup_result *result;
    struct fetcher *fetcher;
    struct index *index;
    struct packer *packer;
    struct build *build; /* NULL: a dry run */
    struct file_reader reader;
    struct walk_owners *owners;
    struct catalog catalog;
    struct snapshot parent;
    bool has_parent;
    struct path_node paths;
};

static enum hf_code copy_strings(const char *const *from, size_t count, char ***to,
                                 size_t *n, struct hf_err *err)
{
    *to = hf_alloc_array(count, sizeof(char *));
    for (size_t i = 0; *to != NULL && i < count; i++) {
        (*to)[i] = strdup(from[i]);
        if ((*to)[i] == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
        (*n)++;
    }
    return *to != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
}

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* The message already begins with the path: it is said once. */
static void report_path(struct run *run, const char *path, struct hf_err *err)
{
    size_t n = strlen(path);

    if (strncmp(err->msg, path, n) == 0 && strncmp(err->msg + n, ": ", 2) == 0)
        memmove(err->msg, err->msg + n + 2, strlen(err->msg + n + 2) + 1);
    run->result->counts.totals.errors++;
    if (run->options->on_error != NULL)
        run->options->on_error(run->options->arg, path, err);
}

/* A snapshot names at most so many paths: of more, the directory that they have in common.
 */
static void shorten_paths(struct snapshot *s)
{
    size_t bytes = 0;
    size_t same = 0;
    const char *last = s->paths[s->path_count - 1];

    for (size_t i = 0; i < s->path_count; i++)
        bytes += strlen(s->paths[i]);
    if (s->path_count <= SNAPSHOT_PATHS_MAX && bytes <= SNAPSHOT_PATH_BYTES_MAX) return;
    while (s->paths[0][same] != '\0' && s->paths[0][same] == last[same])
        same++; /* of the first and the last: they are sorted */
    while (same > 1 && s->paths[0][same] != '\0' && s->paths[0][same] != '/')
        same--;
    s->paths[0][same] = '\0';
    while (s->path_count > 1)
        free(s->paths[--s->path_count]);
}

/* The absolute paths, into the tree of names and into the snapshot. */
static enum hf_code take_paths(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct snapshot *s = &run->result->snapshot;
    enum hf_code rc = HF_OK;

    s->paths = hf_alloc_array(o->path_count, sizeof(char *));
    if (s->paths == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    for (size_t i = 0; i < o->path_count; i++) {
        char *absolute;

        rc = path_absolute(o->paths[i], &absolute, err);
        if (rc == HF_OK) {
            s->paths[s->path_count++] = absolute;
            rc = path_node_add(&run->paths, absolute, err);
            if (rc != HF_OK) return rc;
        } else {
            report_path(run, o->paths[i], err);
        }
    }
    if (s->path_count == 0)
        return hf_fail(err, HF_NOT_FOUND,
                       "nothing to back up: none of the paths can be read");
    qsort(s->paths, s->path_count, sizeof(char *), compare_strings);
    shorten_paths(s);
    return HF_OK;
}

static enum hf_code take_stdin(struct run *run, struct hf_err *err)
{
    struct snapshot *s = &run->result->snapshot;
    const char *name = run->options->stdin_name;

    s->paths = hf_alloc_array(1, sizeof(char *));
    if (s->paths == NULL ||
        asprintf(&s->paths[0], "%s%s", name[0] == '/' ? "" : "/", name) < 0)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    s->path_count = 1;
    return HF_OK;
}

static enum hf_code describe(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct snapshot *s = &run->result->snapshot;

    s->vault = o->keys->vault;
    s->host = o->vault->host;
    s->incarnation = o->vault->incarnation;
    (void)snprintf(s->host_name, sizeof s->host_name, "%s",
                   o->host_name != NULL ? o->host_name : o->vault->host_name);
    s->time_ns = o->time_ns;
    s->utc_offset_s = o->utc_offset_s;
    s->ordinal = catalog_next_ordinal(&run->catalog, s);
    s->has_parent = run->has_parent;
    s->parent = run->parent.id;
    if (copy_strings(o->tags, o->tag_count, &s->tags, &s->tag_count, err) != HF_OK)
        return err->code;
    return copy_strings(o->notes, o->note_count, &s->options, &s->option_count, err);
}

/* An index that was deleted, or never complete, is made again from our own trees. */
static enum hf_code rebuild_index(struct run *run, struct hf_err *err)
{
    const struct index_rebuild rebuild = {.index = run->index,
                                          .fetcher = run->fetcher,
                                          .catalog = &run->catalog,
                                          .cancelled = run->options->cancelled,
                                          .arg = run->options->arg};
    struct index_rebuilt done;
    enum hf_code rc;

    if (run->catalog.count > 0)
        hf_log(HF_LOG_WARN, "backup",
               "the index of what is stored is missing; it is made again from %zu "
               "snapshots",
               run->catalog.count);
    rc = index_rebuild(&rebuild, &done, err);
    if (rc == HF_UNAVAILABLE) {
        hf_log(HF_LOG_WARN, "backup",
               "the index is not complete, so some data is stored again: %s", err->msg);
        return HF_OK;
    }
    return rc == HF_OK ? index_complete(run->index, err) : rc;
}

/* What the last run left, and which blocks have gone since.  A dry run writes nothing: it
 * has no index, and completes no interrupted head. */
static enum hf_code open_past(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    bool fresh;
    enum hf_code rc;

    if (o->dry_run) {
        rc = parent_catalog(o->store, run->fetcher, o->keys, &o->vault->host, &run->catalog,
                            err);
    } else {
        rc = own_head_open(o->store, run->fetcher, o->vault, o->keys, o->state_fd,
                           &run->catalog, err);
        if (rc == HF_OK)
            rc = index_open(o->cache_dir, &o->keys->vault, &o->vault->host, &run->index,
                            &fresh, err);
        if (rc == HF_OK && fresh) rc = rebuild_index(run, err);
        if (rc == HF_OK)
            rc = index_confirm(run->index, o->store, &run->result->blocks_lost, err);
    }
    if (rc != HF_OK) return rc;
    if (run->result->blocks_lost > 0)
        hf_log(HF_LOG_WARN, "backup",
               "%zu blocks are gone from the store; their data is read again",
               run->result->blocks_lost);
    run->has_parent =
        parent_find(run->fetcher, &run->catalog, &run->result->snapshot, &run->parent);
    return HF_OK;
}

static enum hf_code open_packer(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    const struct packer_config config = {
        .store = o->store, .keys = o->keys, .level = o->level, .index = run->index};
    enum hf_code rc = packer_new(&config, &run->packer, err);

    if (rc != HF_OK) return rc;
    file_reader_init(&run->reader, run->packer, o->keys->chunker);
    run->reader.fetcher = run->fetcher;
    run->reader.cancelled = o->cancelled;
    run->reader.arg = o->arg;
    run->build = build_new(run->packer, run->fetcher);
    if (run->build == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    block_store_begin(o->store, run->catalog.seq + 1);
    return HF_OK;
}

static enum hf_code open_run(struct run *run, struct hf_err *err)
{
    const struct backup_options *o = run->options;
    enum hf_code rc;

    run->fetcher = fetcher_new(o->store, FETCH_FRAMES);
    run->owners = walk_owners_new();
    if (run->fetcher == NULL || run->owners == NULL)
        return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    rc = open_past(run, err);
    if (rc == HF_OK && !o->dry_run) rc = open_packer(run, err);
    return rc;
}

static enum hf_code read_stdin(struct run *run, struct hf_err *err)
{
    const struct stdin_file file = {.name = run->options->stdin_name,
                                    .fd = run->options->stdin_fd,
                                    .build = run->build,
                                    .packer = run->packer,
                                    .reader = &run->reader,
                                    .owners = run->owners,
                                    .totals = &run->result->counts.totals};
    enum hf_code rc = stdin_file_add(&file, err);

    run->result->counts.entries[BACKUP_NEW] = file.totals->files + file.totals->dirs;
    return rc;
}

static enum hf_code walk_paths(struct run *run, struct hf_err *err)
{
    const struct backup_walk walk = {.options = run->options,
                                     .paths = &run->paths,
                                     .fetcher = run->fetcher,
                                     .parent = run->has_parent ? &run->parent.root : NULL,
                                     .owners = run->owners,
                                     .index = run->index,
                                     .packer = run->packer,
                                     .build = run->build,
                                     .reader = &run->reader,
                                     .result = run->result};

    return backup_walk_run(&walk, err);
}

/* Trees, snapshot and catalog are complete in the store when this returns HF_OK. */
static enum hf_code write_trees(struct run *run, struct stream_root *catalog,
                                struct hf_err *err)
{
    struct snapshot *s = &run->result->snapshot;
    struct stream_packed root = {0};
    struct stream_packed list = {0};
    struct packed place = {0};
    enum hf_code rc = packer_finish_data(run->packer, err);

    if (rc == HF_OK) rc = build_finish(run->build, &root, err);
    s->totals = run->result->counts.totals;
    if (rc == HF_OK) rc = snapshot_write(run->packer, s, &root, &place, err);
    if (rc == HF_OK) rc = catalog_write(run->packer, &run->catalog, s, &place, &list, err);
    if (rc == HF_OK) rc = packer_finish_tree(run->packer, err);
    catalog->size = list.size;
    catalog->depth = list.depth;
    if (rc == HF_OK) rc = packed_ref(run->packer, &list.chunk, &catalog->chunk, err);
    s->root.size = root.size;
    s->root.depth = root.depth;
    if (rc == HF_OK && root.size > 0)
        rc = packed_ref(run->packer, &root.chunk, &s->root.chunk, err);
    stream_packed_done(&root);
    stream_packed_done(&list);
    packed_done(&place);
    return rc;
}

static enum hf_code write_head(struct run *run, const struct stream_root *catalog,
                               struct hf_err *err)
{
    const struct backup_options *o = run->options;
    struct backup_result *result = run->result;
    struct head head = {.catalog = *catalog};
    uint8_t record[HF_RECORD_MAX];
    size_t n;
    enum hf_code rc = block_store_flush(o->store, err);

    if (rc == HF_DEGRADED) {
        result->degraded = true;
        (void)snprintf(result->degraded_why, sizeof result->degraded_why, "%s", err->msg);
        rc = hf_file_replace(hf_files_system(), o->state_fd, BACKUP_DEGRADED_FILE,
                             result->degraded_why, strlen(result->degraded_why), 0600, err);
    }
    memcpy(head.host_name, result->snapshot.host_name, sizeof head.host_name);
    if (rc == HF_OK)
        rc = head_seal(o->keys, &run->catalog, &head, o->time_ns, record, &n, err);
    if (rc == HF_OK) rc = own_head_write(o->store, o->state_fd, o->keys, record, n, err);
    return rc;
}

/* The snapshot is made: what fails here costs nothing but estimates. */
static void save_counts(struct run *run)
{
    struct hf_err err;

    if (index_frames_done(run->index, &err) != HF_OK)
        hf_log(HF_LOG_WARN, "backup", "%s", err.msg);
}

static void close_run(struct run *run)
{
    build_free(run->build);
    if (run->packer != NULL) run->result->stored = packer_totals(run->packer);
    packer_free(run->packer);
    index_close(run->index);
    fetcher_free(run->fetcher);
    walk_owners_free(run->owners);
    catalog_done(&run->catalog);
    snapshot_done(&run->parent);
    path_node_done(&run->paths);
    run->result->counts.bytes_read = run->reader.bytes_read;
    file_reader_done(&run->reader);
}

enum hf_code backup_run(const struct backup_options *options, struct backup_result *result,
                        struct hf_err *err)
{
    struct run *run = calloc(1, sizeof *run);
    struct stream_root catalog = {0};
    enum hf_code rc;

    memset(result, 0, sizeof *result);
    if (run == NULL) return hf_fail(err, HF_NO_MEMORY, "backup: out of memory");
    run->options = options;
    run->result = result;
    rc = options->stdin_name != NULL ? take_stdin(run, err) : take_paths(run, err);
    if (rc == HF_OK) rc = open_run(run, err);
    if (rc == HF_OK) rc = describe(run, err);
    if (rc == HF_OK)
        rc = options->stdin_name != NULL ? read_stdin(run, err) : walk_paths(run, err);
    if (rc == HF_OK && !options->dry_run) rc = write_trees(run, &catalog, err);
    if (rc == HF_OK && !options->dry_run) rc = write_head(run, &catalog, err);
    if (rc == HF_OK && !options->dry_run) save_counts(run);
    close_run(run);
    free(run);
    if (rc != HF_OK) backup_result_done(result);
    return rc;
}

void backup_result_done(struct backup_result *result)
{
    snapshot_done(&result->snapshot);
}
