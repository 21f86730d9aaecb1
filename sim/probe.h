/* probe.h - lookups that try whether a ring answers, and answers rightly.  One owner. */
#ifndef HOLDFAST_SIM_PROBE_H
#define HOLDFAST_SIM_PROBE_H

#include "sim/world.h"

struct probe {
    uint64_t user; /* what its lookups are told apart by */
    uint64_t started, ended, failed, wrong;
};

/* The node at `asker` looks up a key drawn from `draw`. */
void probe_ask(struct probe *probe, struct world *world, size_t asker, struct draw *draw);
/* Every live node asks. */
void probe_all(struct probe *probe, struct world *world, struct draw *draw);
/* For world_client.on_answer: right is an answer whose first live peer owns the key. */
void probe_note(struct probe *probe, const struct world *world,
                const struct world_answer *answer);

#endif
