#include "dht/placement.h"

#include <string.h>

struct dht_redundancy dht_redundancy(const struct dht_members *members,
                                     const struct hf_id *source,
                                     struct dht_redundancy override)
{
    struct dht_redundancy r = {0, 0};

    if (override.n > 0) return override;
    for (size_t i = 0; i < members->count && r.n < DHT_N_MAX; i++) {
        const struct dht_member *member = &members->peers[i].member;

        if (!member->evicted && !member->missing && !hf_id_equal(&member->id, source))
            r.n++;
    }
    r.k = r.n < 2 ? 1 : r.n / 2;
    return r;
}

uint32_t dht_accepted(uint32_t k, uint32_t n)
{
    return k + (n - k) / 2;
}

static bool contains(const struct hf_id *ids, size_t count, const struct hf_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (hf_id_equal(&ids[i], id)) return true;
    return false;
}

size_t dht_candidates(const struct dht_members *members, const struct hf_id *key,
                      const struct hf_id *found, size_t found_count, struct hf_id *ids,
                      size_t max)
{
    uint32_t order[DHT_CANDIDATES_MAX];
    size_t rest, count = 0;

    if (max > DHT_CANDIDATES_MAX) max = DHT_CANDIDATES_MAX;
    rest = dht_members_clockwise(members, key, order, DHT_CANDIDATES_MAX);
    for (size_t i = 0; i < found_count && count < max; i++) {
        const struct dht_peer *peer = dht_members_find(members, &found[i]);

        if (peer == NULL || peer->member.evicted || contains(ids, count, &found[i]))
            continue;
        ids[count++] = found[i];
    }
    for (size_t i = 0; i < rest && count < max; i++) {
        const struct hf_id *id = &members->peers[order[i]].member.id;

        if (!contains(ids, count, id)) ids[count++] = *id;
    }
    return count;
}

void dht_placement_init(struct dht_placement *placement, const struct dht_members *members,
                        const struct hf_id *key, const struct hf_id *found,
                        size_t found_count)
{
    struct hf_id ids[DHT_CANDIDATES_MAX];
    size_t count =
        dht_candidates(members, key, found, found_count, ids, DHT_CANDIDATES_MAX);

    memset(placement, 0, sizeof *placement);
    placement->site_max = 1;
    for (size_t i = 0; i < count; i++) {
        const struct dht_peer *peer = dht_members_find(members, &ids[i]);
        struct dht_host *host = &placement->hosts[placement->count];

        if (peer == NULL || peer->member.missing) continue;
        host->id = ids[i];
        host->site = hf_id_is_zero(&peer->member.site) ? ids[i] : peer->member.site;
        placement->count++;
    }
}

struct dht_host *dht_placement_find(struct dht_placement *placement, const struct hf_id *id)
{
    for (size_t i = 0; i < placement->count; i++)
        if (hf_id_equal(&placement->hosts[i].id, id)) return &placement->hosts[i];
    return NULL;
}

void dht_placement_exclude(struct dht_placement *placement, const struct hf_id *id)
{
    struct dht_host *host = dht_placement_find(placement, id);
    size_t at;

    if (host == NULL) return;
    at = (size_t)(host - placement->hosts);
    placement->count--;
    memmove(host, host + 1, (placement->count - at) * sizeof *host);
}

static uint32_t taken_at(const struct dht_placement *placement, const struct hf_id *site)
{
    uint32_t count = 0;

    for (size_t i = 0; i < placement->count; i++)
        if (placement->hosts[i].state == DHT_HOST_TAKEN &&
            hf_id_equal(&placement->hosts[i].site, site))
            count++;
    return count;
}

struct dht_host *dht_placement_next(struct dht_placement *placement)
{
    struct dht_host *chosen = NULL;

    for (size_t i = 0; i < placement->count; i++) {
        struct dht_host *host = &placement->hosts[i];

        if (host->state != DHT_HOST_FREE) continue;
        if (taken_at(placement, &host->site) < placement->site_max) {
            chosen = host;
            break;
        }
        if (chosen == NULL) chosen = host;
    }
    if (chosen != NULL) chosen->state = DHT_HOST_TAKEN;
    return chosen;
}
