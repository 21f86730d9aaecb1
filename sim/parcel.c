#include "sim/parcel.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static size_t encode(const struct chord_message *message, uint8_t bytes[CHORD_MESSAGE_MAX])
{
    struct hf_writer w = hf_writer_init(bytes, CHORD_MESSAGE_MAX);

    chord_message_put(&w, message);
    return hf_writer_size(&w);
}

size_t parcel_encoded_size(const struct chord_message *message)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];

    return encode(message, bytes);
}

/* As it is: what stands before the peers and after them, then those that it names. */
#define HEAD offsetof(struct chord_message, peers)
#define TAIL (HEAD + sizeof(((struct chord_message *)NULL)->peers))

static size_t pack(const struct chord_message *message,
                   uint8_t bytes[sizeof(struct chord_message)])
{
    const size_t peers = message->peer_count * sizeof message->peers[0];
    const size_t ends = HEAD + sizeof *message - TAIL;

    memcpy(bytes, message, HEAD);
    memcpy(bytes + HEAD, (const uint8_t *)message + TAIL, sizeof *message - TAIL);
    memcpy(bytes + ends, message->peers, peers);
    return ends + peers;
}

static void unpack(const uint8_t *bytes, size_t size, struct chord_message *message)
{
    const size_t ends = HEAD + sizeof *message - TAIL;

    memset(message->peers, 0, sizeof message->peers);
    memcpy(message, bytes, HEAD);
    memcpy((uint8_t *)message + TAIL, bytes + HEAD, sizeof *message - TAIL);
    memcpy(message->peers, bytes + ends, size - ends);
}

struct parcel *parcel_new(const struct chord_message *message, size_t from, bool encoded)
{
    uint8_t
        buffer[CHORD_MESSAGE_MAX > sizeof *message ? CHORD_MESSAGE_MAX : sizeof *message];
    const size_t size = encoded ? encode(message, buffer) : pack(message, buffer);
    struct parcel *parcel = malloc(sizeof *parcel + size);

    if (parcel == NULL) return NULL;
    parcel->from = (uint32_t)from;
    parcel->size = (uint32_t)size;
    parcel->encoded = encoded;
    memcpy(parcel->bytes, buffer, size);
    return parcel;
}

bool parcel_read(const struct parcel *parcel, struct chord_message *message)
{
    struct hf_err err;

    if (parcel->encoded)
        return chord_message_parse(parcel->bytes, parcel->size, message, &err) == HF_OK;
    unpack(parcel->bytes, parcel->size, message);
    return true;
}

void parcel_free(struct parcel *parcel)
{
    free(parcel);
}
