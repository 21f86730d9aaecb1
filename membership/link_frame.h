/* link_frame.h - the frames on a link between two nodes.
 *
 *     size of header   4 bytes, big-endian      1 .. LINK_HEADER_MAX
 *     size of payload  4 bytes, big-endian      0 .. LINK_PAYLOAD_MAX
 *     header           kind (CBOR unsigned), then the structure of that kind (CBOR)
 *     payload          raw bytes
 *
 * A large payload may come in parts, between which other frames are sent, so that they do
 * not wait for it: then the highest bit of the header's size is set, nothing of the payload
 * follows the header, and it comes as
 *
 *     zero             4 bytes
 *     size of part     4 bytes, big-endian      1 .. LINK_PART_MAX
 *     part             the next bytes of the payload
 *
 * Of one payload at a time, after the first HELLO of each end.
 *
 * First on every link: the server's HELLO; then the client's HELLO, or its JOIN_REQUEST
 * when it is no member yet.  Pure; any thread. */
#ifndef HOLDFAST_MEMBERSHIP_LINK_FRAME_H
#define HOLDFAST_MEMBERSHIP_LINK_FRAME_H

#include "base/cbor.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_SIZES_SIZE  8u
#define LINK_HEADER_MAX  65536u   /* 64 KiB */
#define LINK_PAYLOAD_MAX 4259840u /* 4 MiB + 64 KiB */
#define LINK_PART_MAX    65536u

enum link_kind {
    LINK_HELLO = 1,         /* struct link_hello (join.h) */
    LINK_JOIN_REQUEST = 2,  /* struct join_request */
    LINK_JOIN_REPLY = 3,    /* struct join_reply; payload: the roster, or a part of it */
    LINK_ROSTER_DIGEST = 4, /* byte string of 32: the sender's roster_digest */
    LINK_ROSTER = 5,        /* null; payload: facts (roster_encode) */
    LINK_CHORD = 6,         /* chord message */
    LINK_DHT = 7,           /* DHT message; payload: as it says */
    LINK_PING = 8,          /* unsigned: any number */
    LINK_PONG = 9,          /* unsigned: the number of the ping */
    LINK_REST = 10          /* null: the sender is there, but keeps this link no longer */
};

void link_sizes_put(uint8_t out[static LINK_SIZES_SIZE], uint32_t header_size,
                    uint32_t payload_size);

/* False: a size is out of bounds, the link is to be closed. */
HF_MUST_CHECK bool link_sizes_get(const uint8_t in[static LINK_SIZES_SIZE],
                                  uint32_t *header_size, uint32_t *payload_size);

enum link_piece {
    LINK_FRAME,          /* a frame with its payload */
    LINK_FRAME_IN_PARTS, /* a frame without it: payload_size bytes come in parts */
    LINK_PART            /* payload_size bytes of that payload */
};

void link_piece_put(uint8_t out[static LINK_SIZES_SIZE], enum link_piece piece,
                    uint32_t header_size, uint32_t payload_size);
/* As link_sizes_get, for whoever takes parts too. */
HF_MUST_CHECK bool link_piece_get(const uint8_t in[static LINK_SIZES_SIZE],
                                  enum link_piece *piece, uint32_t *header_size,
                                  uint32_t *payload_size);

/* The kind at the start of a header, and where its structure begins in it.  False: it is
 * no kind known. */
HF_MUST_CHECK bool link_header_get(const uint8_t *header, size_t n, enum link_kind *kind,
                                   const uint8_t **body, size_t *body_size);

/* Begins a header: the structure of `kind` is to follow. */
void link_header_put(struct hf_writer *w, enum link_kind kind);

#endif
