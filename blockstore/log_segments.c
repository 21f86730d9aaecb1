#include "blockstore/log_segments.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void log_segments_done(struct log_segments *segments)
{
    free(segments->rows);
    *segments = (struct log_segments){0};
}

/* Where `number` is or belongs.  Nearly always the end. */
static size_t place(const struct log_segments *segments, uint64_t number)
{
    size_t low = 0, high = segments->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (segments->rows[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct log_segment *log_segments_find(const struct log_segments *segments, uint64_t number)
{
    size_t i = place(segments, number);

    if (i == segments->count || segments->rows[i].number != number) return NULL;
    return &segments->rows[i];
}

struct log_segment *log_segments_add(struct log_segments *segments, uint64_t number)
{
    size_t i = place(segments, number);
    struct log_segment *rows;

    if (i < segments->count && segments->rows[i].number == number)
        return &segments->rows[i];
    rows = hf_grow_array(segments->rows, &segments->capacity, segments->count + 1,
                         sizeof *rows);
    if (rows == NULL) return NULL;
    segments->rows = rows;
    memmove(rows + i + 1, rows + i, (segments->count - i) * sizeof *rows);
    segments->count++;
    rows[i] = (struct log_segment){.number = number, .changed = true};
    return &rows[i];
}

void log_segments_remove(struct log_segments *segments, uint64_t number)
{
    size_t i = place(segments, number);

    if (i == segments->count || segments->rows[i].number != number) return;
    segments->count--;
    memmove(segments->rows + i, segments->rows + i + 1,
            (segments->count - i) * sizeof *segments->rows);
}
