/* placement.h - which hosts hold what (docs/design.md section 7, Redundancy, Put, Records).
 *
 * Fragments of a block go to the first n eligible hosts clockwise from its id: one for
 * each host, none to the source, at most n-k to a site while sites allow. */
#ifndef HOLDFAST_DHT_PLACEMENT_H
#define HOLDFAST_DHT_PLACEMENT_H

#include "dht/limits.h"
#include "dht/members.h"

#include <stdint.h>

struct dht_redundancy {
    uint32_t k, n;
};

/* The redundancy of a block written by `source`: n = min(DHT_N_MAX, hosts that are neither
 * evicted nor missing, without the source), k = max(1, n/2).  An override with n > 0 is
 * taken as it is.  n = 0: there is nobody to hold anything. */
struct dht_redundancy dht_redundancy(const struct dht_members *members,
                                     const struct hf_id *source,
                                     struct dht_redundancy override);

/* Acknowledgements from which on a block counts as accepted: k + (n - k) / 2. */
uint32_t dht_accepted(uint32_t k, uint32_t n);

/* The members that are not evicted, clockwise from key: those a lookup found first (in its
 * order; NULL and 0 when there was none), then by the roster.  Writes up to `max` of
 * them, and of DHT_CANDIDATES_MAX, to ids; returns the count. */
size_t dht_candidates(const struct dht_members *members, const struct hf_id *key,
                      const struct hf_id *found, size_t found_count, struct hf_id *ids,
                      size_t max);

enum dht_host_state { DHT_HOST_FREE, DHT_HOST_TAKEN, DHT_HOST_FAILED };

struct dht_host {
    struct hf_id id, site;
    enum dht_host_state state;
};

/* The hosts that may hold fragments of one block, clockwise. */
struct dht_placement {
    struct dht_host hosts[DHT_CANDIDATES_MAX];
    size_t count;
    uint32_t site_max; /* n - k, at least 1 */
};

/* Fills *placement with the candidates of block `key` that are eligible.  A block's source
 * is not. */
void dht_placement_init(struct dht_placement *placement, const struct dht_members *members,
                        const struct hf_id *key, const struct hf_id *found,
                        size_t found_count);
void dht_placement_exclude(struct dht_placement *placement, const struct hf_id *id);

/* Takes the next host clockwise: the first free one whose site is not full, or else the
 * first free one.  NULL: none is left. */
struct dht_host *dht_placement_next(struct dht_placement *placement);

/* NULL: not among the hosts. */
struct dht_host *dht_placement_find(struct dht_placement *placement,
                                    const struct hf_id *id);

#endif
