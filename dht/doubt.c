#include "dht/doubt.h"

#include "dht/lists.h"

/* A question of a few bytes: what is there of the block zero? */
void dht_doubt_probe(struct dht_core *core, struct dht_peer *peer)
{
    const struct hf_id nothing = {{0}};
    struct dht_message have = {.kind = DHT_HAVE};
    bool sent = false;

    if (!peer->doubted || peer->link == DHT_LINK_DOWN) return;
    have.payload = dht_ids_encode(&nothing, 1);
    if (have.payload != NULL)
        sent = dht_core_request(core, NULL, DHT_PROBE_SLOT, &peer->member.id, &have);
    hf_buffer_unref(have.payload);
    if (!sent) peer->doubted = false; /* nothing would end it */
}

/* Sent to it, and an answer is still awaited. */
static bool is_owed(const struct dht_request *request, const struct dht_peer *peer)
{
    return request->id != 0 && request->answer != 0 && request->waiting == NULL &&
           hf_id_equal(&request->peer, &peer->member.id);
}

/* What it was asked by others will not be answered in time either. */
static void hurry(struct dht_core *core, const struct dht_peer *peer)
{
    for (size_t i = 0; i < core->requests.top; i++) {
        struct dht_request *request = &core->requests.places[i];

        if (is_owed(request, peer) && request->class != DHT_OUTGOING &&
            request->late_ms > core->now_ms)
            request->late_ms = core->now_ms;
    }
}

void dht_doubt_over(struct dht_core *core, struct dht_peer *peer)
{
    peer->doubted = false;
    for (size_t i = 0; i < core->requests.top; i++) {
        const struct dht_request *request = &core->requests.places[i];

        if (is_owed(request, peer) && request->class == DHT_INCOMING)
            dht_pace_at_most(&peer->pace, request->bytes, core->now_ms - request->sent_ms,
                             core->now_ms);
    }
}

void dht_doubt_unanswered(struct dht_core *core, struct dht_peer *peer, uint64_t sent_ms)
{
    if (peer->doubted || peer->heard_ms > sent_ms || peer->link == DHT_LINK_DOWN) return;
    peer->doubted = true;
    hurry(core, peer);
    dht_doubt_probe(core, peer);
}
