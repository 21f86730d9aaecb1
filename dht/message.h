/* message.h - what two nodes say about fragments and records.
 *
 * A request and its answer carry the same request id, chosen by whoever asks:
 *
 *     STORE           fragment, manifest  ->  STORED          code
 *     FETCH           block               ->  FETCHED         fragment, manifest
 *     HAVE            block ids           ->  HAD             what is here of each
 *     RECORD_STORE    record              ->  RECORD_STORED   code, the higher record
 *     RECORDS_FETCH   vault               ->  RECORDS_FETCHED all records of the vault
 *
 * On the link (membership/link_frame.h): the header (CBOR, HF_TYPE_DHT_MESSAGE) and the
 * payload as it is; those of STORE and FETCHED in parts, so that other frames pass.
 * docs/formats.md, Messages between holders. */
#ifndef HOLDFAST_DHT_MESSAGE_H
#define HOLDFAST_DHT_MESSAGE_H

#include "base/buffer.h"
#include "base/cbor.h"
#include "base/err.h"
#include "dht/limits.h"

enum dht_message_kind {
    DHT_STORE = 1,
    DHT_STORED = 2,
    DHT_FETCH = 3,
    DHT_FETCHED = 4,
    DHT_HAVE = 5,
    DHT_HAD = 6,
    DHT_RECORD_STORE = 7,
    DHT_RECORD_STORED = 8,
    DHT_RECORDS_FETCH = 9,
    DHT_RECORDS_FETCHED = 10
};

/* Fields that a kind does not have are zero.  The two buffers are counted references. */
struct dht_message {
    enum dht_message_kind kind;
    uint64_t request;
    enum hf_code code; /* answers: HF_OK, HF_NOT_FOUND, HF_INCOMPLETE (the store does
                          not know), HF_EXISTS (a higher record), ... */
    struct hf_id vault, block;  /* FETCH, HAVE and RECORDS_FETCH: vault; FETCH: block */
    uint32_t generation;        /* FETCH: the one wanted; 0: the newest */
    uint32_t index;             /* STORE, FETCHED: of the fragment */
    struct hf_buffer *manifest; /* STORE, FETCHED: encoded and signed */
    struct hf_buffer *payload;  /* the fragment, the record, or a list (lists.h) */
};

/* True for answers. */
bool dht_message_is_answer(enum dht_message_kind kind);

/* Takes further references to the buffers / drops them and zeroes *message. */
void dht_message_ref(struct dht_message *message);
void dht_message_done(struct dht_message *message);

/* Writes the header; the payload travels as it is.  A writer with DHT_HEADER_MAX bytes
 * never fails for a message whose manifest is at most MANIFEST_SIZE_MAX. */
void dht_message_put(struct hf_writer *w, const struct dht_message *message);

/* Parses a header of n bytes that came with `payload` (NULL: none); on success *message
 * holds a reference to it and the caller releases it with dht_message_done.  HF_CORRUPT:
 * malformed, or the payload is not what the kind has; HF_NO_MEMORY.  On failure nothing
 * is held.  The content of manifest and payload is not looked at. */
HF_MUST_CHECK enum hf_code dht_message_parse(const void *header, size_t n,
                                             struct hf_buffer *payload,
                                             struct dht_message *message,
                                             struct hf_err *err);

#endif
