#include "daemon/outflow.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define TLS_COST 32u /* bytes of a record beside what is in it */

/* A frame of bulk on its way out. */
struct bulk {
    struct bulk *next;
    struct hf_buffer *payload;
    size_t at; /* so much of the payload is out */
    size_t n;
    bool begun; /* its header is out */
    uint8_t header[];
};

void outflow_init(struct outflow *outflow, struct evbuffer *output)
{
    *outflow = (struct outflow){.output = output};
    outflow->last = &outflow->first;
}

void outflow_done(struct outflow *outflow)
{
    while (outflow->first != NULL) {
        struct bulk *bulk = outflow->first;

        outflow->first = bulk->next;
        hf_buffer_unref(bulk->payload);
        free(bulk);
    }
}

static void release(const void *bytes, size_t n, void *arg)
{
    (void)bytes;
    (void)n;
    hf_buffer_unref(arg);
}

/* A stream with a hole in it serves nobody: without memory the process ends. */
static void put(struct outflow *outflow, const void *bytes, size_t n)
{
    if (evbuffer_add(outflow->output, bytes, n) != 0) abort();
}

static void put_sizes(struct outflow *outflow, enum link_piece piece, size_t header_size,
                      size_t payload_size)
{
    uint8_t sizes[LINK_SIZES_SIZE];

    link_piece_put(sizes, piece, (uint32_t)header_size, (uint32_t)payload_size);
    put(outflow, sizes, sizeof sizes);
}

/* A slice is written as a whole or not yet. */
static void put_slice(struct outflow *outflow, struct hf_buffer *payload, size_t at,
                      size_t n)
{
    (void)hf_buffer_ref(payload);
    if (evbuffer_add_reference(outflow->output, payload->b + at, n, release, payload) != 0)
        abort();
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t outflow_part(struct outflow *outflow, size_t part_max)
{
    struct bulk *bulk = outflow->first;
    const size_t size = bulk->payload->size;
    const size_t most = part_max > 0 && part_max < LINK_PART_MAX ? part_max : LINK_PART_MAX;
    const size_t n = lesser(size - bulk->at, most);
    size_t cost = LINK_SIZES_SIZE + n + 2 * TLS_COST;

    if (!bulk->begun) {
        put_sizes(outflow, LINK_FRAME_IN_PARTS, bulk->n, size);
        put(outflow, bulk->header, bulk->n);
        bulk->begun = true;
        cost += LINK_SIZES_SIZE + bulk->n;
    }
    put_sizes(outflow, LINK_PART, 0, n);
    put_slice(outflow, bulk->payload, bulk->at, n);
    bulk->at += n;
    outflow->bulk_bytes -= n;
    outflow->part_bytes += n;
    if (bulk->at < size) return cost;
    outflow->first = bulk->next;
    if (outflow->first == NULL) outflow->last = &outflow->first;
    hf_buffer_unref(bulk->payload);
    free(bulk);
    return cost;
}

static void add_bulk(struct outflow *outflow, const uint8_t *header, size_t n,
                     struct hf_buffer *payload)
{
    struct bulk *bulk = malloc(sizeof *bulk + n);

    if (bulk == NULL) return; /* lost: the protocols have timeouts */
    *bulk = (struct bulk){.payload = hf_buffer_ref(payload), .n = n};
    memcpy(bulk->header, header, n);
    *outflow->last = bulk;
    outflow->last = &bulk->next;
    outflow->bulk_bytes += payload->size;
}

void outflow_send(struct outflow *outflow, enum link_lane lane, const uint8_t *header,
                  size_t n, struct hf_buffer *payload)
{
    const size_t size = payload != NULL ? payload->size : 0;

    if (lane == LINK_BULK && size > 0) {
        add_bulk(outflow, header, n, payload);
        return;
    }
    put_sizes(outflow, LINK_FRAME, n, size);
    put(outflow, header, n);
    for (size_t at = 0; at < size; at += LINK_PART_MAX)
        put_slice(outflow, payload, at, lesser(size - at, LINK_PART_MAX));
}

size_t outflow_queued(const struct outflow *outflow)
{
    return evbuffer_get_length(outflow->output) + outflow->bulk_bytes;
}
