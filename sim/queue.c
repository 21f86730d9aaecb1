#include "sim/queue.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define CHILDREN 4u /* half the levels of a binary heap, and siblings share cache lines */

void queue_done(struct queue *queue)
{
    free(queue->events);
    memset(queue, 0, sizeof *queue);
}

static bool before(const struct queue_event *a, const struct queue_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

bool queue_push(struct queue *queue, const struct queue_event *event)
{
    struct queue_event *events = queue->events;
    struct queue_event entry = *event;
    size_t i = queue->count;

    if (queue->count == queue->capacity) {
        events = hf_grow_array(events, &queue->capacity, queue->count + 1, sizeof *events);
        if (events == NULL) return false;
        queue->events = events;
    }
    entry.sequence = queue->sequence++;
    queue->count++;
    while (i > 0 && before(&entry, &events[(i - 1) / CHILDREN])) {
        events[i] = events[(i - 1) / CHILDREN];
        i = (i - 1) / CHILDREN;
    }
    events[i] = entry;
    return true;
}

const struct queue_event *queue_first(const struct queue *queue)
{
    return queue->count > 0 ? &queue->events[0] : NULL;
}

static size_t least_child(const struct queue *queue, size_t i)
{
    const size_t first = CHILDREN * i + 1;
    const size_t end = first + CHILDREN < queue->count ? first + CHILDREN : queue->count;
    size_t least = first;

    for (size_t child = first + 1; child < end; child++) {
        if (before(&queue->events[child], &queue->events[least])) least = child;
    }
    return least;
}

struct queue_event queue_pop(struct queue *queue)
{
    const struct queue_event first = queue->events[0];
    const struct queue_event last = queue->events[--queue->count];
    size_t i = 0;

    while (CHILDREN * i + 1 < queue->count) {
        const size_t child = least_child(queue, i);

        if (!before(&queue->events[child], &last)) break;
        queue->events[i] = queue->events[child];
        i = child;
    }
    queue->events[i] = last;
    return first;
}
