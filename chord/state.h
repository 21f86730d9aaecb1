/* state.h - what a chord_node is made of, for the files of chord/ alone.
 *
 * Data invariants, once a step has returned:
 *  1. successors[] is in strict clockwise order from self and never holds self.
 *  2. mode RING: successor_count >= 1.  ALONE: 0.
 *  3. query.kind != QUERY_NONE: the node is in the middle of an operation; its neighbours
 *     do not change and it answers GET_STATE with BUSY.  This makes each operation of
 *     Zave's model atomic: nobody can see the node between its question and the change.
 *  4. successors[0] is a peer that this node has heard from, or the next one of a list
 *     whose head just died. */
#ifndef HOLDFAST_CHORD_STATE_H
#define HOLDFAST_CHORD_STATE_H

#include "base/rtt.h"
#include "chord/node.h"
#include "chord/vivaldi.h"

#define CHORD_CONTACTS_MAX   16u /* peers through which to join (again) */
#define CHORD_SUSPECTS_MAX   32u /* peers that were silent just now */
#define CHORD_ALTERNATES_MAX 16u /* peers that a lookup may ask next */
#define CHORD_CLOSER_MAX     8u  /* closer peers named in one answer, of many wanted */
#define CHORD_OWN_MAX        64u /* known peers with which a lookup begins anew */
#define CHORD_CONTENT_MISSES 8u  /* after so many a lookup takes what it can get */
#define CHORD_CHECKS_MAX     8u  /* members that a lookup asks at once whether they live */
#define CHORD_TIMINGS        64u /* peers whose round trips are remembered */
#define CHORD_WITNESSES_MAX  4u  /* peers that this node looks for on behalf of others */
#define CHORD_PARDONS_MAX    3u  /* times that a witness can keep a silent peer alive */
#define CHORD_PATIENCE       5u  /* no try is shorter than a fifth of rpc_timeout_ms */

enum chord_query_kind {
    QUERY_NONE,
    QUERY_STABILISE,   /* state of successors[0] */
    QUERY_PREDECESSOR, /* state of `saved`, the successor's predecessor */
    QUERY_RECTIFY,     /* ping of the predecessor, as `rectifier` wants its place */
    QUERY_JOIN_STATE,  /* state of the predecessor-to-be */
    QUERY_JOIN_PING    /* ping of the successor-to-be */
};

/* The one question of ring maintenance that is out.  When nothing comes back, a witness is
 * asked before the peer counts as dead. */
struct chord_query {
    enum chord_query_kind kind;
    struct chord_peer to;
    uint64_t rpc;
    unsigned attempts;
    uint64_t sent_ms, deadline_ms; /* of this attempt */
    bool witnessed;                /* the witness has been asked */
    uint64_t witness_ms;           /* until then it may answer */
    struct chord_peer witness;
    unsigned pardons; /* times that a witness reached the peer after all */
};

/* A question that this node asks on behalf of another. */
struct chord_witness {
    bool busy;
    struct chord_peer asker, subject;
    uint64_t asker_rpc, rpc;
    unsigned attempts;
    uint64_t deadline_ms;
};

/* What is known of the round trips to a node. */
struct chord_timing {
    uint64_t key; /* the first bytes of its id; 0: free */
    struct hf_rtt rtt;
    uint32_t samples[3]; /* ms, the last three */
    unsigned count;
    uint64_t placed_ms; /* when it last counted for this node's coordinate */
    struct chord_coordinate coordinate; /* its own, then */
};

enum chord_purpose { PURPOSE_NONE, PURPOSE_USER, PURPOSE_FINGER, PURPOSE_JOIN };

/* One hop of a lookup: whom it asked.  An answer that is late counts all the same. */
struct chord_question {
    uint32_t mark;          /* the beginning of the position */
    uint32_t after_ms : 29; /* since the lookup started */
    bool answered : 1, confirm : 1, content : 1;
};

struct chord_lookup {
    enum chord_purpose purpose; /* PURPOSE_NONE: free */
    uint64_t tag;               /* PURPOSE_USER */
    unsigned finger;            /* PURPOSE_FINGER */
    struct hf_id key;
    uint32_t wanted;
    bool checking; /* found[] is being completed */
    bool confirm;  /* the peer asked is the one that the roster believes to have the key */
    bool content;  /* with fewer successors than wanted */
    struct chord_peer asked;
    struct chord_question questions[CHORD_HOPS_MAX];
    unsigned question_count;
    uint64_t rpc; /* of all of them; of those that are content with less, one more */
    uint64_t started_ms;
    uint64_t sent_ms, deadline_ms; /* of this attempt */
    uint64_t expires_ms;           /* of the lookup */
    unsigned misses, hops, timeouts, rejected;
    struct chord_peer alternates[CHORD_ALTERNATES_MAX]; /* closest to the key first */
    size_t alternate_count;
    /* With a roster: the answer, and its members that the answer skips (lookup_check.c). */
    struct chord_peer found[CHORD_MESSAGE_PEERS_MAX];
    size_t found_count;
    struct chord_peer skipped[CHORD_CHECKS_MAX];
    size_t skipped_count;
    uint32_t open, alive; /* bits of skipped[]: not heard from yet; members */
};

/* What has failed: a whole node, whatever its positions, or one position of it. */
enum chord_scope { CHORD_WHOLE_NODE, CHORD_ONE_POSITION };

struct chord_suspect {
    enum chord_scope scope;
    struct chord_peer peer;
    uint64_t until_ms;
};

struct chord_join {
    struct chord_peer contacts[CHORD_CONTACTS_MAX];
    bool refused[CHORD_CONTACTS_MAX]; /* alive, but not a member either */
    size_t contact_count, index;
    unsigned rounds;   /* times that all contacts were tried */
    bool was_member;   /* of the ring it wants to get back into */
    uint64_t retry_ms; /* next attempt; UINT64_MAX while one is under way */
    struct chord_peer predecessor;
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    size_t successor_count;
};

/* A question of which only the round trip matters (probe.h). */
struct chord_probe {
    bool open; /* it is out */
    struct chord_peer to;
    uint64_t rpc;
    uint64_t sent_ms, next_ms; /* next_ms: the next one; of one that is out, its end */
    struct chord_peer named[CHORD_SUCCESSORS_MAX]; /* members that an answer named */
    size_t named_count;
    uint64_t others_ms; /* when next to look for more of them */
};

struct chord_node {
    struct chord_peer self;
    struct chord_config config;
    enum chord_mode mode;
    uint64_t now_ms;
    uint64_t awake_ms; /* since then it is stepped without a gap */
    uint64_t generator;
    struct chord_statistics statistics;
    struct vivaldi vivaldi;
    struct chord_timing timings[CHORD_TIMINGS];
    struct chord_output *out; /* of the step under way */

    bool has_predecessor;
    struct chord_peer predecessor;
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    size_t successor_count;
    uint64_t neighbours_hash; /* as last reported by CHORD_NEIGHBOURS */
    uint64_t list_hash;       /* of the successor list, as last told the predecessor */

    struct chord_query query;
    struct chord_witness witnesses[CHORD_WITNESSES_MAX];
    struct chord_probe probe;
    struct chord_peer saved;
    bool saved_from_roster;
    bool has_notifier; /* queued notification */
    struct chord_peer notifier, rectifier;
    uint64_t stabilise_ms, finger_ms; /* when next */

    struct chord_join join;

    const struct chord_peer *roster; /* borrowed; ascending positions */
    size_t roster_count, roster_self;
    struct chord_suspect suspects[CHORD_SUSPECTS_MAX];
    unsigned suspect_next;

    struct chord_peer fingers[CHORD_FINGERS_MAX]; /* i: from self + 2^(208 + i) on */
    bool finger_known[CHORD_FINGERS_MAX];
    unsigned finger_next;

    struct chord_lookup *lookups; /* config.lookups of them, in the same allocation */
};

/* What is said of `failed` in this scope concerns `peer` too. */
static inline bool chord_concerns(enum chord_scope scope, const struct chord_peer *failed,
                                  const struct chord_peer *peer)
{
    return scope == CHORD_WHOLE_NODE ? hf_id_equal(&failed->node, &peer->node)
                                     : chord_peer_equal(failed, peer);
}

/* The next number of the node's generator (splitmix64). */
uint64_t chord_random(struct chord_node *node);
/* now + mean, jittered by half. */
uint64_t chord_after(struct chord_node *node, uint64_t mean_ms);
/* now + a twentieth of the stabilisation interval, jittered: after a change. */
uint64_t chord_soon(struct chord_node *node);

/* A message of `kind` from this node to `to`, queued in the output; the caller fills in
 * the fields of the kind. */
struct chord_message *chord_send(struct chord_node *node, const struct chord_peer *to,
                                 enum chord_message_kind kind, uint64_t rpc);
/* Queues an action; its fields but the kind are zero. */
struct chord_action *chord_act(struct chord_node *node, enum chord_action_kind kind);

#endif
