/* admin.h - what a home's own programs may ask of the ring itself, as JSON
 * (docs/protocol.md, ADMIN).  Loop thread. */
#ifndef HOLDFAST_DAEMON_ADMIN_H
#define HOLDFAST_DAEMON_ADMIN_H

#include "base/err.h"

#include <jansson.h>

/* A local_admin_fn whose arg is a struct daemon:
 *     invite {expires_s, uses}  -> {code}
 *     peers  {}                 -> {peers: [...]}
 *     status {}                 -> {ring, members, up, ...}
 * HF_DENIED: an invitation, and this member is no steward; the message says who is.
 * HF_INVALID: no such verb or arguments. */
json_t *admin_answer(void *arg, const char *verb, const json_t *arguments,
                     struct hf_err *err);

#endif
