#include "sim/chaos_blocks.h"

#define WIPED_OF    8u /* crashes: one of them loses its disk */
#define PATIENCE_US (20 * WORLD_MINUTE)
#define PERIOD_OF_MS \
    200u /* tries of a question wait so long in a ring that dht/ is made for */

bool chaos_blocks_init(struct chaos_blocks *blocks, struct world *world)
{
    const uint64_t timeout_ms = world->options.chord.rpc_timeout_ms;
    const struct storage_options options = {
        .disk_us = 5000,
        .haste = timeout_ms > PERIOD_OF_MS ? timeout_ms / PERIOD_OF_MS : 1,
        .distances = true};

    *blocks = (struct chaos_blocks){.draw = draw_init(world->options.seed, 41)};
    return stock_init(&blocks->stock, world, &options);
}

void chaos_blocks_done(struct chaos_blocks *blocks)
{
    stock_done(&blocks->stock);
}

void chaos_blocks_put(struct chaos_blocks *blocks, struct world *world)
{
    const size_t start = draw_below(&blocks->draw, world->host_count);

    for (size_t i = 0; i < world->host_count; i++) {
        const size_t host = (start + i) % world->host_count;

        if (!world_is_member(world, world->hosts[host].places[0])) continue;
        (void)stock_put(&blocks->stock, host, 0, 0);
        return;
    }
}

void chaos_blocks_crashed(struct chaos_blocks *blocks, size_t host)
{
    if (draw_below(&blocks->draw, WIPED_OF) == 0) storage_wipe(blocks->stock.storage, host);
}

/* ---- when all is calm ---- */

static bool is_within_reach(const struct chaos_blocks *blocks,
                            const struct stock_block *block)
{
    const struct storage *storage = blocks->stock.storage;

    return storage_within_reach(storage, &block->sample.id) >= block->sample.shape.k;
}

static void fetch(struct chaos_blocks *blocks, struct world *world, size_t number)
{
    stock_fetch(&blocks->stock, world_host_of(world, world_random_live(world)), number);
}

static void wait_for_fetches(struct chaos_blocks *blocks, struct world *world)
{
    const struct stock *stock = &blocks->stock;
    const uint64_t end_us = world->now_us + PATIENCE_US;

    while (stock->fetches_ended < stock->fetch_count && world->now_us < end_us &&
           world->broken == NULL)
        world_run(world, WORLD_SECOND);
}

/* Its holders die one after the other, until just enough are left. */
static void kill_holders(struct chaos_blocks *blocks, struct world *world,
                         const struct stock_block *block)
{
    const struct storage *storage = blocks->stock.storage;
    const struct hf_id *id = &block->sample.id;
    const size_t start = draw_below(&blocks->draw, world->host_count);

    for (size_t i = 0; i < world->host_count; i++) {
        const size_t host = (start + i) % world->host_count;

        if (storage_within_reach(storage, id) == block->sample.shape.k) return;
        if (world_host_is_live(world, host) && storage_holds(storage, host, id))
            world_crash(world, host);
    }
}

static const char *judge_puts(struct chaos_blocks *blocks)
{
    const struct stock *stock = &blocks->stock;

    for (size_t i = 0; i < stock->block_count; i++) {
        const struct stock_block *block = &stock->blocks[i];

        if (!stock_is_acknowledged(block)) continue;
        blocks->acknowledged++;
        blocks->gone += !is_within_reach(blocks, block);
        if (storage_ever(stock->storage, &block->sample.id) < block->acknowledged)
            return "a fragment was acknowledged and is on no disk";
    }
    return NULL;
}

static const char *judge_fetches(struct chaos_blocks *blocks)
{
    const struct stock *stock = &blocks->stock;

    for (size_t i = 0; i < stock->fetch_count; i++) {
        const struct stock_fetch *one = &stock->fetches[i];

        if (!one->ended) return "a fetch did not end";
        if (one->code == HF_CORRUPT) return "a fetch brought other bytes";
        if (one->code != HF_OK) return "a block with enough live holders was not fetched";
    }
    return NULL;
}

const char *chaos_blocks_fetch(struct chaos_blocks *blocks, struct world *world)
{
    const struct stock *stock = &blocks->stock;
    const char *why = judge_puts(blocks);
    size_t last = stock->block_count;

    for (size_t i = 0; i < stock->block_count; i++) {
        if (!stock_is_acknowledged(&stock->blocks[i]) ||
            !is_within_reach(blocks, &stock->blocks[i]))
            continue;
        fetch(blocks, world, i);
        last = i;
    }
    wait_for_fetches(blocks, world);
    blocks->fetched = stock->fetch_ms.count;
    if (why == NULL) why = judge_fetches(blocks);
    if (why != NULL || world->broken != NULL || last == stock->block_count) return why;
    world_judge_no_more(world);
    kill_holders(blocks, world, &stock->blocks[last]);
    fetch(blocks, world, last);
    wait_for_fetches(blocks, world);
    return judge_fetches(blocks);
}
