#include "dht/core.h"

#include "base/alloc.h"
#include "dht/asking.h"
#include "dht/doubt.h"

#include <stdlib.h>
#include <string.h>

bool dht_core_add(struct dht_core *core, struct dht_op *op)
{
    if (core->op_count == DHT_OPERATIONS_MAX) return false;
    core->ops[core->op_count++] = op;
    return true;
}

void dht_core_finish(struct dht_core *core, struct dht_op *op, struct dht_action *done)
{
    dht_asking_forget(core, op);
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
    dht_asking_drop(core, request);
    if (member != NULL) {
        member->link = DHT_LINK_UP;
        dht_asking_learn(core, member, &asked, answer);
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
    dht_asking_drop(core, request);
    op->type->found(core, op, ids, count);
}

void dht_core_give_up(struct dht_core *core, struct dht_request *request)
{
    struct dht_request asked = *request;
    struct dht_peer *member = dht_members_find(&core->members, &asked.peer);

    dht_asking_drop(core, request);
    if (asked.answer == 0) {
        asked.op->type->found(core, asked.op, NULL, 0);
        return;
    }
    if (member != NULL && member->link != DHT_LINK_DOWN && asked.waiting == NULL) {
        hf_rtt_back_off(&member->rtt[asked.class]);
        dht_doubt_unanswered(core, member, asked.sent_ms);
        if (asked.bytes > 0 && !member->doubted)
            dht_budget_learn(&core->budget, asked.bytes, core->now_ms - asked.sent_ms,
                             false, core->now_ms);
        if (asked.slot == DHT_PROBE_SLOT) dht_doubt_probe(core, member);
    }
    if (asked.op != NULL) asked.op->type->silent(core, asked.op, asked.slot);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
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
    if (class == DHT_INCOMING) {
        dht_core_heard(core, peer);
        member->given_ms = core->now_ms;
    }
    silent_ms = core->now_ms + dht_rtt_silent_ms(dht_asking_rtt(member, class));
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
            dht_core_give_up(core, request);
    }
}

/* ---- time ---- */

/* It sends, and nobody's fragment has come since it was asked: then this end's line is what
 * is slow, and one more to ask would make it slower. */
static bool shares_the_delay(const struct dht_core *core, const struct dht_peer *member,
                             const struct dht_request *request)
{
    return core->fetched_ms <= request->sent_ms &&
           member->given_ms + DHT_RTO_FIRST_MS > core->now_ms &&
           member->given_ms > request->sent_ms;
}

static bool postpone(struct dht_request *request, uint64_t late_ms)
{
    request->late_ms = late_ms < request->silent_ms ? late_ms : request->silent_ms;
    return false;
}

/* It is late, and nothing at all has come: after some more of that the peer is in doubt. */
static void watch(const struct dht_core *core, const struct dht_peer *member,
                  struct dht_request *request)
{
    const uint64_t doubt_ms = request->sent_ms + DHT_DOUBT_MS;

    request->watched = member->heard_ms <= request->sent_ms && doubt_ms > core->now_ms;
    if (request->watched) (void)postpone(request, doubt_ms);
}

/* False: it is not to be called late yet. */
static bool judge_late(struct dht_core *core, struct dht_request *request)
{
    struct dht_peer *member = dht_members_find(&core->members, &request->peer);
    const uint64_t again_ms = request->sent_ms + DHT_RTO_FIRST_MS;

    if (member == NULL || request->class == DHT_OUTGOING) return true;
    if (core->now_ms >= request->sent_ms + DHT_DOUBT_MS || request->class == DHT_SMALL)
        dht_doubt_unanswered(core, member, request->sent_ms);
    if (request->class != DHT_INCOMING || member->doubted) return true;
    if (!dht_pace_known(&member->pace, core->now_ms) && core->now_ms < again_ms)
        return postpone(request, again_ms);
    dht_pace_at_most(&member->pace, request->bytes,
                     core->now_ms - later(request->sent_ms, member->fetched_ms),
                     core->now_ms);
    watch(core, member, request);
    if (request->op == NULL) return true;
    if (!shares_the_delay(core, member, request) && dht_budget_hedge(&core->budget))
        return true;
    request->watched = false;
    return postpone(request,
                    core->now_ms + dht_rtt_late_ms(dht_asking_rtt(member, request->class)));
}

/* It was late already. */
static void judge_doubt(struct dht_core *core, struct dht_request *request)
{
    struct dht_peer *member = dht_members_find(&core->members, &request->peer);

    request->watched = false;
    if (member != NULL) dht_doubt_unanswered(core, member, request->sent_ms);
}

void dht_core_tick(struct dht_core *core)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (request->id == 0) continue;
        if (core->now_ms >= request->silent_ms) {
            dht_core_give_up(core, request);
        } else if (!request->late && core->now_ms >= request->late_ms &&
                   judge_late(core, request)) {
            request->late = true;
            if (request->op != NULL && request->op->type->late != NULL)
                request->op->type->late(core, request->op, request->slot);
        } else if (request->watched && core->now_ms >= request->late_ms) {
            judge_doubt(core, request);
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
    dht_asking_send_waiting(core);
    release_finished(core);
}

bool dht_core_inbox(struct dht_core *core, struct dht_message *message)
{
    if (core->inbox_count == 0) return false;
    *message = core->inbox[core->inbox_first];
    core->inbox_first = (core->inbox_first + 1) % DHT_INBOX_MAX;
    if (--core->inbox_count == 0) core->inbox_first = 0; /* few places are ever touched */
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
        if (core->requests.places[i].id != 0)
            dht_asking_drop(core, &core->requests.places[i]);
    while (core->inbox != NULL && dht_core_inbox(core, &message))
        dht_message_done(&message);
    free(core->inbox);
    core->inbox = NULL;
    dht_actions_done(&core->actions);
    dht_requests_done(&core->requests);
    dht_members_done(&core->members);
}
