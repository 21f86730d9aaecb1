#include "chord/state.h"

#include <assert.h>
#include <string.h>

uint64_t chord_random(struct chord_node *node)
{
    uint64_t z = (node->generator += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t chord_after(struct chord_node *node, uint64_t mean_ms)
{
    return node->now_ms + mean_ms / 2 + chord_random(node) % (mean_ms + 1);
}

uint64_t chord_soon(struct chord_node *node)
{
    return chord_after(node, node->config.stabilise_ms / 20);
}

struct chord_action *chord_act(struct chord_node *node, enum chord_action_kind kind)
{
    struct chord_action *action;

    assert(node->out->action_count < CHORD_OUTPUT_MAX);
    action = &node->out->actions[node->out->action_count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    return action;
}

struct chord_message *chord_send(struct chord_node *node, const struct chord_peer *to,
                                 enum chord_message_kind kind, uint64_t rpc)
{
    struct chord_message *message = &node->out->messages[node->out->action_count];
    struct chord_action *action = chord_act(node, CHORD_SEND);

    action->peer = *to;
    action->message = message;
    memset(message, 0, sizeof *message);
    message->kind = kind;
    message->rpc = rpc;
    message->from = node->self;
    message->to = to->position;
    return message;
}
