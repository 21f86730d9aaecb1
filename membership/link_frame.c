#include "membership/link_frame.h"

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

bool link_header_get(const uint8_t *header, size_t n, enum link_kind *kind,
                     const uint8_t **body, size_t *body_size)
{
    struct hf_reader r = hf_reader_init(header, n);
    const uint64_t value = hf_get_uint(&r, LINK_PONG);

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
