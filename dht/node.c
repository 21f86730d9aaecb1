#include "dht/node.h"

#include "base/alloc.h"
#include "dht/core.h"
#include "dht/flush.h"
#include "dht/get.h"
#include "dht/have.h"
#include "dht/holder.h"
#include "dht/put.h"
#include "dht/record_op.h"

#include <assert.h>
#include <stdlib.h>

struct dht_node {
    struct dht_core core;
};

struct dht_node *dht_node_new(const struct dht_config *config)
{
    struct dht_node *node = hf_alloc_array(1, sizeof *node);
    struct hf_err ignored;

    if (node == NULL) return NULL;
    if (dht_core_init(&node->core, &config->self, config->seed, &ignored) != HF_OK) {
        free(node);
        return NULL;
    }
    node->core.store_complete = config->store_complete;
    node->core.flushes = dht_flushes_new();
    node->core.holder = dht_holder_new();
    if (node->core.flushes == NULL || node->core.holder == NULL) {
        dht_node_free(node);
        return NULL;
    }
    return node;
}

void dht_node_free(struct dht_node *node)
{
    if (node == NULL) return;
    dht_core_done(&node->core);
    dht_flushes_free(node->core.flushes);
    dht_holder_free(node->core.holder);
    free(node);
}

static void receive(struct dht_core *core, const struct hf_id *from,
                    const struct dht_message *message)
{
    dht_core_heard(core, from);
    if (dht_message_is_answer(message->kind))
        dht_core_answered(core, from, message);
    else
        dht_holder_request(core, from, message);
}

static void set_members(struct dht_core *core, const struct dht_event *event)
{
    struct hf_err ignored;

    /* Out of memory, or a roster beyond the limit: the one that is there stays. */
    (void)!dht_members_set(&core->members, event->members, event->member_count, &ignored);
}

static void start(struct dht_core *core, const struct dht_event *event)
{
    struct dht_put_args put = {.manifest = event->put.manifest,
                               .fragments = event->put.fragments,
                               .fragment_count = event->put.fragment_count};

    switch ((int)event->kind) {
    case DHT_PUT: dht_put_start(core, event->tag, &put); break;
    case DHT_GET: dht_get_start(core, event->tag, &event->vault, &event->block); break;
    case DHT_HAVE_BLOCKS:
        dht_have_start(core, event->tag, &event->vault, event->ids, event->id_count);
        break;
    case DHT_RECORD_PUT: dht_record_put_start(core, event->tag, event->record); break;
    case DHT_RECORDS_GET: dht_records_get_start(core, event->tag, &event->vault); break;
    case DHT_FLUSH: dht_flush_start(core, event->tag, &event->vault); break;
    default: break;
    }
}

static void handle(struct dht_core *core, const struct dht_event *event)
{
    switch (event->kind) {
    case DHT_TICK: break; /* every step looks at the time */
    case DHT_MESSAGE: receive(core, &event->peer, event->message); break;
    case DHT_FOUND:
        if (event->away_ms != NULL)
            dht_members_place(&core->members, event->ids, event->away_ms, event->id_count);
        dht_core_found(core, event->tag, event->ids, event->id_count);
        break;
    case DHT_LOOKUP_FAILED: dht_core_found(core, event->tag, NULL, 0); break;
    case DHT_PEER_UP: dht_core_peer_up(core, &event->peer); break;
    case DHT_PEER_DOWN: dht_core_peer_down(core, &event->peer); break;
    case DHT_PEER_GIVES: dht_core_moved(core, &event->peer, DHT_INCOMING); break;
    case DHT_PEER_TAKES: dht_core_moved(core, &event->peer, DHT_OUTGOING); break;
    case DHT_MEMBERS: set_members(core, event); break;
    case DHT_STORE_DONE: dht_holder_completed(core, event->tag, event->code, NULL); break;
    case DHT_LOADED:
        dht_holder_completed(core, event->tag, event->code, event->item);
        break;
    case DHT_STORE_STATE: core->store_complete = event->complete; break;
    case DHT_PUT:
    case DHT_GET:
    case DHT_HAVE_BLOCKS:
    case DHT_RECORD_PUT:
    case DHT_RECORDS_GET:
    case DHT_FLUSH: start(core, event); break;
    }
}

void dht_step(struct dht_node *node, const struct dht_event *event, uint64_t now_ms)
{
    struct dht_core *core = &node->core;
    struct dht_message message;

    assert(core->actions.count == 0);
    if (now_ms > core->now_ms) core->now_ms = now_ms;
    handle(core, event);
    dht_core_tick(core);
    dht_core_sweep(core);
    /* Each message to itself is used up, and makes at most one more: its answer. */
    while (dht_core_inbox(core, &message)) {
        receive(core, &core->self, &message);
        dht_message_done(&message);
        dht_core_sweep(core);
    }
}

bool dht_next(struct dht_node *node, struct dht_action *action)
{
    return dht_actions_pop(&node->core.actions, action);
}

uint64_t dht_deadline(const struct dht_node *node)
{
    return dht_requests_deadline(&node->core.requests);
}

bool dht_node_busy(const struct dht_node *node)
{
    return dht_holder_busy(node->core.holder);
}

struct dht_redundancy dht_node_redundancy(const struct dht_node *node,
                                          struct dht_redundancy override)
{
    return dht_redundancy(&node->core.members, &node->core.self, override);
}
