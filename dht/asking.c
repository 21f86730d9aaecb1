#include "dht/asking.h"

#include "base/alloc.h"
#include "dht/doubt.h"

#include <stdlib.h>

/* To the link, or to the node's own inbox.  Lost when that is full. */
static void dispatch(struct dht_core *core, const struct hf_id *peer,
                     const struct dht_message *message)
{
    struct dht_action send = {.kind = DHT_ACTION_SEND, .peer = *peer, .message = *message};

    if (!hf_id_equal(peer, &core->self)) {
        dht_message_ref(&send.message);
        dht_actions_push(&core->actions, &send);
        return;
    }
    if (core->inbox_count == DHT_INBOX_MAX) return;
    dht_message_ref(&send.message);
    core->inbox[(core->inbox_first + core->inbox_count++) % DHT_INBOX_MAX] = send.message;
}

static enum dht_class class_of(enum dht_message_kind kind)
{
    if (kind == DHT_FETCH) return DHT_INCOMING;
    return kind == DHT_STORE ? DHT_OUTGOING : DHT_SMALL;
}

const struct hf_rtt *dht_asking_rtt(const struct dht_peer *member, enum dht_class class)
{
    static const struct hf_rtt unknown = {0};

    if (member == NULL) return &unknown;
    if (class == DHT_INCOMING && !member->rtt[class].known &&
        member->rtt[DHT_OUTGOING].known)
        return &member->rtt[DHT_OUTGOING];
    return &member->rtt[class];
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t dht_core_expected_ms(const struct dht_core *core, const struct dht_peer *peer,
                              size_t bytes)
{
    const struct hf_rtt *small = &peer->rtt[DHT_SMALL];
    const struct hf_rtt *latency = small->known ? small : &peer->rtt[DHT_INCOMING];

    return (latency->known ? dht_rtt_expected(latency) : peer->away_ms) +
           dht_pace_ms(&peer->pace, bytes + peer->incoming_bytes, core->now_ms);
}

bool dht_core_doubts(const struct dht_core *core, const struct hf_id *peer)
{
    const struct dht_peer *member = dht_members_find(&core->members, peer);

    return member != NULL && member->doubted;
}

/* Twice what is expected is late in any case; silence is later than that. */
static void set_deadlines(const struct dht_core *core, const struct dht_peer *member,
                          struct dht_request *request)
{
    const struct hf_rtt *rtt = dht_asking_rtt(member, request->class);
    uint64_t late_ms = dht_rtt_late_ms(rtt);
    uint64_t silent_ms = dht_rtt_silent_ms(rtt);

    if (member != NULL && request->class == DHT_INCOMING)
        late_ms = later(late_ms, 2 * dht_core_expected_ms(core, member, 0));
    /* Time to see that some of it comes, when nobody knows how long all of it takes. */
    if (member != NULL && request->class == DHT_INCOMING &&
        !dht_pace_known(&member->pace, core->now_ms))
        late_ms = later(late_ms, DHT_DOUBT_MS);
    if (late_ms > DHT_RTO_MAX_MS) late_ms = DHT_RTO_MAX_MS;
    if (request->class != DHT_SMALL) silent_ms = later(silent_ms, 2 * late_ms);
    if (request->resort && request->class != DHT_OUTGOING &&
        request->slot != DHT_PROBE_SLOT)
        silent_ms = DHT_DOUBT_MS;
    request->sent_ms = core->now_ms;
    request->silent_ms = core->now_ms + silent_ms;
    request->late_ms = core->now_ms + (late_ms < silent_ms ? late_ms : silent_ms);
}

static void launch(struct dht_core *core, struct dht_request *request,
                   const struct dht_message *message)
{
    struct dht_message sent = *message;

    set_deadlines(core, dht_members_find(&core->members, &request->peer), request);
    sent.request = request->id;
    dispatch(core, &request->peer, &sent);
}

/* Until there is room in the budget.  False: no memory. */
static bool wait_for_room(struct dht_core *core, struct dht_request *request,
                          const struct dht_message *message)
{
    request->waiting = hf_alloc_array(1, sizeof *request->waiting);
    if (request->waiting == NULL) return false;
    *request->waiting = *message;
    dht_message_ref(request->waiting);
    request->late_ms = request->silent_ms = UINT64_MAX;
    core->waiting_count++;
    return true;
}

void dht_asking_drop(struct dht_core *core, struct dht_request *request)
{
    struct dht_peer *member = dht_members_find(&core->members, &request->peer);

    if (request->waiting != NULL) {
        dht_message_done(request->waiting);
        free(request->waiting);
        request->waiting = NULL;
        core->waiting_count--;
    } else {
        dht_budget_give(&core->budget, request->bytes);
    }
    /* A peer that was no member for a while has forgotten what it was asked. */
    if (member != NULL && request->class == DHT_INCOMING)
        member->incoming_bytes -= request->bytes < member->incoming_bytes
                                      ? request->bytes
                                      : member->incoming_bytes;
    dht_requests_remove(&core->requests, request);
}

bool dht_core_transfer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                       const struct hf_id *peer, const struct dht_message *message,
                       size_t bytes)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);
    struct dht_request *request;

    if (member != NULL && member->link == DHT_LINK_DOWN) return false;
    if (hf_id_equal(peer, &core->self)) bytes = 0; /* no line is used */
    request = dht_requests_add(&core->requests);
    if (request == NULL) return false;
    request->op = op;
    request->slot = slot;
    request->peer = *peer;
    request->class = class_of(message->kind);
    request->answer = (enum dht_message_kind)(message->kind + 1);
    request->resort = member != NULL && member->doubted;
    request->bytes = bytes;
    if (bytes > 0 && (core->waiting_count > 0 || !dht_budget_take(&core->budget, bytes))) {
        if (!wait_for_room(core, request, message)) {
            dht_requests_remove(&core->requests, request);
            return false;
        }
    }
    /* What it is asked now is a part of what it is asked. */
    if (member != NULL && request->class == DHT_INCOMING) member->incoming_bytes += bytes;
    if (request->waiting == NULL) launch(core, request, message);
    return true;
}

bool dht_core_request(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct hf_id *peer, const struct dht_message *message)
{
    return dht_core_transfer(core, op, slot, peer, message, 0);
}

void dht_asking_forget(struct dht_core *core, const struct dht_op *op)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id == 0 || request->op != op) continue;
        if (request->answer == 0 || request->waiting != NULL ||
            hf_id_equal(&request->peer, &core->self))
            dht_asking_drop(core, request);
        else
            request->op = NULL;
    }
}

/* ---- what comes back ---- */

/* How long the line was busy with it: from when the fragment before it had come. */
static uint64_t busy_ms(const struct dht_core *core, const struct dht_peer *member,
                        const struct dht_request *asked)
{
    const struct hf_rtt *latency = &member->rtt[DHT_SMALL];
    uint64_t ms = core->now_ms - later(asked->sent_ms, member->fetched_ms);

    if (asked->sent_ms < member->fetched_ms || !latency->known) return ms;
    return ms > dht_rtt_expected(latency) ? ms - dht_rtt_expected(latency) : 0;
}

void dht_asking_learn(struct dht_core *core, struct dht_peer *member,
                      const struct dht_request *asked, const struct dht_message *answer)
{
    const uint64_t ms = core->now_ms - asked->sent_ms;

    hf_rtt_add(&member->rtt[asked->class], ms);
    if (asked->bytes == 0 || answer->code != HF_OK) return;
    dht_budget_learn(&core->budget, asked->bytes, ms, core->waiting_count > 0,
                     core->now_ms);
    if (answer->payload == NULL) return;
    dht_pace_add(&member->pace, answer->payload->size, busy_ms(core, member, asked),
                 core->now_ms);
    member->fetched_ms = core->fetched_ms = core->now_ms;
}

/* ---- what waits ---- */

/* NULL: none waits. */
static struct dht_request *first_waiting(struct dht_core *core)
{
    struct dht_request *first = NULL;

    for (size_t i = 0; i < core->requests.top && core->waiting_count > 0; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id != 0 && request->waiting != NULL &&
            (first == NULL || request->id < first->id))
            first = request;
    }
    return first;
}

void dht_asking_send_waiting(struct dht_core *core)
{
    struct dht_request *request;

    while ((request = first_waiting(core)) != NULL) {
        struct dht_message message = *request->waiting;

        if (request->class == DHT_INCOMING && !request->resort &&
            dht_core_doubts(core, &request->peer)) {
            dht_core_give_up(core, request);
            continue;
        }
        if (!dht_budget_take(&core->budget, request->bytes)) return;
        free(request->waiting);
        request->waiting = NULL;
        core->waiting_count--;
        launch(core, request, &message);
        dht_message_done(&message);
    }
}

void dht_core_answer(struct dht_core *core, const struct hf_id *peer,
                     const struct dht_message *message)
{
    dispatch(core, peer, message);
}
