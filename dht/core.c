#include "dht/core.h"

#include "base/alloc.h"
#include "dht/doubt.h"

#include <stdlib.h>
#include <string.h>

bool dht_core_add(struct dht_core *core, struct dht_op *op)
{
    if (core->op_count == DHT_OPERATIONS_MAX) return false;
    core->ops[core->op_count++] = op;
    return true;
}

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

/* ---- requests ---- */

/* Before the first fetch, storing tells how long a fragment takes. */
static const struct dht_rtt *rtt_of(const struct dht_peer *member, enum dht_class class)
{
    static const struct dht_rtt unknown = {0};

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
    const struct dht_rtt *small = &peer->rtt[DHT_SMALL];
    const struct dht_rtt *latency = small->known ? small : &peer->rtt[DHT_INCOMING];

    return (latency->known ? dht_rtt_expected(latency) : 0) +
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
    const struct dht_rtt *rtt = rtt_of(member, request->class);
    uint64_t late_ms = dht_rtt_late_ms(rtt);
    uint64_t silent_ms = dht_rtt_silent_ms(rtt);

    if (member != NULL && request->class == DHT_INCOMING)
        late_ms = later(late_ms, 2 * dht_core_expected_ms(core, member, 0));
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

/* Ends a request, of whatever state. */
static void drop(struct dht_core *core, struct dht_request *request)
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
        if (wait_for_room(core, request, message)) goto out;
        dht_requests_remove(&core->requests, request);
        return false;
    }
    launch(core, request, message);
out:
    if (member != NULL && request->class == DHT_INCOMING) member->incoming_bytes += bytes;
    return true;
}

bool dht_core_request(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct hf_id *peer, const struct dht_message *message)
{
    return dht_core_transfer(core, op, slot, peer, message, 0);
}

/* What was sent to others goes on without it: the line is in use until it is answered, and
 * whether it is answered is worth to know. */
static void forget(struct dht_core *core, const struct dht_op *op)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id == 0 || request->op != op) continue;
        if (request->answer == 0 || request->waiting != NULL ||
            hf_id_equal(&request->peer, &core->self))
            drop(core, request);
        else
            request->op = NULL;
    }
}

void dht_core_finish(struct dht_core *core, struct dht_op *op, struct dht_action *done)
{
    forget(core, op);
    op->finished = true;
    if (done == NULL) return;
    done->kind = DHT_ACTION_DONE;
    done->tag = op->tag;
    dht_actions_push(&core->actions, done);
}

void dht_core_lookup(struct dht_core *core, struct dht_op *op, const struct hf_id *key,
                     uint32_t wanted)
{
    struct dht_action lookup = {.kind = DHT_ACTION_LOOKUP, .key = *key, .wanted = wanted};
    struct dht_request *request = dht_requests_add(&core->requests);

    if (request == NULL) { /* then by the roster */
        op->type->found(core, op, NULL, 0);
        return;
    }
    request->op = op;
    request->sent_ms = core->now_ms;
    request->late = true;
    request->silent_ms = core->now_ms + DHT_LOOKUP_MAX_MS;
    lookup.tag = request->id;
    dht_actions_push(&core->actions, &lookup);
}

void dht_core_answer(struct dht_core *core, const struct hf_id *peer,
                     const struct dht_message *message)
{
    dispatch(core, peer, message);
}

void dht_core_warn(struct dht_core *core, enum dht_warning warning,
                   const struct hf_id *peer, const struct hf_id *key)
{
    struct dht_action warn = {
        .kind = DHT_ACTION_WARN, .warning = warning, .peer = *peer, .key = *key};

    dht_actions_push(&core->actions, &warn);
}

/* How long the line was busy with it: from when the fragment before it had come. */
static uint64_t busy_ms(const struct dht_core *core, const struct dht_peer *member,
                        const struct dht_request *asked)
{
    const struct dht_rtt *latency = &member->rtt[DHT_SMALL];
    uint64_t ms = core->now_ms - later(asked->sent_ms, member->fetched_ms);

    if (asked->sent_ms < member->fetched_ms || !latency->known) return ms;
    return ms > dht_rtt_expected(latency) ? ms - dht_rtt_expected(latency) : 0;
}

static void learn(struct dht_core *core, struct dht_peer *member,
                  const struct dht_request *asked, const struct dht_message *answer)
{
    const uint64_t ms = core->now_ms - asked->sent_ms;

    dht_rtt_add(&member->rtt[asked->class], ms);
    if (asked->bytes == 0 || answer->code != HF_OK) return;
    dht_budget_learn(&core->budget, asked->bytes, ms, core->waiting_count > 0,
                     core->now_ms);
    if (answer->payload == NULL) return;
    dht_pace_add(&member->pace, answer->payload->size, busy_ms(core, member, asked),
                 core->now_ms);
    member->fetched_ms = core->now_ms;
}

void dht_core_answered(struct dht_core *core, const struct hf_id *from,
                       const struct dht_message *answer)
{
    struct dht_request *request = dht_requests_find(&core->requests, answer->request);
    struct dht_peer *member = dht_members_find(&core->members, from);
    struct dht_request asked;

    if (request == NULL || !hf_id_equal(&request->peer, from) ||
        request->answer != answer->kind)
        return;
    asked = *request;
    drop(core, request);
    if (member != NULL) {
        member->link = DHT_LINK_UP;
        learn(core, member, &asked, answer);
    }
    if (asked.op != NULL) asked.op->type->answer(core, asked.op, asked.slot, answer);
}

void dht_core_found(struct dht_core *core, uint64_t tag, const struct hf_id *ids,
                    size_t count)
{
    struct dht_request *request = dht_requests_find(&core->requests, tag);
    struct dht_op *op;

    if (request == NULL || request->answer != 0) return;
    op = request->op;
    drop(core, request);
    op->type->found(core, op, ids, count);
}

/* No answer to this request will come. */
static void give_up(struct dht_core *core, struct dht_request *request)
{
    struct dht_request asked = *request;
    struct dht_peer *member = dht_members_find(&core->members, &asked.peer);

    drop(core, request);
    if (asked.answer == 0) {
        asked.op->type->found(core, asked.op, NULL, 0);
        return;
    }
    if (member != NULL && member->link != DHT_LINK_DOWN && asked.waiting == NULL) {
        dht_rtt_back_off(&member->rtt[asked.class]);
        dht_doubt_unanswered(core, member, asked.sent_ms);
        if (asked.bytes > 0 && !member->doubted)
            dht_budget_learn(&core->budget, asked.bytes, core->now_ms - asked.sent_ms,
                             false, core->now_ms);
        if (asked.slot == DHT_PROBE_SLOT) dht_doubt_probe(core, member);
    }
    if (asked.op != NULL) asked.op->type->silent(core, asked.op, asked.slot);
}

/* ---- peers ---- */

void dht_core_heard(struct dht_core *core, const struct hf_id *peer)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);

    if (member == NULL) return;
    if (member->doubted) dht_doubt_over(core, member);
    member->heard_ms = core->now_ms;
}

void dht_core_moved(struct dht_core *core, const struct hf_id *peer, enum dht_class class)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);
    uint64_t silent_ms;

    if (member == NULL) return;
    if (class == DHT_INCOMING) dht_core_heard(core, peer);
    silent_ms = core->now_ms + dht_rtt_silent_ms(rtt_of(member, class));
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];
        const uint64_t last_ms = request->sent_ms + DHT_MOVING_MAX_MS;

        if (request->id == 0 || request->answer == 0 || request->class != class ||
            request->waiting != NULL || !hf_id_equal(&request->peer, peer))
            continue;
        request->silent_ms =
            later(request->silent_ms, silent_ms < last_ms ? silent_ms : last_ms);
    }
}

void dht_core_peer_up(struct dht_core *core, const struct hf_id *peer)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);

    if (member == NULL) return;
    member->link = DHT_LINK_UP;
    dht_core_heard(core, peer);
    for (size_t i = 0; i < core->op_count; i++) {
        struct dht_op *op = core->ops[i];

        if (!op->finished && op->type->peer_up != NULL) op->type->peer_up(core, op, peer);
    }
}

void dht_core_peer_down(struct dht_core *core, const struct hf_id *peer)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);

    if (member != NULL) {
        member->link = DHT_LINK_DOWN;
        member->doubted = false; /* it is certain */
    }
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id != 0 && request->answer != 0 && hf_id_equal(&request->peer, peer))
            give_up(core, request);
    }
}

/* ---- time ---- */

/* False: it is not to be called late yet. */
static bool judge_late(struct dht_core *core, struct dht_request *request)
{
    struct dht_peer *member = dht_members_find(&core->members, &request->peer);
    uint64_t since_ms;

    if (member == NULL || request->class == DHT_OUTGOING) return true;
    dht_doubt_unanswered(core, member, request->sent_ms);
    if (request->class != DHT_INCOMING || member->doubted) return true;
    if (!dht_pace_known(&member->pace, core->now_ms) &&
        core->now_ms < request->sent_ms + DHT_RTO_FIRST_MS) {
        /* It is there, and what it needs is not known yet. */
        request->late_ms = request->sent_ms + DHT_RTO_FIRST_MS;
        return false;
    }
    since_ms = later(request->sent_ms, member->fetched_ms);
    dht_pace_at_most(&member->pace, request->bytes, core->now_ms - since_ms, core->now_ms);
    if (request->op == NULL || dht_budget_hedge(&core->budget)) return true;
    request->late_ms = core->now_ms + dht_rtt_late_ms(rtt_of(member, request->class));
    if (request->late_ms > request->silent_ms) request->late_ms = request->silent_ms;
    return false;
}

void dht_core_tick(struct dht_core *core)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id == 0) continue;
        if (core->now_ms >= request->silent_ms) {
            give_up(core, request);
        } else if (!request->late && core->now_ms >= request->late_ms &&
                   judge_late(core, request)) {
            request->late = true;
            if (request->op != NULL && request->op->type->late != NULL)
                request->op->type->late(core, request->op, request->slot);
        }
    }
}

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

/* Sends what fits now, in the order in which it was asked for.  A peer that has come into
 * doubt meanwhile is not asked: its place is another's. */
static void send_waiting(struct dht_core *core)
{
    struct dht_request *request;

    while ((request = first_waiting(core)) != NULL) {
        struct dht_message message = *request->waiting;

        if (request->class == DHT_INCOMING && !request->resort &&
            dht_core_doubts(core, &request->peer)) {
            give_up(core, request);
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

/* Releases what has ended; what is released may be parked (flush.h), so before polling. */
static void release_finished(struct dht_core *core)
{
    size_t kept = 0;

    for (size_t i = 0; i < core->op_count; i++) {
        struct dht_op *op = core->ops[i];

        if (op->finished)
            op->type->release(core, op);
        else
            core->ops[kept++] = op;
    }
    core->op_count = kept;
}

void dht_core_sweep(struct dht_core *core)
{
    release_finished(core);
    for (size_t i = 0; i < core->op_count; i++) {
        struct dht_op *op = core->ops[i];

        if (!op->finished && op->type->poll != NULL) op->type->poll(core, op);
    }
    send_waiting(core);
    release_finished(core);
}

bool dht_core_inbox(struct dht_core *core, struct dht_message *message)
{
    if (core->inbox_count == 0) return false;
    *message = core->inbox[core->inbox_first];
    core->inbox_first = (core->inbox_first + 1) % DHT_INBOX_MAX;
    core->inbox_count--;
    return true;
}

/* ---- making ---- */

enum hf_code dht_core_init(struct dht_core *core, const struct hf_id *self, uint64_t seed,
                           struct hf_err *err)
{
    enum hf_code rc;

    memset(core, 0, sizeof *core);
    core->self = *self;
    dht_budget_init(&core->budget);
    rc = dht_requests_init(&core->requests, seed, err);
    if (rc == HF_OK) rc = dht_actions_init(&core->actions, err);
    if (rc == HF_OK) {
        core->inbox = hf_alloc_array(DHT_INBOX_MAX, sizeof *core->inbox);
        if (core->inbox == NULL) rc = hf_fail(err, HF_NO_MEMORY, "dht: inbox");
    }
    if (rc != HF_OK) dht_core_done(core);
    return rc;
}

void dht_core_done(struct dht_core *core)
{
    struct dht_message message;

    for (size_t i = 0; i < core->op_count; i++)
        core->ops[i]->type->release(core, core->ops[i]);
    core->op_count = 0;
    for (size_t i = 0; i < core->requests.top; i++)
        if (core->requests.places[i].id != 0) drop(core, &core->requests.places[i]);
    while (core->inbox != NULL && dht_core_inbox(core, &message))
        dht_message_done(&message);
    free(core->inbox);
    core->inbox = NULL;
    dht_actions_done(&core->actions);
    dht_requests_done(&core->requests);
    dht_members_done(&core->members);
}
