#include "dht/members.h"

#include "base/alloc.h"
#include "chord/peer.h"
#include "dht/limits.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct dht_peer *x = a, *y = b;

    return hf_id_compare(&x->member.id, &y->member.id);
}

static int compare_positions(const void *a, const void *b)
{
    const struct dht_position *x = a, *y = b;

    return hf_id_compare(&x->position, &y->position);
}

static uint32_t positions_of(const struct dht_member *member)
{
    return member->positions == 0 ? 1 : member->positions;
}

/* False: no memory. */
static bool draw_circle(struct dht_members *members)
{
    struct dht_position *next;
    size_t total = 0;

    for (size_t i = 0; i < members->count; i++)
        total += positions_of(&members->peers[i].member);
    members->circle = hf_alloc_array(total + 1, sizeof *members->circle);
    if (members->circle == NULL) return false;
    members->circle_count = total;
    next = members->circle;
    for (size_t i = 0; i < members->count; i++) {
        const struct dht_member *member = &members->peers[i].member;

        for (uint32_t k = 0; k < positions_of(member); k++)
            *next++ =
                (struct dht_position){chord_peer_of(&member->id, k).position, (uint32_t)i};
    }
    qsort(members->circle, total, sizeof *members->circle, compare_positions);
    return true;
}

enum hf_code dht_members_set(struct dht_members *members, const struct dht_member *roster,
                             size_t count, struct hf_err *err)
{
    struct dht_members made = {0};

    if (count > DHT_MEMBERS_MAX)
        return hf_fail(err, HF_TOO_LARGE, "roster: %zu members", count);
    made.peers = hf_alloc_array(count + 1, sizeof *made.peers);
    if (made.peers == NULL) return hf_fail(err, HF_NO_MEMORY, "roster: %zu members", count);
    for (size_t i = 0; i < count; i++)
        made.peers[i].member = roster[i];
    qsort(made.peers, count, sizeof *made.peers, compare);
    for (size_t i = 0; i < count; i++) {
        struct dht_member member = made.peers[i].member;
        const struct dht_peer *old = dht_members_find(members, &member.id);
        struct dht_peer *peer = &made.peers[made.count];

        if (made.count > 0 && hf_id_equal(&peer[-1].member.id, &member.id)) continue;
        *peer = old != NULL ? *old : (struct dht_peer){.link = DHT_LINK_UNKNOWN};
        peer->member = member;
        made.count++;
    }
    if (!draw_circle(&made)) {
        free(made.peers);
        return hf_fail(err, HF_NO_MEMORY, "roster: %zu members", count);
    }
    dht_members_done(members);
    *members = made;
    return HF_OK;
}

void dht_members_done(struct dht_members *members)
{
    free(members->peers);
    free(members->circle);
    *members = (struct dht_members){0};
}

/* Index of the first member at or after key, or count. */
static size_t lower_bound(const struct dht_members *members, const struct hf_id *key)
{
    size_t low = 0, high = members->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&members->peers[middle].member.id, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct dht_peer *dht_members_find(const struct dht_members *members, const struct hf_id *id)
{
    size_t i = lower_bound(members, id);

    if (i == members->count || !hf_id_equal(&members->peers[i].member.id, id)) return NULL;
    return &members->peers[i];
}

void dht_members_place(struct dht_members *members, const struct hf_id *ids,
                       const uint32_t *away_ms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct dht_peer *peer = dht_members_find(members, &ids[i]);

        if (peer != NULL && away_ms[i] > 0) peer->away_ms = away_ms[i];
    }
}

static bool contains(const uint32_t *peers, size_t count, uint32_t peer)
{
    for (size_t i = 0; i < count; i++)
        if (peers[i] == peer) return true;
    return false;
}

size_t dht_members_clockwise(const struct dht_members *members, const struct hf_id *key,
                             uint32_t *peers, size_t max)
{
    const size_t n = members->circle_count;
    size_t low = 0, high = n, count = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&members->circle[middle].position, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = 0; i < n && count < max; i++) {
        uint32_t peer = members->circle[(low + i) % n].peer;

        if (!members->peers[peer].member.evicted && !contains(peers, count, peer))
            peers[count++] = peer;
    }
    return count;
}

size_t dht_members_by_id(const struct dht_members *members, const struct hf_id *key,
                         uint32_t *peers, size_t max)
{
    size_t first = lower_bound(members, key), count = 0;

    for (size_t i = 0; i < members->count && count < max; i++) {
        size_t peer = (first + i) % members->count;

        if (!members->peers[peer].member.evicted) peers[count++] = (uint32_t)peer;
    }
    return count;
}
