/* places.h - the positions of this node on the ring: a chord node for each (chord/node.h),
 * its clock, and what they say to one another.  For the router alone; loop thread only. */
#ifndef HOLDFAST_DAEMON_PLACES_H
#define HOLDFAST_DAEMON_PLACES_H

#include "chord/node.h"
#include "daemon/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct places; /* opaque */

struct places_config {
    struct hf_id self;
    struct loop *loop;   /* borrowed */
    uint32_t successors; /* r, of the ring */

    /* As in struct router_config. */
    void (*send)(void *arg, const struct hf_id *node, const uint8_t *body, size_t n);
    /* A lookup has ended in `by`: the action is CHORD_FOUND or CHORD_FAILED. */
    void (*ended)(void *arg, const struct chord_node *by,
                  const struct chord_action *action);
    void *arg;
};

/* With one position, alone in the ring.  NULL: no memory. */
struct places *places_new(const struct places_config *config);
void places_free(struct places *places); /* NULL is allowed */

/* Takes or leaves positions until there are `count`, 1..CHORD_POSITIONS_MAX.  Without
 * memory there are fewer: the others find the ring without them. */
void places_set(struct places *places, size_t count);
/* The ring's r is a greater one; a smaller one has no effect. */
void places_lengthen(struct places *places, uint32_t successors);

/* All of them, or the one whose own position most closely precedes event->key, take the
 * event; its now_ms is set here. */
void places_step(struct places *places, struct chord_event *event);
void places_step_nearest(struct places *places, struct chord_event *event);
/* A message of a member, for the position that it is addressed to. */
void places_receive(struct places *places, const struct hf_id *node,
                    const struct chord_message *message);

size_t places_count(const struct places *places);
const struct chord_node *places_node(const struct places *places, size_t index);
const char *places_mode(const struct places *places, size_t index); /* "ring", ... */

#endif
