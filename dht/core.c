#include "dht/core.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

enum hf_code dht_core_init(struct dht_core *core, const struct hf_id *self, uint64_t seed,
                           struct hf_err *err)
{
    enum hf_code rc;

    memset(core, 0, sizeof *core);
    core->self = *self;
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
    while (core->inbox != NULL && dht_core_inbox(core, &message))
        dht_message_done(&message);
    free(core->inbox);
    core->inbox = NULL;
    dht_actions_done(&core->actions);
    dht_requests_done(&core->requests);
    dht_members_done(&core->members);
}

bool dht_core_add(struct dht_core *core, struct dht_op *op)
{
    if (core->op_count == DHT_OPERATIONS_MAX) return false;
    core->ops[core->op_count++] = op;
    return true;
}

void dht_core_finish(struct dht_core *core, struct dht_op *op, struct dht_action *done)
{
    dht_requests_forget(&core->requests, op);
    op->finished = true;
    if (done == NULL) return;
    done->kind = DHT_ACTION_DONE;
    done->tag = op->tag;
    dht_actions_push(&core->actions, done);
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
    return kind == DHT_STORE || kind == DHT_FETCH ? DHT_LARGE : DHT_SMALL;
}

bool dht_core_request(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct hf_id *peer, const struct dht_message *message)
{
    static const struct dht_rtt unknown = {0};
    enum dht_class class = class_of(message->kind);
    const struct dht_peer *member = dht_members_find(&core->members, peer);
    const struct dht_rtt *rtt = member != NULL ? &member->rtt[class] : &unknown;
    struct dht_message sent = *message;
    struct dht_request *request;

    if (member != NULL && member->link == DHT_LINK_DOWN) return false;
    request = dht_requests_add(&core->requests);
    if (request == NULL) return false;
    request->op = op;
    request->slot = slot;
    request->peer = *peer;
    request->class = class;
    request->answer = (enum dht_message_kind)(message->kind + 1);
    request->sent_ms = core->now_ms;
    request->late_ms = core->now_ms + dht_rtt_late_ms(rtt);
    request->silent_ms = core->now_ms + dht_rtt_silent_ms(rtt);
    if (request->late_ms > request->silent_ms) request->late_ms = request->silent_ms;
    sent.request = request->id;
    dispatch(core, peer, &sent);
    return true;
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
    dht_requests_remove(&core->requests, request);
    if (member != NULL) {
        member->link = DHT_LINK_UP;
        dht_rtt_add(&member->rtt[asked.class], core->now_ms - asked.sent_ms);
    }
    asked.op->type->answer(core, asked.op, asked.slot, answer);
}

void dht_core_found(struct dht_core *core, uint64_t tag, const struct hf_id *ids,
                    size_t count)
{
    struct dht_request *request = dht_requests_find(&core->requests, tag);
    struct dht_op *op;

    if (request == NULL || request->answer != 0) return;
    op = request->op;
    dht_requests_remove(&core->requests, request);
    op->type->found(core, op, ids, count);
}

/* No answer to this request will come. */
static void give_up(struct dht_core *core, struct dht_request *request)
{
    struct dht_request asked = *request;
    struct dht_peer *member = dht_members_find(&core->members, &asked.peer);

    dht_requests_remove(&core->requests, request);
    if (asked.answer == 0) {
        asked.op->type->found(core, asked.op, NULL, 0);
        return;
    }
    if (member != NULL && member->link != DHT_LINK_DOWN)
        dht_rtt_back_off(&member->rtt[asked.class]);
    asked.op->type->silent(core, asked.op, asked.slot);
}

void dht_core_peer_up(struct dht_core *core, const struct hf_id *peer)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);

    if (member == NULL) return;
    member->link = DHT_LINK_UP;
    for (size_t i = 0; i < core->op_count; i++) {
        struct dht_op *op = core->ops[i];

        if (!op->finished && op->type->peer_up != NULL) op->type->peer_up(core, op, peer);
    }
}

void dht_core_peer_down(struct dht_core *core, const struct hf_id *peer)
{
    struct dht_peer *member = dht_members_find(&core->members, peer);

    if (member != NULL) member->link = DHT_LINK_DOWN;
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id != 0 && request->answer != 0 && hf_id_equal(&request->peer, peer))
            give_up(core, request);
    }
}

void dht_core_tick(struct dht_core *core)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id == 0) continue;
        if (core->now_ms >= request->silent_ms) {
            give_up(core, request);
        } else if (!request->late && core->now_ms >= request->late_ms) {
            request->late = true;
            if (request->op->type->late != NULL)
                request->op->type->late(core, request->op, request->slot);
        }
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
