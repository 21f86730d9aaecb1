/* budget.h - how much of fragments may be under way at once, to and from all peers; and how
 * many may be asked for twice.
 *
 * By delay: as long as answers come soon the budget grows by what they carried (so it
 * doubles with each round), and when they take long, for too much waits on some line, it
 * shrinks by an eighth, once in each such time.  One transfer is always allowed. */
#ifndef HOLDFAST_DHT_BUDGET_H
#define HOLDFAST_DHT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHT_BUDGET_MIN     ((size_t)1 << 20) /* bytes */
#define DHT_BUDGET_FIRST   ((size_t)8 << 20) /* before anything has come */
#define DHT_BUDGET_MAX     ((size_t)32 << 20)
#define DHT_BUDGET_SOON_MS 1000u
#define DHT_BUDGET_LATE_MS 8000u
#define DHT_HEDGES_FIRST   2u  /* second requests that are allowed at once, ... */
#define DHT_HEDGE_EVERY    10u /* ... and one more for so many fragments that came */
#define DHT_HEDGES_MAX     16u

struct dht_budget {
    size_t limit, used; /* bytes */
    uint64_t shrunk_ms; /* no second time for the same delay */
    uint32_t hedges;    /* in parts of DHT_HEDGE_EVERY */
};

void dht_budget_init(struct dht_budget *budget);

/* False: it does not fit now.  True: it is counted until dht_budget_give. */
bool dht_budget_take(struct dht_budget *budget, size_t bytes);
void dht_budget_give(struct dht_budget *budget, size_t bytes);

/* A transfer ended after `ms`, or was given up after it.  wanted: others wait for room. */
void dht_budget_learn(struct dht_budget *budget, size_t bytes, uint64_t ms, bool wanted,
                      uint64_t now_ms);

/* A fragment that was of use has come. */
void dht_budget_useful(struct dht_budget *budget);
/* May a fragment be asked for once more, of which the first may still come? */
bool dht_budget_hedge(struct dht_budget *budget);

#endif
