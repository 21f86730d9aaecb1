/* One mutex guards everything.  It is held over look-ups in the index (LMDB reads never
 * wait), not over log_index_save. */
#include "blockstore/log_map.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Changes, and what follows from them. */
struct batch {
    struct log_changes *changes; /* NULL: there is no such batch */
    struct log_dead *dead;
    size_t dead_count, dead_capacity;
    uint64_t bytes;
};

struct log_map {
    pthread_mutex_t lock;
    struct log_index *index;
    bool read_only;
    struct batch active; /* over `frozen`, over the index */
    struct batch frozen;
    struct log_segment *frozen_segments; /* with frozen, as they were then */
    size_t frozen_segment_count;
    struct log_state frozen_state;
    struct log_segments segments;
    struct hf_id store;
    struct log_totals totals;
};

static void batch_done(struct batch *batch)
{
    log_changes_free(batch->changes);
    free(batch->dead);
    *batch = (struct batch){0};
}

enum hf_code log_map_new(struct log_index *index, bool read_only,
                         const struct log_state *state, struct log_map **map,
                         struct hf_err *err)
{
    struct log_map *made = calloc(1, sizeof *made);
    enum hf_code rc = HF_OK;

    *map = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    (void)pthread_mutex_init(&made->lock, NULL);
    made->read_only = read_only;
    made->store = state->store;
    made->totals = state->totals;
    made->active.changes = log_changes_new();
    if (made->active.changes == NULL)
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    if (rc == HF_OK && index != NULL) rc = log_index_segments(index, &made->segments, err);
    if (rc != HF_OK) {
        log_map_free(made);
        return rc;
    }
    made->index = index;
    *map = made;
    return HF_OK;
}

void log_map_free(struct log_map *map)
{
    if (map == NULL) return;
    batch_done(&map->active);
    batch_done(&map->frozen);
    free(map->frozen_segments);
    log_segments_done(&map->segments);
    log_index_close(map->index);
    (void)pthread_mutex_destroy(&map->lock);
    free(map);
}

/* ---- look-ups; the lock is held ---- */

/* The newest row of key, which may be a removed one. */
static enum hf_code find(struct log_map *map, const struct log_key *key,
                         struct log_row *row, struct hf_err *err)
{
    const struct log_row *there = log_changes_find(map->active.changes, key);

    if (there == NULL && map->frozen.changes != NULL)
        there = log_changes_find(map->frozen.changes, key);
    if (there != NULL) {
        *row = *there;
        return HF_OK;
    }
    if (map->index == NULL) return hf_fail(err, HF_NOT_FOUND, "not in the index");
    return log_index_find(map->index, key, row, err);
}

enum hf_code log_map_find(struct log_map *map, const struct log_key *key,
                          struct log_row *row, struct hf_err *err)
{
    enum hf_code rc;

    (void)pthread_mutex_lock(&map->lock);
    rc = find(map, key, row, err);
    (void)pthread_mutex_unlock(&map->lock);
    if (rc == HF_OK && row->removed) return hf_fail(err, HF_NOT_FOUND, "it was removed");
    return rc;
}

/* ---- changes; the lock is held ---- */

static uint64_t footprint(const struct log_row *row)
{
    return log_entry_footprint(row->frame_size, row->payload_size);
}

/* Makes room for what count_live and count_dead will need, so that they cannot fail. */
static enum hf_code prepare(struct log_map *map, const struct log_row *row,
                            struct hf_err *err)
{
    struct batch *active = &map->active;
    struct log_dead *dead = hf_grow_array(active->dead, &active->dead_capacity,
                                          active->dead_count + 1, sizeof *dead);

    if (dead != NULL) active->dead = dead;
    if (dead == NULL || log_segments_add(&map->segments, row->segment) == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    return HF_OK;
}

static void add_dead(struct log_map *map, const struct log_row *row)
{
    map->active.dead[map->active.dead_count++] =
        (struct log_dead){.segment = row->segment,
                          .offset = row->offset,
                          .sequence = row->sequence,
                          .footprint = footprint(row)};
}

static void count_dead(struct log_map *map, const struct log_key *key,
                       const struct log_row *row)
{
    struct log_segment *segment = log_segments_find(&map->segments, row->segment);

    if (segment != NULL && segment->live > 0) segment->live--;
    if (segment != NULL) segment->changed = true;
    map->totals.entries[key->b[0]]--;
    map->totals.payload_bytes[key->b[0]] -= row->payload_size;
    map->totals.disk_bytes -= footprint(row);
    add_dead(map, row);
}

static void count_live(struct log_map *map, const struct log_key *key,
                       const struct log_row *row)
{
    struct log_segment *segment = log_segments_find(&map->segments, row->segment);

    segment->live++;
    segment->changed = true;
    map->totals.entries[key->b[0]]++;
    map->totals.payload_bytes[key->b[0]] += row->payload_size;
    map->totals.disk_bytes += footprint(row);
    map->active.bytes += row->payload_size;
}

static enum hf_code apply(struct log_map *map, const struct log_key *key,
                          const struct log_row *row, struct hf_err *err)
{
    struct log_row old = {.removed = true};
    enum hf_code rc = find(map, key, &old, err);

    if (rc != HF_OK && rc != HF_NOT_FOUND) return rc;
    if (rc == HF_OK && old.sequence == row->sequence) return HF_OK; /* replayed */
    if (rc == HF_NOT_FOUND) old.removed = true;
    if (map->read_only) {
        if (rc == HF_OK && old.sequence > row->sequence) return HF_OK;
        return log_changes_put(map->active.changes, key, row, err);
    }
    if (prepare(map, row, err) != HF_OK) return err->code;
    if (rc == HF_OK && old.sequence > row->sequence) {
        if (!row->removed) add_dead(map, row);
        return HF_OK;
    }
    if (log_changes_put(map->active.changes, key, row, err) != HF_OK) return err->code;
    if (!old.removed) count_dead(map, key, &old);
    if (!row->removed) count_live(map, key, row);
    return HF_OK;
}

enum hf_code log_map_apply(struct log_map *map, const struct log_key *key,
                           const struct log_row *row, struct hf_err *err)
{
    enum hf_code rc;

    (void)pthread_mutex_lock(&map->lock);
    rc = apply(map, key, row, err);
    (void)pthread_mutex_unlock(&map->lock);
    return rc;
}

enum hf_code log_map_segment(struct log_map *map, uint64_t number, bool damaged,
                             struct hf_err *err)
{
    struct log_segment *segment;

    (void)pthread_mutex_lock(&map->lock);
    segment = log_segments_add(&map->segments, number);
    if (segment != NULL && damaged && !segment->damaged)
        segment->damaged = segment->changed = true;
    (void)pthread_mutex_unlock(&map->lock);
    if (segment == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the segments");
    return HF_OK;
}

void log_map_figures(struct log_map *map, struct log_map_figures *figures)
{
    (void)pthread_mutex_lock(&map->lock);
    *figures = (struct log_map_figures){.totals = map->totals};
    figures->segments = map->segments.count;
    for (size_t i = 0; i < map->segments.count; i++)
        if (map->segments.rows[i].damaged) figures->damaged_segments++;
    (void)pthread_mutex_unlock(&map->lock);
}

struct log_map_unsaved log_map_unsaved(struct log_map *map)
{
    struct log_map_unsaved unsaved;

    (void)pthread_mutex_lock(&map->lock);
    unsaved.rows = log_changes_count(map->active.changes);
    if (map->frozen.changes != NULL) unsaved.rows += log_changes_count(map->frozen.changes);
    unsaved.bytes = map->active.bytes + map->frozen.bytes;
    (void)pthread_mutex_unlock(&map->lock);
    return unsaved;
}

static bool among(uint64_t number, const uint64_t *numbers, size_t count)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (numbers[middle] == number) return true;
        if (numbers[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

size_t log_map_segments_present(struct log_map *map, const uint64_t *numbers, size_t count)
{
    size_t missing = 0;

    (void)pthread_mutex_lock(&map->lock);
    for (size_t i = map->segments.count; i-- > 0;) {
        struct log_segment *segment = &map->segments.rows[i];

        if (among(segment->number, numbers, count)) continue;
        if (segment->live == 0 && !segment->damaged) {
            log_segments_remove(&map->segments, segment->number);
            continue;
        }
        segment->damaged = segment->changed = true;
        missing++;
    }
    (void)pthread_mutex_unlock(&map->lock);
    return missing;
}

/* ---- listing ---- */

/* Three sorted sources; where they name the same key the first that has it is right. */
struct sources {
    const struct log_change *active, *frozen;
    const struct log_change *index, *index_end;
    bool index_more; /* behind index_end there may be more that was not read */
};

static const struct log_change *smaller(const struct log_change *a,
                                        const struct log_change *b)
{
    if (a == NULL || b == NULL) return a != NULL ? a : b;
    return log_key_compare(&b->key, &a->key) < 0 ? b : a;
}

static const struct log_change *sources_first(const struct sources *s)
{
    return smaller(smaller(s->active, s->frozen),
                   s->index < s->index_end ? s->index : NULL);
}

static void sources_skip(struct sources *s, const struct log_key *key)
{
    if (s->active != NULL && log_key_compare(&s->active->key, key) == 0)
        s->active = log_changes_next(s->active);
    if (s->frozen != NULL && log_key_compare(&s->frozen->key, key) == 0)
        s->frozen = log_changes_next(s->frozen);
    if (s->index < s->index_end && log_key_compare(&s->index->key, key) == 0) s->index++;
}

/* Merges into the page; true when there may be more. */
static bool merge(struct sources *s, struct log_page *page)
{
    while (page->count < LOG_PAGE_ROWS) {
        const struct log_change *next;

        if (s->index == s->index_end && s->index_more) return true;
        next = sources_first(s);
        if (next == NULL || !log_key_has_prefix(&next->key, &page->prefix)) return false;
        page->from = next->key;
        page->after = true;
        if (!next->row.removed) page->rows[page->count++] = *next;
        sources_skip(s, &page->from);
    }
    return true;
}

enum hf_code log_map_list(struct log_map *map, struct log_page *page, struct hf_err *err)
{
    struct log_page *indexed = malloc(sizeof *indexed);
    struct sources s = {0};
    enum hf_code rc = HF_OK;

    page->count = 0;
    page->more = false;
    if (indexed == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for a list");
    indexed->prefix = page->prefix;
    indexed->from = page->from;
    indexed->after = page->after;
    indexed->count = 0;
    indexed->more = false;
    (void)pthread_mutex_lock(&map->lock);
    if (map->index != NULL) rc = log_index_list(map->index, indexed, err);
    if (rc == HF_OK) {
        s.index = indexed->rows;
        s.index_end = indexed->rows + indexed->count;
        s.index_more = indexed->more;
        s.active = log_changes_seek(map->active.changes, &page->from, page->after);
        if (map->frozen.changes != NULL)
            s.frozen = log_changes_seek(map->frozen.changes, &page->from, page->after);
        page->more = merge(&s, page);
    }
    (void)pthread_mutex_unlock(&map->lock);
    free(indexed);
    return rc;
}

/* ---- checkpoints ---- */

bool log_map_frozen(struct log_map *map)
{
    bool frozen;

    (void)pthread_mutex_lock(&map->lock);
    frozen = map->frozen.changes != NULL;
    (void)pthread_mutex_unlock(&map->lock);
    return frozen;
}

enum hf_code log_map_freeze(struct log_map *map, const struct log_position *position,
                            uint64_t next_sequence, struct hf_err *err)
{
    struct log_changes *fresh = log_changes_new();
    struct log_segment *segments = NULL;
    size_t n = 0;

    (void)pthread_mutex_lock(&map->lock);
    if (map->frozen.changes != NULL) {
        (void)pthread_mutex_unlock(&map->lock);
        log_changes_free(fresh);
        return HF_OK;
    }
    segments = hf_alloc_array(map->segments.count + 1, sizeof *segments);
    if (fresh == NULL || segments == NULL) {
        (void)pthread_mutex_unlock(&map->lock);
        log_changes_free(fresh);
        free(segments);
        return hf_fail(err, HF_NO_MEMORY, "no memory to save the index");
    }
    for (size_t i = 0; i < map->segments.count; i++) {
        if (map->segments.rows[i].changed) segments[n++] = map->segments.rows[i];
        map->segments.rows[i].changed = false;
    }
    map->frozen = map->active;
    map->active = (struct batch){.changes = fresh};
    free(map->frozen_segments);
    map->frozen_segments = segments;
    map->frozen_segment_count = n;
    map->frozen_state = (struct log_state){.store = map->store,
                                           .position = *position,
                                           .next_sequence = next_sequence,
                                           .totals = map->totals};
    (void)pthread_mutex_unlock(&map->lock);
    return HF_OK;
}

enum hf_code log_map_save(struct log_map *map, struct hf_err *err)
{
    /* Nobody changes what is frozen, and only this thread thaws it. */
    struct log_batch batch = {.changes = map->frozen.changes,
                              .dead = map->frozen.dead,
                              .dead_count = map->frozen.dead_count,
                              .segments = map->frozen_segments,
                              .segment_count = map->frozen_segment_count,
                              .state = map->frozen_state};
    enum hf_code rc;

    if (batch.changes == NULL) return HF_OK;
    rc = log_index_save(map->index, &batch, err);
    if (rc != HF_OK) return rc;
    (void)pthread_mutex_lock(&map->lock);
    batch_done(&map->frozen);
    (void)pthread_mutex_unlock(&map->lock);
    return HF_OK;
}

enum hf_code log_map_dead(struct log_map *map, struct log_dead *out, size_t max,
                          size_t *count, struct hf_err *err)
{
    return log_index_dead(map->index, out, max, count, err);
}

size_t log_map_empty_segments(struct log_map *map, uint64_t *out, size_t max)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&map->lock);
    /* The last is never dropped: its number shows which ones were used.  One that
     * changed since the last batch waits for the next; in a damaged one there may be
     * more than is known. */
    for (size_t i = 0; i + 1 < map->segments.count && n < max; i++) {
        const struct log_segment *segment = &map->segments.rows[i];

        if (segment->live == 0 && !segment->changed && !segment->damaged &&
            segment->number < map->frozen_state.position.segment)
            out[n++] = segment->number;
    }
    (void)pthread_mutex_unlock(&map->lock);
    return n;
}

enum hf_code log_map_forget(struct log_map *map, const struct log_dead *dead,
                            size_t dead_count, const uint64_t *segments,
                            size_t segment_count, struct hf_err *err)
{
    enum hf_code rc =
        log_index_forget(map->index, dead, dead_count, segments, segment_count, err);

    if (rc != HF_OK) return rc;
    (void)pthread_mutex_lock(&map->lock);
    for (size_t i = 0; i < segment_count; i++)
        log_segments_remove(&map->segments, segments[i]);
    (void)pthread_mutex_unlock(&map->lock);
    return HF_OK;
}

enum hf_code log_map_seal(struct log_map *map, struct hf_err *err)
{
    return log_index_seal(map->index, err);
}

/* ---- for readers ---- */

enum hf_code log_map_state(struct log_map *map, struct log_state *state, struct hf_err *err)
{
    if (map->index == NULL) return hf_fail(err, HF_NOT_FOUND, "there is no index");
    return log_index_state(map->index, state, err);
}

enum hf_code log_map_clear(struct log_map *map, struct hf_err *err)
{
    struct log_changes *fresh = log_changes_new();

    if (fresh == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    (void)pthread_mutex_lock(&map->lock);
    log_changes_free(map->active.changes);
    map->active.changes = fresh;
    (void)pthread_mutex_unlock(&map->lock);
    return HF_OK;
}
