/* link.h - one TLS connection to another node, as frames (membership/link_frame.h).
 *
 * Knows nothing of members: who the other end is, and what it may say, is for links.h.
 * A frame's payload is read once, into the buffer that the receiver gets; what is sent is
 * referred to until it is written.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_LINK_H
#define HOLDFAST_DAEMON_LINK_H

#include "base/buffer.h"
#include "daemon/loop.h"
#include "daemon/outflow.h"
#include "membership/link_frame.h"
#include "membership/tls.h"

struct link; /* opaque */

#define LINK_ADDRESS_SIZE 64u /* "127.0.0.1:4774" */

struct link_config {
    struct loop *loop;  /* borrowed */
    SSL_CTX *context;   /* borrowed for link_new */
    enum tls_side side; /* of this end */
    /* An accepted socket, which the link takes over whether it can be made or not.  -1:
     * connects to address. */
    int fd;
    const struct sockaddr *address;
    int address_size;
    uint32_t patience_ms; /* for connection, handshake and all until link_settle; after
                             that for the next byte of a frame that has begun */

    /* Each may call link_free.  None is called from inside a function below. */
    void (*open)(void *arg); /* the handshake is done: link_key tells who */
    /* body and payload (may be NULL) are borrowed.  False: the link is of no more use, and
     * closed is called. */
    bool (*frame)(void *arg, enum link_kind kind, const uint8_t *body, size_t n,
                  struct hf_buffer *payload);
    /* So many bytes have come over the line since the last time.  Does not free it. */
    void (*received)(void *arg, uint64_t bytes);
    /* Once, and last: nothing is read or written any longer. */
    void (*closed)(void *arg, const char *why);
    void *arg;
};

/* NULL: no memory, or the socket cannot be used. */
struct link *link_new(const struct link_config *config);
/* Closes the connection.  NULL is allowed. */
void link_free(struct link *link);

/* The key that the other end has proved to hold.  False: not open. */
bool link_key(const struct link *link, struct hf_public_key *key);
/* Where the other end is, in digits; borrowed. */
const char *link_address(const struct link *link);

/* The other end is known now: from here on it may take its time between frames. */
void link_settle(struct link *link);

/* Queues a frame: n bytes of header (with its kind), and a payload, of which a reference
 * is taken; NULL: none.  Only on an open link.  Within a lane the order is kept. */
void link_send(struct link *link, enum link_lane lane, const uint8_t *header, size_t n,
               struct hf_buffer *payload);
/* Bytes queued and not yet given to the kernel. */
size_t link_queued(const struct link *link);

/* How a link keeps to a limit that is not its own; all zero: no limit. */
struct link_meter {
    size_t part;       /* bulk goes out in parts of so many bytes, only by link_push */
    size_t read;       /* no more is read at once */
    uint32_t slack_ms; /* for the other end's patience, and ours with it */
};

void link_meter(struct link *link, const struct link_meter *meter);
/* Lets the next part of bulk go out; the bytes it puts on the line.  0: there is none, or
 * the one before it is not gone. */
size_t link_push(struct link *link);
/* Bulk waits for link_push. */
bool link_has_bulk(const struct link *link);

/* Bytes on the line so far, TLS and all. */
struct link_bytes {
    uint64_t received, sent;
};
struct link_bytes link_bytes(const struct link *link);
/* Counts what came and went of bulk, to see whether it moves. */
struct link_bytes link_bulk_bytes(const struct link *link);

/* While paused, nothing is read, and no frame is given out. */
void link_pause(struct link *link, bool paused);
/* While held, nothing is read: for limits of the rate. */
void link_hold(struct link *link, bool held);

/* When (loop_now_ms) something last arrived, or room came for more of what waits. */
uint64_t link_active_ms(const struct link *link);

#endif
