#include "chord/witness.h"

static void look(struct chord_node *node, struct chord_witness *witness)
{
    witness->attempts++;
    witness->deadline_ms = node->now_ms + node->config.rpc_timeout_ms;
    chord_send(node, &witness->subject, CHORD_MESSAGE_PING, witness->rpc);
}

static void tell(struct chord_node *node, struct chord_witness *witness, bool alive)
{
    witness->busy = false;
    chord_send(node, &witness->asker, CHORD_MESSAGE_WITNESSED, witness->asker_rpc)->alive =
        alive;
}

void witness_asked(struct chord_node *node, const struct chord_message *question)
{
    for (unsigned i = 0; i < CHORD_WITNESSES_MAX; i++) {
        struct chord_witness *witness = &node->witnesses[i];

        if (witness->busy) continue;
        *witness = (struct chord_witness){.busy = true,
                                          .asker = question->from,
                                          .subject = question->subject,
                                          .asker_rpc = question->rpc,
                                          .rpc = chord_random(node)};
        if (!chord_peer_valid(&witness->subject) ||
            hf_id_equal(&witness->subject.node, &node->self.node))
            witness->busy = false; /* nobody asks that in earnest */
        else
            look(node, witness);
        return;
    }
}

bool witness_heard(struct chord_node *node, const struct chord_message *message)
{
    for (unsigned i = 0; i < CHORD_WITNESSES_MAX; i++) {
        struct chord_witness *witness = &node->witnesses[i];

        if (!witness->busy || witness->rpc != message->rpc ||
            !chord_peer_equal(&witness->subject, &message->from))
            continue;
        tell(node, witness, message->kind == CHORD_MESSAGE_PONG);
        return true;
    }
    return false;
}

void witness_unreachable(struct chord_node *node, const struct chord_peer *peer,
                         enum chord_scope scope)
{
    for (unsigned i = 0; i < CHORD_WITNESSES_MAX; i++) {
        struct chord_witness *witness = &node->witnesses[i];

        if (witness->busy && chord_concerns(scope, peer, &witness->subject))
            tell(node, witness, false);
    }
}

void witness_tick(struct chord_node *node)
{
    for (unsigned i = 0; i < CHORD_WITNESSES_MAX; i++) {
        struct chord_witness *witness = &node->witnesses[i];

        if (!witness->busy || witness->deadline_ms > node->now_ms) continue;
        if (witness->attempts < CHORD_WITNESS_TRIES)
            look(node, witness);
        else
            tell(node, witness, false);
    }
}

uint64_t witness_deadline(const struct chord_node *node)
{
    uint64_t deadline = UINT64_MAX;

    for (unsigned i = 0; i < CHORD_WITNESSES_MAX; i++) {
        if (node->witnesses[i].busy && node->witnesses[i].deadline_ms < deadline)
            deadline = node->witnesses[i].deadline_ms;
    }
    return deadline;
}
