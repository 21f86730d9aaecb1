#include "chord/timing.h"

#include <string.h>

/* A first timeout from coordinates alone is so many expected round trips. */
#define FROM_COORDINATES 3u
/* The table is looked up by a part of the key, and then in so many places. */
#define WAYS 4u
#define SETS (CHORD_TIMINGS / WAYS)

#define FIT_PERIODS 16u /* of stabilisation: what was measured before is forgotten */

static uint64_t key_of(const struct chord_peer *peer)
{
    uint64_t key;

    memcpy(&key, peer->node.b, sizeof key);
    return key;
}

/* NULL: nothing is known. */
static const struct chord_timing *find(const struct chord_node *node,
                                       const struct chord_peer *peer)
{
    const uint64_t key = key_of(peer);
    const struct chord_timing *way = &node->timings[key % SETS * WAYS];

    for (unsigned i = 0; i < WAYS; i++) {
        if (way[i].key == key) return &way[i];
    }
    return NULL;
}

/* The peer's place; whoever had it, and is the longest unheard of, is forgotten. */
static struct chord_timing *take(struct chord_node *node, const struct chord_peer *peer)
{
    const uint64_t key = key_of(peer);
    struct chord_timing *way = &node->timings[key % SETS * WAYS];
    struct chord_timing *oldest = way;

    for (unsigned i = 0; i < WAYS; i++) {
        if (way[i].key == key) return &way[i];
        if (way[i].placed_ms < oldest->placed_ms) oldest = &way[i];
    }
    *oldest = (struct chord_timing){.key = key};
    return oldest;
}

static uint64_t median(const uint32_t samples[static 3], unsigned count)
{
    const uint32_t a = samples[0];
    const uint32_t b = samples[1];
    const uint32_t c = samples[2];

    if (count == 1) return a;
    if (count == 2) return a < b ? a : b;
    if (a < b) return b < c ? b : a < c ? c : a;
    return a < c ? a : b < c ? c : b;
}

/* Places this node by all that was measured in the last periods. */
static void fit(struct chord_node *node)
{
    const uint64_t lately_ms = FIT_PERIODS * node->config.stabilise_ms;
    struct vivaldi_measured measured[CHORD_TIMINGS];
    size_t count = 0;

    for (unsigned i = 0; i < CHORD_TIMINGS; i++) {
        const struct chord_timing *timing = &node->timings[i];

        if (timing->count == 0 || timing->placed_ms + lately_ms < node->now_ms) continue;
        measured[count++] = (struct vivaldi_measured){
            timing->coordinate, 1000 * median(timing->samples, timing->count)};
    }
    vivaldi_fit(&node->vivaldi, measured, count);
}

bool timing_is_due(const struct chord_node *node, const struct chord_peer *peer)
{
    const struct chord_timing *timing = find(node, peer);

    /* Neighbours are heard from all the time: alone, they say little of where this is. */
    return timing == NULL || timing->count == 0 ||
           node->now_ms >= timing->placed_ms + node->config.stabilise_ms;
}

void timing_answered(struct chord_node *node, const struct chord_peer *peer,
                     uint64_t sent_ms)
{
    const bool due = timing_is_due(node, peer);
    struct chord_timing *timing = take(node, peer);
    const uint64_t ms = node->now_ms > sent_ms ? node->now_ms - sent_ms : 1;

    hf_rtt_add(&timing->rtt, ms);
    timing->samples[timing->count % 3] = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    timing->count++;
    if (!due) return;
    timing->placed_ms = node->now_ms;
    vivaldi_sample(&node->vivaldi, &peer->coordinate,
                   1000 * median(timing->samples, timing->count), chord_random(node));
    timing->coordinate = peer->coordinate;
    fit(node);
    node->self.coordinate = vivaldi_coordinate(&node->vivaldi);
}

void timing_silent(struct chord_node *node, const struct chord_peer *peer)
{
    if (find(node, peer) != NULL) hf_rtt_back_off(&take(node, peer)->rtt);
}

uint64_t timing_timeout_ms(const struct chord_node *node, const struct chord_peer *peer,
                           unsigned attempt)
{
    const uint64_t most = node->config.rpc_timeout_ms;
    const uint64_t least = most / CHORD_PATIENCE;
    const struct chord_timing *timing = find(node, peer);
    const uint64_t expected_us = timing_expected_us(node, peer);
    uint64_t ms = most;

    if (attempt >= CHORD_ATTEMPTS) return most;
    if (timing != NULL && timing->rtt.known)
        ms = hf_rtt_timeout(&timing->rtt, 0);
    else if (expected_us != UINT64_MAX)
        ms = FROM_COORDINATES * expected_us / 1000;
    ms = (ms < least ? least : ms) << (attempt - 1);
    return ms < most ? ms : most;
}

uint64_t timing_expected_us(const struct chord_node *node, const struct chord_peer *peer)
{
    const struct chord_timing *timing = find(node, peer);

    if (timing != NULL && timing->rtt.known)
        return 1000 * (uint64_t)hf_rtt_expected(&timing->rtt, 0);
    return vivaldi_rtt_us(&node->self.coordinate, &peer->coordinate);
}
