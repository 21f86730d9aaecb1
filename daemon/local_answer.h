/* local_answer.h - what a local program is told: codes, and words with a remedy.
 *
 * One owner. */
#ifndef HOLDFAST_DAEMON_LOCAL_ANSWER_H
#define HOLDFAST_DAEMON_LOCAL_ANSWER_H

#include "base/buffer.h"
#include "blockstore/local_protocol.h"
#include "dht/action.h"

struct local_answer {
    struct local_reply reply;
    struct {
        const uint8_t *b;        /* of reply.sizes[i] bytes, in owner */
        struct hf_buffer *owner; /* a reference */
    } parts[LOCAL_PARTS_MAX];
};

/* Fills *answer to a request of `kind` from the end of its operation. */
void local_answer_init(struct local_answer *answer, enum local_kind kind,
                       const struct dht_action *done);
/* From an error alone, or HF_OK with nothing to tell. */
void local_answer_plain(struct local_answer *answer, enum hf_code code,
                        const char *message);
/* Drops its references. */
void local_answer_done(struct local_answer *answer);

/* Adds n bytes at b of `owner`, of which a reference is taken, as the next part. */
void local_answer_add(struct local_answer *answer, struct hf_buffer *owner,
                      const uint8_t *b, size_t n);

#endif
