#include "daemon/admission.h"

#include "base/clock.h"
#include "base/log.h"
#include "membership/link_frame.h"

#include <stdio.h>
#include <string.h>

#define ROSTER_PART ((size_t)1 << 20) /* the rest of a larger one comes by gossip */

static void refuse(struct join_reply *reply, enum hf_code code, const char *text)
{
    memset(reply, 0, sizeof *reply);
    reply->code = code;
    (void)snprintf(reply->text, sizeof reply->text, "%.*s", (int)sizeof reply->text - 1,
                   text);
}

static struct hf_buffer *encode_roster(const struct roster *roster)
{
    struct hf_buffer *bytes = hf_buffer_new(ROSTER_PART);
    size_t cursor = 0;

    if (bytes != NULL)
        (void)roster_encode(roster, 0, &cursor, bytes->b, ROSTER_PART, &bytes->size);
    return bytes;
}

struct hf_buffer *admission_answer(struct member_home *member, const char *address,
                                   const struct hf_public_key *key, const uint8_t *request,
                                   size_t n, struct log_limit *refusals,
                                   struct join_reply *reply)
{
    const struct roster_member *newcomer;
    struct hf_buffer *roster = NULL;
    struct steward steward;
    struct hf_err err;

    if (member_home_steward(member, &steward, &err) != HF_OK) {
        refuse(reply, err.code, "this machine is not a steward of the ring");
    } else {
        steward_admit(&steward, request, n, key, hf_clock_realtime_ns() / 1000000000,
                      reply);
        if (reply->code == HF_OK && member_home_save(member, &err) != HF_OK)
            refuse(reply, HF_IO, "the steward cannot write its roster");
    }
    if (reply->code == HF_OK) {
        roster = encode_roster(member->roster);
        if (roster == NULL) refuse(reply, HF_NO_MEMORY, "the steward has no memory");
    }
    newcomer = roster_find_key(member->roster, key);
    if (reply->code == HF_OK)
        hf_log(HF_LOG_INFO, "ring", "%s joins from %s",
               newcomer != NULL ? newcomer->certificate.name : "?", address);
    else if (log_limit_allows(refusals, "ring", hf_clock_monotonic_ms()))
        hf_log(HF_LOG_WARN, "ring", "%s may not join: %s", address, reply->text);
    return roster;
}
