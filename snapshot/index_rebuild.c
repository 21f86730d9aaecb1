#include "snapshot/index_rebuild.h"

#include "base/alloc.h"
#include "base/log.h"
#include "snapshot/limits.h"
#include "snapshot/stream.h"
#include "snapshot/tree.h"

#include <stdlib.h>

#define BATCH 8192u /* chunks noted at once */

/* A directory that is being gone through. */
struct level {
    struct level *up;
    struct tree_reader *reader;
    struct stream_root root;
    size_t depth;
};

struct run {
    const struct index_rebuild *what;
    struct index_rebuilt *done;
    struct chunk_ref *refs; /* BATCH */
    size_t count;
    struct level *top;
    struct hf_err failure; /* of the index, in a call that cannot say so */
    enum hf_code failed;
};

static enum hf_code flush(struct run *run)
{
    if (run->failed == HF_OK && run->count > 0)
        run->failed = index_add(run->what->index, run->refs, run->count, &run->failure);
    run->done->chunks += run->count;
    run->count = 0;
    return run->failed;
}

static void note(struct run *run, const struct chunk_ref *ref)
{
    run->refs[run->count++] = *ref;
    if (run->count == BATCH) (void)flush(run);
}

static void note_node(void *arg, const struct chunk_ref *node)
{
    note(arg, node);
}

/* Notes all chunks of a stream, its root last: who finds the root in the index need not
 * look below it. */
static enum hf_code note_stream(struct run *run, enum frame_role role,
                                const struct stream_root *root, struct hf_err *err)
{
    struct stream_cursor *cursor;
    enum hf_code rc = HF_OK;

    if (root->size == 0) return HF_OK;
    if (root->depth > 0) {
        cursor = stream_cursor_new(run->what->fetcher, role, root);
        if (cursor == NULL) return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
        stream_cursor_watch(cursor, note_node, run);
        for (;;) {
            struct chunk_ref ref;
            uint64_t offset;

            rc = stream_cursor_next_ref(cursor, &ref, &offset, err);
            if (rc != HF_OK || ref.size == 0) break;
            note(run, &ref);
        }
        stream_cursor_free(cursor);
    }
    if (rc == HF_OK) note(run, &root->chunk);
    return rc;
}

static bool known(const struct run *run, const struct stream_root *root)
{
    struct chunk_ref ref;

    return root->size == 0 || index_find(run->what->index, &root->chunk.id, &ref);
}

static enum hf_code enter(struct run *run, const struct stream_root *root,
                          struct hf_err *err)
{
    struct level *level;

    if (known(run, root)) return HF_OK;
    if (run->top != NULL && run->top->depth == TREE_DEPTH_MAX)
        return hf_fail(err, HF_CORRUPT, "more than %u directories deep", TREE_DEPTH_MAX);
    level = calloc(1, sizeof *level);
    if (level != NULL) level->reader = tree_reader_new(run->what->fetcher, root);
    if (level == NULL || level->reader == NULL) {
        free(level);
        return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
    }
    level->root = *root;
    level->depth = run->top != NULL ? run->top->depth + 1 : 0;
    level->up = run->top;
    run->top = level;
    return HF_OK;
}

static void leave(struct run *run)
{
    struct level *level = run->top;

    run->top = level->up;
    tree_reader_free(level->reader);
    free(level);
}

/* One entry, or the end, of the directory on top. */
static enum hf_code step(struct run *run, struct hf_err *err)
{
    const struct tree_entry *entry;
    struct stream_root root;
    enum hf_code rc = tree_reader_next(run->top->reader, &entry, err);

    if (rc != HF_OK) {
        leave(run); /* without noting it: it is not complete */
        return rc;
    }
    if (entry == NULL) {
        root = run->top->root;
        leave(run);
        return note_stream(run, FRAME_TREE, &root, err);
    }
    if (!entry->has_stream) return HF_OK;
    if (entry->type == TREE_DIR) return enter(run, &entry->stream, err);
    return known(run, &entry->stream) ? HF_OK
                                      : note_stream(run, FRAME_DATA, &entry->stream, err);
}

/* True when the run ends with it. */
static bool fatal(const struct run *run, enum hf_code rc)
{
    return run->failed != HF_OK || rc == HF_NO_MEMORY || rc == HF_UNAVAILABLE;
}

static enum hf_code read_snapshot(struct run *run, const struct catalog_entry *entry,
                                  struct hf_err *err)
{
    struct snapshot snapshot = {0};
    enum hf_code rc = snapshot_read(run->what->fetcher, entry, &snapshot, err);

    if (rc == HF_OK) {
        rc = enter(run, &snapshot.root, err);
        note(run, &entry->ref);
        snapshot_done(&snapshot);
    }
    while (run->top != NULL || rc != HF_OK) {
        if (rc != HF_OK && fatal(run, rc)) return rc;
        if (rc != HF_OK) {
            hf_log(HF_LOG_WARN, "index", "a tree cannot be read: %s", err->msg);
            run->done->unreadable++;
            rc = HF_OK;
            continue;
        }
        if (run->what->cancelled != NULL && run->what->cancelled(run->what->arg))
            return hf_fail(err, HF_CANCELLED, "interrupted");
        rc = step(run, err);
    }
    return HF_OK;
}

enum hf_code index_rebuild(const struct index_rebuild *rebuild, struct index_rebuilt *done,
                           struct hf_err *err)
{
    struct run run = {.what = rebuild, .done = done};
    enum hf_code rc = HF_OK;

    *done = (struct index_rebuilt){0};
    run.refs = hf_alloc_array(BATCH, sizeof *run.refs);
    if (run.refs == NULL) return hf_fail(err, HF_NO_MEMORY, "index: out of memory");
    for (size_t i = rebuild->catalog->count; rc == HF_OK && i-- > 0;)
        rc = read_snapshot(&run, &rebuild->catalog->entries[i], err);
    while (run.top != NULL)
        leave(&run);
    if (flush(&run) != HF_OK) {
        *err = run.failure;
        rc = run.failed;
    }
    free(run.refs);
    return rc;
}
