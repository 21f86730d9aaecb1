#include "sim/stock.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define TAG_FETCH (UINT64_C(1) << 62) /* marks fetches among the tags */

static void put_ended(struct stock_block *block, const struct dht_action *done)
{
    block->acknowledged = done->tally.answered;
    block->state = done->code == HF_OK         ? STOCK_SAFE
                   : done->code == HF_DEGRADED ? STOCK_ACCEPTED
                                               : STOCK_REFUSED;
    sample_drop(&block->sample);
}

static void fetch_ended(struct world *world, struct stock *stock, struct stock_fetch *fetch,
                        const struct dht_action *done)
{
    const struct sample *sample = &stock->blocks[fetch->block].sample;
    const uint64_t us = world->now_us - fetch->started_us;

    fetch->ended = true;
    fetch->code = done->code;
    if (done->code != HF_OK) return;
    if (!sample_is(sample, stock->sampler, done->block))
        fetch->code = HF_CORRUPT;
    else if (!statistics_add(&stock->fetch_ms, (double)us / 1000))
        world_break(world, "the simulator is out of memory");
}

static void on_done(struct world *world, void *context, size_t host,
                    const struct dht_action *done)
{
    struct stock *stock = context;

    (void)host;
    if (done->tag & TAG_FETCH) {
        stock->fetches_ended++;
        fetch_ended(world, stock, &stock->fetches[done->tag & ~TAG_FETCH], done);
    } else {
        stock->puts_ended++;
        put_ended(&stock->blocks[done->tag], done);
    }
}

bool stock_init(struct stock *stock, struct world *world,
                const struct storage_options *options)
{
    const struct storage_client client = {.context = stock, .on_done = on_done};

    memset(stock, 0, sizeof *stock);
    stock->world = world;
    stock->sampler = sampler_new();
    stock->storage = storage_new(world, options, &client);
    return stock->sampler != NULL && stock->storage != NULL;
}

void stock_done(struct stock *stock)
{
    for (size_t i = 0; i < stock->block_count; i++)
        sample_done(&stock->blocks[i].sample);
    free(stock->blocks);
    free(stock->fetches);
    statistics_done(&stock->fetch_ms);
    storage_free(stock->storage);
    sampler_free(stock->sampler);
    memset(stock, 0, sizeof *stock);
}

size_t stock_put(struct stock *stock, size_t host, uint32_t k, uint32_t n)
{
    struct world *world = stock->world;
    const struct dht_redundancy chosen =
        n > 0 ? (struct dht_redundancy){k, n} : storage_redundancy(stock->storage, host);
    const size_t number = stock->block_count;
    const struct sample_plan plan = {.content = world->options.seed << 24 | number,
                                     .source = &world->hosts[host].id,
                                     .k = chosen.k,
                                     .n = chosen.n};
    struct stock_block *grown =
        hf_grow_array(stock->blocks, &stock->block_capacity, number + 1, sizeof *grown);
    struct hf_err err;

    if (grown != NULL) stock->blocks = grown;
    if (grown == NULL ||
        sample_init(&grown[number].sample, stock->sampler, &plan, &err) != HF_OK) {
        world_break(world, "no memory for a block, or no erasure code");
        return number;
    }
    grown[number].state = STOCK_PUTTING;
    grown[number].acknowledged = 0;
    stock->block_count++;
    storage_put(stock->storage, host, &grown[number].sample, number);
    return number;
}

void stock_fetch(struct stock *stock, size_t host, size_t block)
{
    struct world *world = stock->world;
    const size_t number = stock->fetch_count;
    struct stock_fetch *grown =
        hf_grow_array(stock->fetches, &stock->fetch_capacity, number + 1, sizeof *grown);

    if (grown == NULL) {
        world_break(world, "the simulator is out of memory");
        return;
    }
    stock->fetches = grown;
    grown[number] = (struct stock_fetch){.block = block, .started_us = world->now_us};
    stock->fetch_count++;
    storage_get(stock->storage, host, sampler_vault(stock->sampler),
                &stock->blocks[block].sample.id, TAG_FETCH | number);
}

bool stock_is_acknowledged(const struct stock_block *block)
{
    return block->state == STOCK_SAFE || block->state == STOCK_ACCEPTED;
}
