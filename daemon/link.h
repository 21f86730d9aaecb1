/* link.h - one TLS connection to another node, as frames (membership/link_frame.h).
 *
 * Knows nothing of members: who the other end is, and what it may say, is for links.h.
 * A frame's payload is read once, into the buffer that the receiver gets; what is sent is
 * referred to until it is written.  Loop thread only. */
#ifndef HOLDFAST_DAEMON_LINK_H
#define HOLDFAST_DAEMON_LINK_H

#include "base/buffer.h"
#include "daemon/loop.h"
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
 * is taken; NULL: none.  Only on an open link. */
void link_send(struct link *link, const uint8_t *header, size_t n,
               struct hf_buffer *payload);
/* Bytes queued and not yet given to the kernel. */
size_t link_queued(const struct link *link);

/* While paused, nothing is read. */
void link_pause(struct link *link, bool paused);

/* When (loop_now_ms) something last arrived, or room came for more of what waits. */
uint64_t link_active_ms(const struct link *link);

#endif
