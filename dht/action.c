#include "dht/action.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void dht_block_free(struct dht_block *block)
{
    if (block == NULL) return;
    hf_buffer_unref(block->manifest_bytes);
    for (uint32_t i = 0; i < block->piece_count; i++)
        hf_buffer_unref(block->pieces[i].payload);
    free(block);
}

void dht_action_done(struct dht_action *action)
{
    dht_message_done(&action->message);
    hf_buffer_unref(action->item.manifest);
    hf_buffer_unref(action->item.payload);
    dht_block_free(action->block);
    hf_buffer_unref(action->payload);
    memset(action, 0, sizeof *action);
}

enum hf_code dht_actions_init(struct dht_actions *actions, struct hf_err *err)
{
    *actions = (struct dht_actions){
        .items = hf_alloc_array(DHT_ACTIONS_MAX, sizeof *actions->items)};
    return actions->items != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "dht: actions");
}

void dht_actions_done(struct dht_actions *actions)
{
    struct dht_action action;

    if (actions->items == NULL) return;
    while (dht_actions_pop(actions, &action))
        dht_action_done(&action);
    free(actions->items);
    actions->items = NULL;
}

static bool may_be_lost(enum dht_action_kind kind)
{
    return kind == DHT_ACTION_SEND || kind == DHT_ACTION_LOOKUP || kind == DHT_ACTION_WARN;
}

void dht_actions_push(struct dht_actions *actions, struct dht_action *action)
{
    size_t room = DHT_ACTIONS_MAX - actions->count;

    if (may_be_lost(action->kind) && room <= DHT_ACTIONS_RESERVED) {
        dht_action_done(action);
        return;
    }
    assert(room > 0); /* each operation ends once, each job is at the store once */
    actions->items[(actions->first + actions->count) % DHT_ACTIONS_MAX] = *action;
    actions->count++;
    memset(action, 0, sizeof *action);
}

bool dht_actions_pop(struct dht_actions *actions, struct dht_action *action)
{
    if (actions->count == 0) return false;
    *action = actions->items[actions->first];
    actions->first = (actions->first + 1) % DHT_ACTIONS_MAX;
    if (--actions->count == 0) actions->first = 0; /* few places are ever touched */
    return true;
}
