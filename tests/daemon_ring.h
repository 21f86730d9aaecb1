/* daemon_ring.h - several keepers, each with a store of its own on disk, joined by links in
 * memory, and the local server of the first: all on one loop, in a thread of its own. */
#ifndef HOLDFAST_TESTS_DAEMON_RING_H
#define HOLDFAST_TESTS_DAEMON_RING_H

#include "daemon/keeper.h"
#include "daemon/local_server.h"

#include <pthread.h>

#define RING_NODES_MAX 8u

struct ring_frame; /* on its way */

struct ring_node {
    struct daemon_ring *ring;
    struct hf_id id;
    char dir[256];
    struct segment_log *log;
    struct keeper *keeper;
    bool dead; /* says nothing any more, and the others know */
    bool mute; /* says nothing any more, and nobody knows */
    size_t busy_changes;
};

struct daemon_ring {
    char *dir;
    char run_dir[256]; /* of node 0: the socket is in it */
    char socket_path[300];
    struct loop *loop;
    struct ring_node nodes[RING_NODES_MAX];
    struct dht_member members[RING_NODES_MAX];
    size_t count;
    struct local_server *server;
    json_t *(*admin)(void *arg, const char *verb, const json_t *arguments,
                     struct hf_err *err);
    struct ring_frame *frames; /* loop thread */
    pthread_t thread;
    bool running;
};

struct ring_options {
    size_t count;
    uint64_t space_max; /* of each but the first; 0: none */
    uint32_t stall_ms;
};

struct daemon_ring *daemon_ring_new(const struct ring_options *options);
void daemon_ring_free(struct daemon_ring *ring);

/* Runs fn(ring, arg) on the loop thread and returns when it has. */
typedef void ring_fn(struct daemon_ring *ring, void *arg);
void daemon_ring_call(struct daemon_ring *ring, ring_fn *fn, void *arg);

void daemon_ring_kill(struct daemon_ring *ring, size_t node);
void daemon_ring_revive(struct daemon_ring *ring, size_t node);
void daemon_ring_mute(struct daemon_ring *ring, size_t node);

/* Stops the loop thread (what is under way stays so) for a test that ends things by hand.
 */
void daemon_ring_stop(struct daemon_ring *ring);

#endif
