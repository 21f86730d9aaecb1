/* local_client.h - requests to this home's daemon (local_protocol.h).
 *
 * Keeps a few connections open and makes more as threads need them.  Any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOCAL_CLIENT_H
#define HOLDFAST_BLOCKSTORE_LOCAL_CLIENT_H

#include "blockstore/local_protocol.h"

#include <stdbool.h>

struct local_client; /* opaque */

/* For the daemon whose run directory is `run_dir`; connects when first needed. */
HF_MUST_CHECK enum hf_code
local_client_new(const char *run_dir, struct local_client **client, struct hf_err *err);
void local_client_free(struct local_client *client); /* NULL is allowed */

/* Whether the user wants an end; asked a few times a second, from any thread that waits. */
struct local_cancel {
    bool (*asked)(void *arg); /* NULL: never */
    void *arg;
};

/* From now on a call that waits for the daemon ends with HF_CANCELLED when that is so; its
 * request may have been carried out.  Before the first call. */
void local_client_cancel_on(struct local_client *client, const struct local_cancel *cancel);

/* Where part `index` of the reply, of reply->sizes[index] bytes, is to be read to; NULL
 * gives the reply up (HF_CORRUPT).  Parts come in order; earlier ones are complete. */
typedef uint8_t *local_part_fn(void *arg, const struct local_reply *reply, size_t index);

struct local_call {
    struct local_request request; /* its sizes are set from `parts` */
    const uint8_t *const *parts;  /* request.part_count of them, borrowed */
    const size_t *sizes;
    local_part_fn *part; /* NULL: a reply with parts is HF_CORRUPT */
    void *arg;
};

/* Sends the request and reads the reply; returns the reply's code, with its message in
 * *err. HF_IO: no daemon is running here, or it went away (a request that may not have been
 * read is sent once more over a new connection). */
HF_MUST_CHECK enum hf_code local_client_call(struct local_client *client,
                                             struct local_call *call,
                                             struct local_reply *reply, struct hf_err *err);

/* ADMIN: JSON in and out; *answer is the caller's to free. */
HF_MUST_CHECK enum hf_code local_client_admin(struct local_client *client, const char *verb,
                                              const char *json, char **answer,
                                              struct hf_err *err);

#endif
