/* members.h - the roster as dht/ sees it, in ring order, and what is known of each
 * member's link and speed.  One owner. */
#ifndef HOLDFAST_DHT_MEMBERS_H
#define HOLDFAST_DHT_MEMBERS_H

#include "base/err.h"
#include "base/id.h"
#include "dht/pace.h"
#include "dht/rtt.h"

#include <stdbool.h>
#include <stddef.h>

/* A member as the roster tells it. */
struct dht_member {
    struct hf_id id;   /* node id */
    struct hf_id site; /* hash of its site's label; zero: a site of its own */
    bool evicted;      /* its certificate is revoked: no holder, no source of answers */
    bool missing;      /* for longer than the repair wait: gets nothing new */
    uint32_t positions; /* on the circle (chord/peer.h), 1..CHORD_POSITIONS_MAX; 0 is 1 */
};

enum dht_link { DHT_LINK_UNKNOWN, DHT_LINK_UP, DHT_LINK_DOWN };

/* Of requests, by what travels: little, a fragment from the peer, or one to it. */
enum dht_class { DHT_SMALL, DHT_INCOMING, DHT_OUTGOING, DHT_CLASS_COUNT };

struct dht_peer {
    struct dht_member member;
    enum dht_link link;
    struct hf_rtt rtt[DHT_CLASS_COUNT];
    struct dht_pace pace;  /* of its fragments */
    uint32_t away_ms;      /* its round trip as routing expects it; 0: not known */
    size_t incoming_bytes; /* asked of it */
    uint64_t fetched_ms;   /* when its last fragment came */
    uint64_t given_ms;     /* when a part of one last came, as far as it was told */
    uint64_t heard_ms;     /* when anything last came from it */
    bool doubted;          /* doubt.h */
};

struct dht_position {
    struct hf_id position;
    uint32_t peer; /* whose */
};

struct dht_members {
    struct dht_peer *peers; /* in ascending order of id */
    size_t count;
    struct dht_position *circle; /* all their positions, ascending */
    size_t circle_count;
};

/* Replaces the roster; links and speeds of those who stay are kept, duplicates dropped.
 * HF_TOO_LARGE above DHT_MEMBERS_MAX, HF_NO_MEMORY: nothing is changed. */
HF_MUST_CHECK enum hf_code dht_members_set(struct dht_members *members,
                                           const struct dht_member *roster, size_t count,
                                           struct hf_err *err);
void dht_members_done(struct dht_members *members);

/* NULL: not a member. */
struct dht_peer *dht_members_find(const struct dht_members *members,
                                  const struct hf_id *id);

/* What routing knows of their round trips: for members that were not asked anything yet.
 * Ids of others are left out. */
void dht_members_place(struct dht_members *members, const struct hf_id *ids,
                       const uint32_t *away_ms, size_t count);

/* Indices of the first `max` members that are not evicted, clockwise from key by their
 * positions, each once; returns how many there are. */
size_t dht_members_clockwise(const struct dht_members *members, const struct hf_id *key,
                             uint32_t *peers, size_t max);

/* The same by node id alone: an order that does not change with the space offered. */
size_t dht_members_by_id(const struct dht_members *members, const struct hf_id *key,
                         uint32_t *peers, size_t max);

#endif
