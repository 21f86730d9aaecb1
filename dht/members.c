#include "dht/members.h"

#include "base/alloc.h"
#include "dht/limits.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct dht_peer *x = a, *y = b;

    return hf_id_compare(&x->member.id, &y->member.id);
}

enum hf_code dht_members_set(struct dht_members *members, const struct dht_member *roster,
                             size_t count, struct hf_err *err)
{
    struct dht_peer *peers;
    size_t kept = 0;

    if (count > DHT_MEMBERS_MAX)
        return hf_fail(err, HF_TOO_LARGE, "roster: %zu members", count);
    peers = hf_alloc_array(count + 1, sizeof *peers);
    if (peers == NULL) return hf_fail(err, HF_NO_MEMORY, "roster: %zu members", count);
    for (size_t i = 0; i < count; i++)
        peers[i].member = roster[i];
    qsort(peers, count, sizeof *peers, compare);
    for (size_t i = 0; i < count; i++) {
        struct dht_member member = peers[i].member;
        const struct dht_peer *old = dht_members_find(members, &member.id);

        if (kept > 0 && hf_id_equal(&peers[kept - 1].member.id, &member.id)) continue;
        peers[kept] = old != NULL ? *old : (struct dht_peer){.link = DHT_LINK_UNKNOWN};
        peers[kept++].member = member;
    }
    free(members->peers);
    *members = (struct dht_members){.peers = peers, .count = kept};
    return HF_OK;
}

void dht_members_done(struct dht_members *members)
{
    free(members->peers);
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

size_t dht_members_successor(const struct dht_members *members, const struct hf_id *key)
{
    size_t i = lower_bound(members, key);

    return i == members->count ? 0 : i;
}
