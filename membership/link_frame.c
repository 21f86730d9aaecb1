#include "membership/link_frame.h"

#include <string.h>

#define IN_PARTS 0x80u /* in the first byte of the sizes */

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

void link_sizes_put(uint8_t out[static LINK_SIZES_SIZE], uint32_t header_size,
                    uint32_t payload_size)
{
    put_u32(out, header_size);
    put_u32(out + 4, payload_size);
}

bool link_sizes_get(const uint8_t in[static LINK_SIZES_SIZE], uint32_t *header_size,
                    uint32_t *payload_size)
{
    *header_size = get_u32(in);
    *payload_size = get_u32(in + 4);
    return *header_size >= 1 && *header_size <= LINK_HEADER_MAX &&
           *payload_size <= LINK_PAYLOAD_MAX;
}

void link_piece_put(uint8_t out[static LINK_SIZES_SIZE], enum link_piece piece,
                    uint32_t header_size, uint32_t payload_size)
{
    link_sizes_put(out, piece == LINK_PART ? 0 : header_size, payload_size);
    if (piece == LINK_FRAME_IN_PARTS) out[0] |= IN_PARTS;
}

bool link_piece_get(const uint8_t in[static LINK_SIZES_SIZE], enum link_piece *piece,
                    uint32_t *header_size, uint32_t *payload_size)
{
    uint8_t sizes[LINK_SIZES_SIZE];

    *header_size = get_u32(in);
    *payload_size = get_u32(in + 4);
    *piece = LINK_PART;
    if (*header_size == 0) return *payload_size >= 1 && *payload_size <= LINK_PART_MAX;
    *piece = (in[0] & IN_PARTS) != 0 ? LINK_FRAME_IN_PARTS : LINK_FRAME;
    memcpy(sizes, in, sizeof sizes);
    sizes[0] &= (uint8_t)~IN_PARTS;
    return link_sizes_get(sizes, header_size, payload_size) &&
           (*piece == LINK_FRAME || *payload_size >= 1);
}

bool link_header_get(const uint8_t *header, size_t n, enum link_kind *kind,
                     const uint8_t **body, size_t *body_size)
{
    struct hf_reader r = hf_reader_init(header, n);
    const uint64_t value = hf_get_uint(&r, LINK_REST);

    if (!hf_reader_ok(&r) || value < LINK_HELLO) return false;
    *kind = (enum link_kind)value;
    *body = r.pos;
    *body_size = hf_reader_left(&r);
    return true;
}

void link_header_put(struct hf_writer *w, enum link_kind kind)
{
    hf_put_uint(w, kind);
}
