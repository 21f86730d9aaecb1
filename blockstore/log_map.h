/* log_map.h - from keys to places: the index on disk and the changes in memory over it.
 *
 * A change is made known with log_map_apply and is found from then on; it reaches the
 * disk with log_map_save, in one transaction with the position of the log up to which
 * everything is in it.  Between log_map_freeze, which fixes that batch, and the end of
 * log_map_save changes go on in a second list: nobody waits for the disk.
 *
 * Any thread, except where noted.  A map without an index (a reader that found none)
 * keeps everything in memory. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_MAP_H
#define HOLDFAST_BLOCKSTORE_LOG_MAP_H

#include "blockstore/log_index.h"

struct log_map; /* opaque */

/* Takes `index` (may be NULL for a reader), and what was read from it.  A writer also
 * keeps count of what is live where; a reader does not.  HF_NO_MEMORY leaves the
 * caller the index. */
HF_MUST_CHECK enum hf_code log_map_new(struct log_index *index, bool read_only,
                                       const struct log_state *state, struct log_map **map,
                                       struct hf_err *err);
/* Closes the index, too.  What was not saved is forgotten.  NULL is allowed. */
void log_map_free(struct log_map *map);

/* Makes a durable entry known: `row` is its place; removed rows take the key away.
 * Rows of one key may come in any order: the highest sequence stays.  On failure (no
 * memory, a damaged index) nothing has changed. */
HF_MUST_CHECK enum hf_code log_map_apply(struct log_map *map, const struct log_key *key,
                                         const struct log_row *row, struct hf_err *err);

/* HF_NOT_FOUND; HF_CORRUPT: the index is damaged. */
HF_MUST_CHECK enum hf_code log_map_find(struct log_map *map, const struct log_key *key,
                                        struct log_row *row, struct hf_err *err);

/* As log_index_list, over all that is known; page->from and page->after are moved on, so
 * that the next call goes on.  page->more without a row is possible. */
HF_MUST_CHECK enum hf_code log_map_list(struct log_map *map, struct log_page *page,
                                        struct hf_err *err);

struct log_map_figures {
    struct log_totals totals;
    size_t segments, damaged_segments;
};
void log_map_figures(struct log_map *map, struct log_map_figures *figures);

struct log_map_unsaved {
    size_t rows;    /* in memory, the batch being saved included */
    uint64_t bytes; /* payload of the entries that came with them */
};
struct log_map_unsaved log_map_unsaved(struct log_map *map);

/* A segment that exists (it enters the table); one with an unreadable stretch, whose
 * listing is incomplete from now on.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code log_map_segment(struct log_map *map, uint64_t number,
                                           bool damaged, struct hf_err *err);

/* Compares the table with the `count` segments that are there, sorted: a missing one in
 * which something was live counts as damaged, others leave the table.  Returns how many
 * are missing with live entries. */
size_t log_map_segments_present(struct log_map *map, const uint64_t *numbers, size_t count);

/* For the writer's checkpoints, one thread at a time.
 *
 * log_map_freeze fixes what the next save writes, all that the log holds before `position`.
 * Without effect while an earlier batch is not saved.  Nothing may be applied that
 * lies before the position afterwards.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code log_map_freeze(struct log_map *map,
                                          const struct log_position *position,
                                          uint64_t next_sequence, struct hf_err *err);
bool log_map_frozen(struct log_map *map);
/* Saves the frozen batch.  On failure it stays frozen, and may be saved later. */
HF_MUST_CHECK enum hf_code log_map_save(struct log_map *map, struct hf_err *err);

/* Dead entries that were saved; see log_index_dead. */
HF_MUST_CHECK enum hf_code log_map_dead(struct log_map *map, struct log_dead *out,
                                        size_t max, size_t *count, struct hf_err *err);
/* Segments in which nothing was live when the last batch was frozen, below the newest:
 * at most `max` to out; returns their number. */
size_t log_map_empty_segments(struct log_map *map, uint64_t *out, size_t max);
/* These dead entries were overwritten, these segments dropped. */
HF_MUST_CHECK enum hf_code log_map_forget(struct log_map *map, const struct log_dead *dead,
                                          size_t dead_count, const uint64_t *segments,
                                          size_t segment_count, struct hf_err *err);

/* When the checkpoint is over, as log_index_seal. */
HF_MUST_CHECK enum hf_code log_map_seal(struct log_map *map, struct hf_err *err);

/* For a reader: what the writer saved last; HF_NOT_FOUND without an index. */
HF_MUST_CHECK enum hf_code log_map_state(struct log_map *map, struct log_state *state,
                                         struct hf_err *err);
/* For a reader: forgets the changes in memory, which the index holds by now. */
HF_MUST_CHECK enum hf_code log_map_clear(struct log_map *map, struct hf_err *err);

#endif
