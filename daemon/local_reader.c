#include "daemon/local_reader.h"

#include "base/record.h"
#include "blockstore/block_store.h"
#include "erasure/manifest.h"

#include <assert.h>
#include <string.h>

#define SIZE_BYTES 4u

void local_reader_init(struct local_reader *reader)
{
    reader->state = LOCAL_READER_SIZE;
    reader->wanted = SIZE_BYTES;
    reader->have = 0;
    reader->part_count = 0;
}

void local_reader_done(struct local_reader *reader)
{
    for (size_t i = 0; i < reader->part_count; i++)
        hf_buffer_unref(reader->parts[i]);
    reader->part_count = 0;
}

void local_reader_next(struct local_reader *reader)
{
    local_reader_done(reader);
    local_reader_init(reader);
}

bool local_reader_idle(const struct local_reader *reader)
{
    return reader->state == LOCAL_READER_SIZE && reader->have == 0;
}

size_t local_reader_parts_size(const struct local_reader *reader)
{
    size_t size = 0;

    for (size_t i = 0; i < reader->request.part_count; i++)
        size += reader->request.sizes[i];
    return size;
}

/* How many parts a request of this kind has, and how large they may be: the first, and
 * those behind it. */
struct shape {
    size_t parts_min, parts_max;
    uint32_t first_max, other_max;
};

static struct shape shape_of(enum local_kind kind)
{
    switch (kind) {
    case LOCAL_PUT:
        return (struct shape){2, 1 + CODE_FRAGMENTS_MAX, MANIFEST_SIZE_MAX,
                              CODE_BLOCK_SIZE_MAX};
    case LOCAL_HAVE: return (struct shape){1, 1, BLOCK_HAVE_MAX * HF_ID_SIZE, 0};
    case LOCAL_RECORD_PUT: return (struct shape){1, 1, HF_RECORD_MAX, 0};
    case LOCAL_ADMIN: return (struct shape){1, 1, LOCAL_ADMIN_MAX, 0};
    case LOCAL_INFO:
    case LOCAL_GET:
    case LOCAL_RECORDS_GET:
    case LOCAL_FLUSH: break;
    }
    return (struct shape){0, 0, 0, 0};
}

static enum hf_code check(const struct local_request *request, struct hf_err *err)
{
    struct shape shape = shape_of(request->kind);

    if (request->part_count < shape.parts_min || request->part_count > shape.parts_max)
        return hf_fail(err, HF_CORRUPT, "a request of kind %u with %zu parts",
                       (unsigned)request->kind, request->part_count);
    for (size_t i = 0; i < request->part_count; i++) {
        uint32_t size = request->sizes[i];

        if (size == 0 || size > (i == 0 ? shape.first_max : shape.other_max))
            return hf_fail(err, HF_CORRUPT, "a request of kind %u with a part of %u bytes",
                           (unsigned)request->kind, size);
    }
    if (request->kind == LOCAL_HAVE && request->sizes[0] % HF_ID_SIZE != 0)
        return hf_fail(err, HF_CORRUPT, "a list of ids of %u bytes", request->sizes[0]);
    return HF_OK;
}

enum hf_code local_reader_room(struct local_reader *reader, uint8_t **at, size_t *n,
                               struct hf_err *err)
{
    assert(reader->state != LOCAL_READER_WHOLE);
    if (reader->state == LOCAL_READER_PARTS) {
        if (reader->have == reader->wanted) { /* of the part before */
            size_t size = reader->request.sizes[reader->part_count];
            struct hf_buffer *part = hf_buffer_new(size);

            if (part == NULL)
                return hf_fail(err, HF_NO_MEMORY, "a part of %zu bytes", size);
            reader->parts[reader->part_count++] = part;
            reader->wanted = size;
            reader->have = 0;
        }
        *at = reader->parts[reader->part_count - 1]->b + reader->have;
    } else {
        *at = reader->bytes + reader->have;
    }
    *n = reader->wanted - reader->have;
    return HF_OK;
}

static enum hf_code took_size(struct local_reader *reader, struct hf_err *err)
{
    const uint8_t *b = reader->bytes;
    uint32_t size =
        (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];

    if (size == 0 || size > LOCAL_HEADER_MAX)
        return hf_fail(err, HF_CORRUPT, "a header of %u bytes", size);
    reader->state = LOCAL_READER_HEADER;
    reader->wanted = size;
    reader->have = 0;
    return HF_OK;
}

static enum hf_code took_header(struct local_reader *reader, struct hf_err *err)
{
    enum hf_code rc =
        local_request_parse(reader->bytes, reader->wanted, &reader->request, err);

    if (rc == HF_OK) rc = check(&reader->request, err);
    if (rc != HF_OK) return rc;
    reader->state =
        reader->request.part_count > 0 ? LOCAL_READER_PARTS : LOCAL_READER_WHOLE;
    reader->have = reader->wanted; /* the first part is still to be allocated */
    return HF_OK;
}

enum hf_code local_reader_took(struct local_reader *reader, size_t n, struct hf_err *err)
{
    assert(n <= reader->wanted - reader->have);
    reader->have += n;
    if (reader->have < reader->wanted) return HF_OK;
    switch (reader->state) {
    case LOCAL_READER_SIZE: return took_size(reader, err);
    case LOCAL_READER_HEADER: return took_header(reader, err);
    case LOCAL_READER_PARTS:
        if (reader->part_count == reader->request.part_count)
            reader->state = LOCAL_READER_WHOLE;
        return HF_OK;
    case LOCAL_READER_WHOLE: break;
    }
    return HF_OK;
}
