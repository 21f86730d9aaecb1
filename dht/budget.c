#include "dht/budget.h"

#include <assert.h>

void dht_budget_init(struct dht_budget *budget)
{
    *budget = (struct dht_budget){.limit = DHT_BUDGET_FIRST,
                                  .hedges = DHT_HEDGES_FIRST * DHT_HEDGE_EVERY};
}

bool dht_budget_take(struct dht_budget *budget, size_t bytes)
{
    if (budget->used > 0 &&
        (budget->used >= budget->limit || bytes > budget->limit - budget->used))
        return false;
    budget->used += bytes;
    return true;
}

void dht_budget_give(struct dht_budget *budget, size_t bytes)
{
    assert(budget->used >= bytes);
    budget->used -= bytes;
}

static void shrink(struct dht_budget *budget)
{
    budget->limit -= budget->limit / 8;
    if (budget->limit < DHT_BUDGET_MIN) budget->limit = DHT_BUDGET_MIN;
}

void dht_budget_learn(struct dht_budget *budget, size_t bytes, uint64_t ms, bool wanted,
                      uint64_t now_ms)
{
    if (ms >= DHT_BUDGET_LATE_MS) {
        if (now_ms - ms < budget->shrunk_ms) return; /* it began before that */
        budget->shrunk_ms = now_ms;
        shrink(budget);
    } else if (ms <= DHT_BUDGET_SOON_MS && wanted) {
        budget->limit += bytes;
        if (budget->limit > DHT_BUDGET_MAX) budget->limit = DHT_BUDGET_MAX;
    }
}

void dht_budget_useful(struct dht_budget *budget)
{
    if (budget->hedges < DHT_HEDGES_MAX * DHT_HEDGE_EVERY) budget->hedges++;
}

bool dht_budget_hedge(struct dht_budget *budget)
{
    if (budget->hedges < DHT_HEDGE_EVERY) return false;
    budget->hedges -= DHT_HEDGE_EVERY;
    return true;
}
