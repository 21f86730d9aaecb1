/* local_protocol.h - what a home's own programs and its daemon say over the Unix socket.
 *
 *     size of header   4 bytes, big-endian       1 .. LOCAL_HEADER_MAX
 *     header           CBOR: a request or a reply, with the sizes of its parts
 *     parts            raw bytes, one after another
 *
 * One request at a time on a connection; the daemon answers each once.  A program opens as
 * many connections as it wants requests at once.  The client codes and signs; the daemon
 * places and finds; it never sees a vault key.
 *
 *     INFO                          -> redundancy of a block written now, node id
 *     PUT      manifest, fragments  -> code
 *     GET      vault, block         -> manifest, fragments of which any k give the block
 *     HAVE     vault, ids           -> a byte for each id (LOCAL_HAVE_*)
 *     RECORD_PUT     record         -> code
 *     RECORDS_GET    vault          -> the records, one part each
 *     FLUSH    vault                -> code, blocks below their target
 *     ADMIN    verb, JSON           -> JSON */
#ifndef HOLDFAST_BLOCKSTORE_LOCAL_PROTOCOL_H
#define HOLDFAST_BLOCKSTORE_LOCAL_PROTOCOL_H

#include "base/cbor.h"
#include "base/err.h"
#include "base/id.h"

#include <stddef.h>
#include <stdint.h>

#define LOCAL_SOCKET       "holdfastd.sock" /* in the run directory */
#define LOCAL_HEADER_MAX   8192u
#define LOCAL_PARTS_MAX    256u      /* records of a vault; fragments are <= 32 */
#define LOCAL_PART_MAX     4259840u  /* bytes of one */
#define LOCAL_BYTES_MAX    67108864u /* of all parts together */
#define LOCAL_VERB_SIZE    32u
#define LOCAL_MESSAGE_SIZE 232u

enum local_kind {
    LOCAL_INFO = 1,
    LOCAL_PUT = 2, /* parts: the manifest, then the fragments in order of index */
    LOCAL_GET = 3, /* reply's parts: the manifest, then fragments; numbers: their indexes */
    LOCAL_HAVE = 4,        /* part: 32 bytes for each id; reply's part: a byte for each */
    LOCAL_RECORD_PUT = 5,  /* part: the record */
    LOCAL_RECORDS_GET = 6, /* reply's parts: the records */
    LOCAL_FLUSH = 7,       /* reply's numbers: blocks below their target */
    LOCAL_ADMIN = 8        /* part: JSON; reply's part: JSON */
};

enum local_have { LOCAL_HAVE_LOST = 0, LOCAL_HAVE_UNKNOWN = 1, LOCAL_HAVE_ENOUGH = 2 };

#define LOCAL_NUMBERS_MAX 32u

struct local_request {
    enum local_kind kind;
    struct hf_id vault;         /* GET, HAVE, RECORDS_GET, FLUSH; else zero */
    struct hf_id block;         /* GET */
    char verb[LOCAL_VERB_SIZE]; /* ADMIN */
    uint32_t sizes[LOCAL_PARTS_MAX];
    size_t part_count;
};

struct local_reply {
    enum hf_code code;
    char message[LOCAL_MESSAGE_SIZE]; /* when code is not HF_OK: why, and the remedy */
    /* INFO: k, n; GET: the index of each fragment; FLUSH: one count.  Else none. */
    uint64_t numbers[LOCAL_NUMBERS_MAX];
    size_t number_count;
    struct hf_id node; /* INFO */
    uint32_t sizes[LOCAL_PARTS_MAX];
    size_t part_count;
};

/* Write the header without its size; a writer of LOCAL_HEADER_MAX bytes suffices. */
void local_request_put(struct hf_writer *w, const struct local_request *request);
void local_reply_put(struct hf_writer *w, const struct local_reply *reply);

/* HF_CORRUPT: malformed, or parts beyond the limits. */
HF_MUST_CHECK enum hf_code local_request_parse(const void *bytes, size_t n,
                                               struct local_request *request,
                                               struct hf_err *err);
HF_MUST_CHECK enum hf_code local_reply_parse(const void *bytes, size_t n,
                                             struct local_reply *reply, struct hf_err *err);

#endif
