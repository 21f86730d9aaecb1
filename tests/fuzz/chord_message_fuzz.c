/* Chord messages from anybody: what parses must come back as the same bytes, and a node
 * that receives it keeps its own rules. */
#include "chord/message.h"
#include "chord/node.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct chord_output out;

static void receive(const struct chord_message *message)
{
    static const struct chord_config config = {.stabilise_ms = 1000,
                                               .rpc_timeout_ms = 100,
                                               .lookup_timeout_ms = 1000,
                                               .successors = 4,
                                               .lookups = 4,
                                               .seed = 1};
    struct chord_peer self;
    struct chord_event event = {
        .kind = CHORD_MESSAGE, .message = message, .peer = &message->from};
    struct chord_node *node;

    self = chord_peer_of(&message->to, 0);
    node = chord_node_new(&self, &config);
    if (node == NULL) return;
    for (uint64_t now = 1; now < 5; now++) {
        event.now_ms = now * 60;
        chord_step(node, &event, &out);
        if (!chord_node_check(node)) abort();
    }
    chord_node_free(node);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct chord_message message;
    uint8_t again[CHORD_MESSAGE_MAX];
    struct hf_writer w = hf_writer_init(again, sizeof again);
    struct hf_err err;

    if (chord_message_parse(bytes, n, &message, &err) != HF_OK) return 0;
    chord_message_put(&w, &message);
    if (hf_writer_size(&w) == 0) abort();
    receive(&message);
    return 0;
}
