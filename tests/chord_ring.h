/* chord_ring.h - a virtual network of chord nodes, and the judge of their ring.
 *
 * Virtual time, one seed, no other randomness.  Messages are encoded and parsed again on
 * their way, delayed, reordered, duplicated and lost; of messages of one class between
 * two nodes no two in a row are lost, which is what lets silence mean failure (Zave's
 * assumption of a perfect failure detector).  After every step the ring invariant is
 * judged; the first violation stops the run. */
#ifndef HOLDFAST_TESTS_CHORD_RING_H
#define HOLDFAST_TESTS_CHORD_RING_H

#include "base/hash.h"
#include "chord/node.h"

#define RING_NODES_MAX 64u

struct ring_options {
    uint64_t seed;
    uint32_t successors;
    uint64_t delay_max_ms; /* each message: 1..delay_max_ms */
    unsigned loss_percent, duplicate_percent;
};

struct ring_member {
    struct chord_peer peer;
    struct chord_node *node; /* NULL: not started */
    bool alive;
    bool frozen; /* suspended: nothing reaches it, it does nothing */
    uint64_t deadline_ms;
};

struct ring_lookup {
    unsigned ended; /* times that it was reported */
    bool found;
    struct chord_peer peers[CHORD_FOUND_MAX];
    size_t peer_count;
};

struct ring_packet; /* in chord_ring.c */

struct chord_ring {
    struct ring_options options;
    struct ring_member members[RING_NODES_MAX]; /* in ascending order of position */
    size_t member_count;
    uint64_t now_ms;
    uint64_t generator;
    struct ring_packet *packets; /* heap */
    size_t packet_count, packet_capacity;
    uint64_t sequence;
    bool lost_last[RING_NODES_MAX][RING_NODES_MAX][11];
    struct ring_lookup *lookups;
    size_t lookup_count, lookup_capacity;
    struct hf_sha256 trace;
    uint64_t steps, messages;
    unsigned named[RING_NODES_MAX + 1]; /* times that a member's answer was called wrong */
    bool check_principals;              /* set once r + 1 members have founded the ring */
    const char *violation;              /* NULL: none so far */
    struct chord_output out;
    /* Changes a message on its way, when set (a liar). */
    void (*tamper)(struct chord_ring *ring, size_t from, struct chord_message *message);
};

/* `count` nodes at positions drawn from the seed, none of them started. */
struct chord_ring *chord_ring_new(const struct ring_options *options, size_t count);
void chord_ring_free(struct chord_ring *ring);

uint64_t chord_ring_random(struct chord_ring *ring, uint64_t below);

/* Starts a node, alone. */
void chord_ring_start(struct chord_ring *ring, size_t index);
/* Starts r + 1 nodes with ideal lists, as Zave's proof begins. */
void chord_ring_found(struct chord_ring *ring, const size_t *indices, size_t count);
void chord_ring_join(struct chord_ring *ring, size_t index, size_t via);
/* Tells a node that is still joining of another contact. */
void chord_ring_contact(struct chord_ring *ring, size_t index, size_t via);
void chord_ring_kill(struct chord_ring *ring, size_t index);
void chord_ring_leave(struct chord_ring *ring, size_t index);
void chord_ring_unreachable(struct chord_ring *ring, size_t at, size_t index);
/* Says to all, at the same time, that r is `successors` now. */
void chord_ring_lengthen(struct chord_ring *ring, uint32_t successors);
void chord_ring_roster(struct chord_ring *ring, size_t index,
                       const struct chord_peer *peers, size_t count);
/* True when the invariant would survive the silence of `index`: what the proof asks of
 * the environment. */
bool chord_ring_may_fail(struct chord_ring *ring, size_t index);

/* Index into ring->lookups. */
size_t chord_ring_lookup(struct chord_ring *ring, size_t at, const struct hf_id *key,
                         uint32_t wanted);

/* Runs for so long, or to the first violation. */
void chord_ring_run(struct chord_ring *ring, uint64_t duration_ms);

/* Judges now; sets ring->violation. */
void chord_ring_check(struct chord_ring *ring);
/* All that live are members, with exactly the right predecessor and successor list. */
bool chord_ring_is_ideal(const struct chord_ring *ring);
/* The true k-th successor of key among those that live. */
size_t chord_ring_owner(const struct chord_ring *ring, const struct hf_id *key, size_t k);
struct chord_statistics chord_ring_statistics(const struct chord_ring *ring, size_t index);
size_t chord_ring_live(const struct chord_ring *ring);
/* A hash of all that was delivered, and when. */
void chord_ring_trace(const struct chord_ring *ring, struct hf_id *out);

#endif
