/* local_reader.h - takes requests off the bytes of one local connection
 * (blockstore/local_protocol.h).
 *
 * Each part is read once, into a buffer of its own, and handed on as it is.  Pure: it says
 * where the next bytes go, the caller reads them there.  One owner. */
#ifndef HOLDFAST_DAEMON_LOCAL_READER_H
#define HOLDFAST_DAEMON_LOCAL_READER_H

#include "base/buffer.h"
#include "blockstore/local_protocol.h"

#include <stdbool.h>

#define LOCAL_ADMIN_MAX (64u * 1024u) /* bytes of the JSON of an ADMIN request */

enum local_reader_state {
    LOCAL_READER_SIZE,   /* wants the size of a header; nothing of the request is here yet,
                            or some of these four bytes */
    LOCAL_READER_HEADER, /* wants the header */
    LOCAL_READER_PARTS,  /* has the request; wants parts, which local_reader_room allocates
                          */
    LOCAL_READER_WHOLE   /* has all; local_reader_next goes on */
};

struct local_reader {
    enum local_reader_state state;
    uint8_t bytes[LOCAL_HEADER_MAX]; /* the size, then the header */
    size_t wanted, have;             /* of bytes, or of the part that is being read */
    struct local_request request;    /* from LOCAL_READER_PARTS on */
    size_t part_count;               /* allocated; the last of them may be incomplete */
    struct hf_buffer *parts[LOCAL_PARTS_MAX];
};

void local_reader_init(struct local_reader *reader);
/* Drops what it holds; init or next makes it usable again. */
void local_reader_done(struct local_reader *reader);
/* Forgets the request, which was whole, and begins the next. */
void local_reader_next(struct local_reader *reader);

/* True when nothing of a next request has arrived. */
bool local_reader_idle(const struct local_reader *reader);

/* Bytes of all parts of the request; after it was parsed. */
size_t local_reader_parts_size(const struct local_reader *reader);

/* Where the next bytes go, and how many at most (> 0).  Not when it is whole.
 * HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code local_reader_room(struct local_reader *reader, uint8_t **at,
                                             size_t *n, struct hf_err *err);
/* n bytes were read there.  HF_CORRUPT: they are no request within the limits of its kind;
 * the connection is of no more use.  After that state tells what has come of it. */
HF_MUST_CHECK enum hf_code local_reader_took(struct local_reader *reader, size_t n,
                                             struct hf_err *err);

#endif
