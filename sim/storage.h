/* storage.h - blocks on the hosts of a world: the production nodes of dht/ in virtual time.
 *
 * Owns each host's dht_node and its disk, the links that hosts believe broken, and what is
 * under way between them: through the world's network, by its queue and its clocks.  Where
 * a block goes, whom to ask, how long to wait and when to give up is dht's own business;
 * its lookups are made by the host's chord nodes.
 *
 * A host that crashes forgets all that it was doing, and keeps its disk.  A broken promise
 * and a lack of memory end the world's run (world_break).  One owner. */
#ifndef HOLDFAST_SIM_STORAGE_H
#define HOLDFAST_SIM_STORAGE_H

#include "dht/node.h"
#include "sim/disk.h"
#include "sim/world.h"

struct storage;
struct sample;

struct storage_options {
    uint64_t disk_us; /* that storing or loading a fragment takes */
    /* What jitter and lateness add to a message is divided by so much: the world's are made
     * for the period of its ring, dht/ waits in seconds.  At least 1. */
    uint64_t haste;
    bool distances; /* dht/ is told how far away routing believes each holder */
};

/* The scenario's side; must not start anything. */
struct storage_client {
    void *context;
    /* An operation of `host` ended; *done is released after the call.  Those of a host that
     * crashes do not end. */
    void (*on_done)(struct world *world, void *context, size_t host,
                    const struct dht_action *done);
};

/* Becomes the world's service; everybody is a member.  Release it after the world.  NULL:
 * no memory. */
struct storage *storage_new(struct world *world, const struct storage_options *options,
                            const struct storage_client *client);
void storage_free(struct storage *storage); /* NULL is allowed */

/* Start an operation of a live host. */
void storage_put(struct storage *storage, size_t host, const struct sample *sample,
                 uint64_t tag);
void storage_get(struct storage *storage, size_t host, const struct hf_id *vault,
                 const struct hf_id *block, uint64_t tag);
/* k and n of a block that the live host would write now. */
struct dht_redundancy storage_redundancy(struct storage *storage, size_t host);
/* For world_client.on_answer.  False: the lookup was not one of dht's. */
bool storage_answer(struct storage *storage, const struct world_answer *answer);

/* The disk of a host that is not live is lost; the host knows when it starts again. */
void storage_wipe(struct storage *storage, size_t host);
/* It is a member no more, and nobody asks it. */
void storage_evict(struct storage *storage, size_t host);

/* A fragment of the block is on the host's disk. */
bool storage_holds(const struct storage *storage, size_t host, const struct hf_id *block);
/* How many distinct fragments of the block are on the disks of live hosts. */
unsigned storage_within_reach(const struct storage *storage, const struct hf_id *block);
/* How many are or were on anybody's disk. */
unsigned storage_ever(const struct storage *storage, const struct hf_id *block);

#endif
