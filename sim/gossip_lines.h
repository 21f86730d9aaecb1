/* gossip_lines.h - what is under way between the nodes of a gossip_world: messages, and
 * news of links that are made or break.  For sim/gossip_*.c. */
#ifndef HOLDFAST_SIM_GOSSIP_LINES_H
#define HOLDFAST_SIM_GOSSIP_LINES_H

#include "sim/gossip_world.h"

enum gossip_event {
    GOSSIP_EVENT_DIGEST,
    GOSSIP_EVENT_BUNDLE,
    GOSSIP_EVENT_LINK,   /* made between .place and number: both ends learn of it now */
    GOSSIP_EVENT_BROKEN, /* .place learns that its link to number broke */
    GOSSIP_EVENT_MISSED, /* .place could not reach number */
    GOSSIP_EVENT_ROUND,
    GOSSIP_EVENT_PASS_ON
};

struct gossip_message {
    size_t from;
    uint64_t depth, count_number;
    struct hf_id digest;
    struct gossip_bundle bundle;
};

/* There is no memory: the world stands still from now on. */
void gossip_lines_fail(struct gossip_world *world);

/* ---- the queue ---- */

void gossip_lines_push(struct gossip_world *world, uint64_t delay_us,
                       enum gossip_event kind, size_t at, size_t number);
/* The event has a struct gossip_message as its body. */
bool gossip_lines_is_message(const struct queue_event *event);
void gossip_lines_free(struct gossip_message *message); /* NULL is allowed */
/* Nothing is under way any more. */
void gossip_lines_clear(struct gossip_world *world);

/* ---- links ---- */

bool gossip_lines_is_linked(const struct gossip_world *world, size_t a, size_t b);
/* Makes the link, or unmakes it, without a word to either. */
void gossip_lines_flip(struct gossip_world *world, size_t a, size_t b);
/* Unmakes it where it is, and both ends will hear of that. */
void gossip_lines_break(struct gossip_world *world, size_t a, size_t b);
/* Both are there, on one side. */
bool gossip_lines_may_link(const struct gossip_world *world, size_t a, size_t b);
/* `from` will have a link to the other, or hear that it cannot. */
void gossip_lines_connect(struct gossip_world *world, size_t from, size_t to);

/* ---- messages ---- */

void gossip_lines_send_digest(struct gossip_world *world, size_t from, size_t to);
/* What `from` took after revision `since`. */
void gossip_lines_send_bundle(struct gossip_world *world, size_t from, size_t to,
                              uint64_t since);

#endif
