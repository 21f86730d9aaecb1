/* queue.h - what is still to happen, in order of virtual time.
 *
 * A heap of four children a node over one array: 32 bytes for each event, no other
 * memory.  Events of one moment come out in the order in which they were put in.  One
 * owner. */
#ifndef HOLDFAST_SIM_QUEUE_H
#define HOLDFAST_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_event {
    uint64_t at_us;
    uint64_t sequence; /* the queue's */
    union {
        void *body; /* owned by whoever put the event in */
        uint64_t number;
    } what;
    uint32_t kind, place; /* the user's */
};

struct queue {
    struct queue_event *events;
    size_t count, capacity;
    uint64_t sequence;
};

/* All zero is an empty queue.  What the events own is not released. */
void queue_done(struct queue *queue);
/* False: no memory; nothing was put in. */
bool queue_push(struct queue *queue, const struct queue_event *event);
/* The next one, still in the queue; NULL: none. */
const struct queue_event *queue_first(const struct queue *queue);
/* Takes out the next one; there is one. */
struct queue_event queue_pop(struct queue *queue);

#endif
