/* message.h - what the nodes of a ring say to one another (docs/formats.md, Chord
 * message).
 *
 *     asker                           asked
 *     GET_STATE  ------------------>         its predecessor and successor list:
 *                <------------------  STATE  (stabilise, join)
 *                <------------------  BUSY   it has a question of its own out: again later
 *     PING       ------------------>         alive and a member?
 *                <------------------  PONG
 *     NEXT_HOP   ------------------>         who is closer to .key, or has it?
 *                <------------------  NEXT
 *     (any)      ------------------>
 *                <------------------  REFUSED  alive, but not a member of the ring
 *     WITNESS    ------------------>         I cannot reach .subject: can you?
 *                <------------------  WITNESSED
 *     NOTIFY     ------------------>         I believe that I am your predecessor
 *     CHANGED    ------------------>         my successor list is another: look at it soon
 *     LEAVING    ------------------>         I stop now
 *
 * An answer carries the rpc number of its question.  Each peer comes with its coordinate,
 * as far as the sender knows it.  Pure; any thread. */
#ifndef HOLDFAST_CHORD_MESSAGE_H
#define HOLDFAST_CHORD_MESSAGE_H

#include "base/cbor.h"
#include "base/err.h"
#include "chord/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHORD_SUCCESSORS_MAX    16u /* r: entries in a successor list */
#define CHORD_MESSAGE_PEERS_MAX (CHORD_SUCCESSORS_MAX + 1u) /* a list and its owner */
#define CHORD_MESSAGE_MAX       2048u                       /* bytes, encoded */

enum chord_message_kind {
    CHORD_MESSAGE_GET_STATE = 1,
    CHORD_MESSAGE_STATE = 2,
    CHORD_MESSAGE_NOTIFY = 3,
    CHORD_MESSAGE_PING = 4,
    CHORD_MESSAGE_PONG = 5,
    CHORD_MESSAGE_BUSY = 6,
    CHORD_MESSAGE_REFUSED = 7,
    CHORD_MESSAGE_NEXT_HOP = 8,
    CHORD_MESSAGE_NEXT = 9,
    CHORD_MESSAGE_LEAVING = 10,
    CHORD_MESSAGE_WITNESS = 11,
    CHORD_MESSAGE_WITNESSED = 12,
    CHORD_MESSAGE_CHANGED = 13
};

/* Fields that a kind does not have are zero. */
struct chord_message {
    enum chord_message_kind kind;
    uint64_t rpc;           /* chosen by the asker; 0 in NOTIFY, CHANGED and LEAVING */
    struct chord_peer from; /* the sender; .node is what its link was authenticated as */
    struct hf_id to;        /* the position that is addressed */
    struct hf_id key;       /* NEXT_HOP */
    uint32_t wanted;        /* NEXT_HOP: successors of the key, 1..CHORD_SUCCESSORS_MAX */
    bool confirm;           /* NEXT_HOP: the asked is believed to have the key itself */
    bool done;  /* NEXT: peers are the key's successors; else peers closer to the key */
    bool alive; /* WITNESSED: the subject answered, as a member */
    struct chord_peer subject; /* WITNESS */
    bool has_predecessor;      /* STATE */
    struct chord_peer predecessor;
    struct chord_peer peers[CHORD_MESSAGE_PEERS_MAX]; /* STATE: successors; NEXT */
    size_t peer_count;
};

/* Writes `message`; CHORD_MESSAGE_MAX bytes are always enough. */
void chord_message_put(struct hf_writer *w, const struct chord_message *message);

/* Parses n bytes.  HF_CORRUPT: malformed, or a field that its kind must not have or lacks;
 * *message is then unspecified.  Positions and order are not judged here. */
HF_MUST_CHECK enum hf_code chord_message_parse(const void *bytes, size_t n,
                                               struct chord_message *message,
                                               struct hf_err *err);

#endif
