/* log_replay.h - bringing the map up to the end of the log.
 *
 * The writer does it when it opens the log (from the position that the index covers;
 * from the beginning when there is no index), a reader whenever it misses something. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_REPLAY_H
#define HOLDFAST_BLOCKSTORE_LOG_REPLAY_H

#include "blockstore/log_map.h"

/* The numbers of the segments in a directory, ascending: *numbers is the caller's to
 * free.  HF_IO, HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code log_segments_list(int segments_fd, uint64_t **numbers,
                                             size_t *count, struct hf_err *err);

/* Makes one entry known to the map. */
HF_MUST_CHECK enum hf_code
log_replay_entry(struct log_map *map, const struct log_entry *entry, struct hf_err *err);

struct log_replay {
    struct hf_files *files; /* borrowed, as the next two */
    const struct log_identity *identity;
    struct log_map *map;
    int segments_fd;
    size_t save_rows; /* the map is saved whenever this many rows wait; 0: a reader */
    /* in and out */
    struct log_position position; /* where to begin; where a reader goes on next time */
    uint64_t next_sequence;
    /* out */
    uint64_t last_segment; /* the highest number in use, or in the index; 0: none */
    uint64_t last_size;    /* of it; 0 when its end is torn, so that nothing is appended */
    uint64_t entries;      /* replayed */
};

/* HF_OK also when entries were bad: they are skipped, with a warning where they had been
 * durable.  What a writer replayed is durable on return.  HF_CORRUPT: the index is damaged.
 * HF_IO, HF_NO_MEMORY, HF_NO_SPACE (saving the index). */
HF_MUST_CHECK enum hf_code log_replay_run(struct log_replay *replay, struct hf_err *err);

#endif
