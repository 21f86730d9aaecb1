/* peers.h - for the files of the links alone: the members that this node has to do with,
 * the connections to them and to strangers, and what waits to be sent. */
#ifndef HOLDFAST_DAEMON_PEERS_H
#define HOLDFAST_DAEMON_PEERS_H

#include "daemon/link.h"
#include "daemon/links.h"
#include "daemon/log_limit.h"
#include "daemon/resolver.h"
#include "daemon/throttle.h"

#include <event2/listener.h>

enum conn_state {
    CONN_STRANGER, /* accepted; may say HELLO or JOIN_REQUEST */
    CONN_GUEST,    /* has asked to join, and been answered; may announce itself */
    CONN_OPENING,  /* ours; the other end's HELLO is awaited */
    CONN_UP,       /* the peer's link */
    CONN_RETIRED   /* the peer has a better one; read until until_ms */
};

struct conn {
    struct conn *next;
    struct links *links;
    struct link *link;
    enum conn_state state;
    bool ours;               /* opened by this node */
    struct peer *peer;       /* NULL: a stranger or guest */
    struct hf_id guest;      /* GUEST: its node id; zero: refused */
    uint64_t until_ms;       /* GUEST, RETIRED: closed then */
    uint64_t pinged_ms;      /* UP: when it was last asked */
    uint64_t used_ms;        /* UP: when the protocols of the ring last used it */
    bool dropped;            /* to be closed at the next turn */
    struct link_bytes moved; /* UP: its bulk, when it was last looked at */
    char why[176];           /* it is closed, when this end does it; else "" */
};

/* A frame that waits for a link. */
struct waiting {
    struct waiting *next;
    struct hf_buffer *payload;
    enum link_lane lane;
    size_t n;
    uint8_t header[];
};

struct peer {
    struct hf_id node;
    struct links *links;
    struct conn *up;      /* NULL: no link */
    struct conn *opening; /* NULL: none */
    bool resolving;
    bool readdressed;          /* new addresses have come while the old ones were tried */
    size_t attempt;            /* how many of its addresses have been tried in vain */
    char tried[ADDRESS_SIZE];  /* the last one */
    char worked[ADDRESS_SIZE]; /* the one that led to a link; "": none has */
    struct resolver_records records; /* of the one being tried */
    size_t record;                   /* how many of them were tried */
    struct resolver_record reached;  /* the one that led to a link */
    uint64_t retry_ms;               /* not before that */
    uint32_t wait_ms;                /* the last back-off; 0: none */
    struct waiting *first, **last;
    size_t waiting_bytes;
};

struct links {
    struct loop *loop;
    struct member_home *member;
    struct links_events events;
    struct hf_id self, fingerprint;
    SSL_CTX *server, *client;
    struct resolver *resolver;
    struct evconnlistener *listener;
    struct event *tick;
    struct conn *conns;  /* newest first */
    struct peer **peers; /* in ascending order of node id */
    size_t peer_count, peer_capacity;
    size_t strangers;
    size_t kept_max;
    bool paused, listener_rests;
    uint64_t ping;
    struct throttle throttle;
    struct log_limit lines; /* about strangers */
};

/* NULL: none yet. */
struct peer *peers_find(const struct links *links, const struct hf_id *node);
/* Makes it if need be.  NULL: no memory. */
struct peer *peers_get(struct links *links, const struct hf_id *node);
void peers_free(struct links *links);

/* Queues a frame until there is a link; false: too much waits. */
bool peer_wait(struct peer *peer, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload);
/* Sends what waits over the link that is up. */
void peer_flush(struct peer *peer);
void peer_forget_waiting(struct peer *peer);

/* Begins to connect, unless that is under way, or too early. */
void peer_connect(struct peer *peer);
/* The attempt under way has led to a link. */
void peer_reached(struct peer *peer);
/* It has failed: the next record of that name, the next address, or the next time. */
void peer_failed(struct peer *peer);

/* Takes over fd (or connects to address for `peer`).  NULL: not possible. */
struct conn *conn_new(struct links *links, int fd, const struct sockaddr *address, int size,
                      struct peer *peer);
/* Takes it out of all tables and closes it; tells nobody. */
void conn_free(struct conn *conn);
/* Sends an encoded frame to every kind of connection. */
void conn_send(struct conn *conn, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload);
/* Says who this node is. */
void conn_hello(struct conn *conn);
/* Ends it, with one line in the log where somebody should know; `down` is told when the
 * peer has no link any more. */
void conn_lost(struct conn *conn, const char *why);
/* Puts a link that is up aside, and says so. */
void conn_rest(struct conn *conn);
/* A frame of the other end; as in link_config. */
bool conn_frame(struct conn *conn, enum link_kind kind, const uint8_t *body, size_t n,
                struct hf_buffer *payload);

#endif
