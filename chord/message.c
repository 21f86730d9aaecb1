#include "chord/message.h"

#include "base/types.h"

#include <string.h>

#define MESSAGE_VERSION 1u
#define PEER_SIZE_MIN   36u /* encoded: array head, a byte string of 32, a number */

/* Keys of the map. */
enum {
    KEY_KIND = 2,
    KEY_RPC = 3,
    KEY_FROM = 4,
    KEY_TO = 5,
    KEY_KEY = 6,
    KEY_WANTED = 7,
    KEY_CONFIRM = 8,
    KEY_DONE = 9,
    KEY_PREDECESSOR = 10,
    KEY_PEERS = 11,
    KEY_SUBJECT = 12,
    KEY_ALIVE = 13
};

#define BIT(key)    (UINT64_C(1) << (key))
#define BITS_ALWAYS (BIT(KEY_KIND) | BIT(KEY_RPC) | BIT(KEY_FROM) | BIT(KEY_TO))

/* The fields that a kind has; every one of them is required. */
static uint64_t kind_fields(uint64_t kind)
{
    switch (kind) {
    case CHORD_MESSAGE_STATE: return BITS_ALWAYS | BIT(KEY_PREDECESSOR) | BIT(KEY_PEERS);
    case CHORD_MESSAGE_NEXT_HOP:
        return BITS_ALWAYS | BIT(KEY_KEY) | BIT(KEY_WANTED) | BIT(KEY_CONFIRM);
    case CHORD_MESSAGE_NEXT: return BITS_ALWAYS | BIT(KEY_DONE) | BIT(KEY_PEERS);
    case CHORD_MESSAGE_WITNESS: return BITS_ALWAYS | BIT(KEY_SUBJECT);
    case CHORD_MESSAGE_WITNESSED: return BITS_ALWAYS | BIT(KEY_ALIVE);
    default: return BITS_ALWAYS;
    }
}

/* The position follows from node and index. */
static void peer_put(struct hf_writer *w, const struct chord_peer *peer)
{
    const struct chord_coordinate *c = &peer->coordinate;
    const bool placed = c->error_milli > 0;

    hf_put_array(w, placed ? 6 : 2);
    hf_put_id(w, &peer->node);
    hf_put_uint(w, peer->index);
    if (!placed) return;
    hf_put_int(w, c->x_us);
    hf_put_int(w, c->y_us);
    hf_put_uint(w, (uint64_t)c->height_us);
    hf_put_uint(w, c->error_milli);
}

static int32_t place_get(struct hf_reader *r)
{
    const int64_t us = hf_get_int(r);

    if (us < -VIVALDI_PLACE_MAX_US || us > VIVALDI_PLACE_MAX_US) {
        hf_reader_fail(r);
        return 0;
    }
    return (int32_t)us;
}

static void peer_get(struct hf_reader *r, struct chord_peer *peer)
{
    const uint32_t count = hf_get_array(r, 6, 1);
    struct hf_id node;
    uint32_t index;

    if (count != 2 && count != 6) hf_reader_fail(r);
    hf_get_id(r, &node);
    index = (uint32_t)hf_get_uint(r, CHORD_POSITIONS_MAX - 1);
    *peer = chord_peer_of(&node, index);
    if (count != 6) return;
    peer->coordinate.x_us = place_get(r);
    peer->coordinate.y_us = place_get(r);
    peer->coordinate.height_us = (int32_t)hf_get_uint(r, VIVALDI_PLACE_MAX_US);
    peer->coordinate.error_milli = (uint16_t)hf_get_uint(r, VIVALDI_ERROR_MAX);
    if (peer->coordinate.error_milli == 0) hf_reader_fail(r);
}

static void peers_get(struct hf_reader *r, struct chord_message *message)
{
    const uint32_t count = hf_get_array(r, CHORD_MESSAGE_PEERS_MAX, PEER_SIZE_MIN);

    for (uint32_t i = 0; i < count; i++)
        peer_get(r, &message->peers[i]);
    message->peer_count = count;
}

void chord_message_put(struct hf_writer *w, const struct chord_message *message)
{
    const uint64_t fields = kind_fields(message->kind);

    hf_put_header(w, (uint64_t)__builtin_popcountll(fields), HF_TYPE_CHORD_MESSAGE,
                  MESSAGE_VERSION);
    hf_put_key(w, KEY_KIND);
    hf_put_uint(w, message->kind);
    hf_put_key(w, KEY_RPC);
    hf_put_uint(w, message->rpc);
    hf_put_key(w, KEY_FROM);
    peer_put(w, &message->from);
    hf_put_key(w, KEY_TO);
    hf_put_id(w, &message->to);
    if (fields & BIT(KEY_KEY)) {
        hf_put_key(w, KEY_KEY);
        hf_put_id(w, &message->key);
        hf_put_key(w, KEY_WANTED);
        hf_put_uint(w, message->wanted);
        hf_put_key(w, KEY_CONFIRM);
        hf_put_bool(w, message->confirm);
    }
    if (fields & BIT(KEY_DONE)) {
        hf_put_key(w, KEY_DONE);
        hf_put_bool(w, message->done);
    }
    if (fields & BIT(KEY_PREDECESSOR)) {
        hf_put_key(w, KEY_PREDECESSOR);
        if (message->has_predecessor)
            peer_put(w, &message->predecessor);
        else
            hf_put_null(w);
    }
    if (fields & BIT(KEY_PEERS)) {
        hf_put_key(w, KEY_PEERS);
        hf_put_array(w, message->peer_count);
        for (size_t i = 0; i < message->peer_count; i++)
            peer_put(w, &message->peers[i]);
    }
    if (fields & BIT(KEY_SUBJECT)) {
        hf_put_key(w, KEY_SUBJECT);
        peer_put(w, &message->subject);
    }
    if (fields & BIT(KEY_ALIVE)) {
        hf_put_key(w, KEY_ALIVE);
        hf_put_bool(w, message->alive);
    }
}

static void field_get(struct hf_reader *r, int64_t key, struct chord_message *message)
{
    switch (key) {
    case KEY_KIND:
        message->kind = (enum chord_message_kind)hf_get_uint(r, CHORD_MESSAGE_CHANGED);
        break;
    case KEY_RPC: message->rpc = hf_get_u64(r); break;
    case KEY_FROM: peer_get(r, &message->from); break;
    case KEY_TO: hf_get_id(r, &message->to); break;
    case KEY_KEY: hf_get_id(r, &message->key); break;
    case KEY_WANTED:
        message->wanted = (uint32_t)hf_get_uint(r, CHORD_SUCCESSORS_MAX);
        if (message->wanted == 0) hf_reader_fail(r);
        break;
    case KEY_CONFIRM: message->confirm = hf_get_bool(r); break;
    case KEY_DONE: message->done = hf_get_bool(r); break;
    case KEY_PREDECESSOR:
        message->has_predecessor = !hf_get_if_null(r);
        if (message->has_predecessor) peer_get(r, &message->predecessor);
        break;
    case KEY_PEERS: peers_get(r, message); break;
    case KEY_SUBJECT: peer_get(r, &message->subject); break;
    case KEY_ALIVE: message->alive = hf_get_bool(r); break;
    default: hf_map_other(r, key);
    }
}

enum hf_code chord_message_parse(const void *bytes, size_t n, struct chord_message *message,
                                 struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_CHORD_MESSAGE, MESSAGE_VERSION);
    uint64_t fields;
    int64_t key;

    memset(message, 0, sizeof *message);
    while (hf_map_next(&r, &m, &key))
        field_get(&r, key, message);
    fields = kind_fields(message->kind);
    hf_map_require(&r, &m, fields);
    for (unsigned i = KEY_KIND; i <= KEY_ALIVE; i++) {
        if (hf_map_has(&m, i) && !(fields & BIT(i))) hf_reader_fail(&r);
    }
    if ((int)message->kind == 0) hf_reader_fail(&r);
    if (!hf_reader_done(&r))
        return hf_fail(err, HF_CORRUPT, "chord message: %zu bytes do not parse", n);
    return HF_OK;
}
