/* parcel.h - a message on its way: encoded, or as it is but without room for peers that it
 * does not name.  One owner. */
#ifndef HOLDFAST_SIM_PARCEL_H
#define HOLDFAST_SIM_PARCEL_H

#include "chord/message.h"

struct parcel {
    uint32_t from; /* place */
    uint32_t size; /* of bytes[] */
    bool encoded;
    uint8_t bytes[];
};

/* NULL: no memory. */
struct parcel *parcel_new(const struct chord_message *message, size_t from, bool encoded);
/* False: the bytes do not parse. */
bool parcel_read(const struct parcel *parcel, struct chord_message *message);
/* Bytes that encoding takes. */
size_t parcel_encoded_size(const struct chord_message *message);
/* NULL is allowed. */
void parcel_free(struct parcel *parcel);

#endif
