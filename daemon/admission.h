/* admission.h - a steward's daemon answers machines that want to join.  Loop thread. */
#ifndef HOLDFAST_DAEMON_ADMISSION_H
#define HOLDFAST_DAEMON_ADMISSION_H

#include "base/buffer.h"
#include "daemon/log_limit.h"
#include "membership/member_home.h"

/* Answers the JOIN_REQUEST of n bytes that came from `address` over a link whose other end
 * proved to hold `key`: fills *reply, and returns the roster that goes with it (the
 * caller's reference), or NULL.  What it promises is on disk.  One line in the log; those
 * of refusals are limited by *refusals. */
struct hf_buffer *admission_answer(struct member_home *member, const char *address,
                                   const struct hf_public_key *key, const uint8_t *request,
                                   size_t n, struct log_limit *refusals,
                                   struct join_reply *reply);

#endif
