/* stock.h - blocks that hosts of a world put and fetch, and what became of it.
 *
 * A scenario starts operations, and hears in its own time how they stand.  One owner. */
#ifndef HOLDFAST_SIM_STOCK_H
#define HOLDFAST_SIM_STOCK_H

#include "sim/sample.h"
#include "sim/statistics.h"
#include "sim/storage.h"

/* Of a put. */
enum stock_state {
    STOCK_PUTTING, /* and for ever, if its source crashed */
    STOCK_SAFE,    /* all n fragments are acknowledged */
    STOCK_ACCEPTED,
    STOCK_REFUSED /* too few could be placed, and whoever put it knows */
};

struct stock_block {
    struct sample sample;
    enum stock_state state;
    uint32_t acknowledged; /* fragments */
};

/* A fetch under way or ended. */
struct stock_fetch {
    size_t block;
    uint64_t started_us;
    bool ended;
    enum hf_code code; /* HF_CORRUPT: other bytes than were put */
};

struct stock {
    struct world *world;
    struct storage *storage;
    struct sampler *sampler;
    struct stock_block *blocks;
    size_t block_count, block_capacity;
    struct stock_fetch *fetches;
    size_t fetch_count, fetch_capacity;
    size_t puts_ended, fetches_ended;
    struct statistics fetch_ms; /* of those that brought the block */
};

/* Makes the world's storage too.  False: no memory; stock_done may be called either way,
 * after the world is freed. */
bool stock_init(struct stock *stock, struct world *world,
                const struct storage_options *options);
void stock_done(struct stock *stock);

/* The live host puts a new block k of n; n = 0: what dht/ would choose.  Its number. */
size_t stock_put(struct stock *stock, size_t host, uint32_t k, uint32_t n);
/* The live host fetches a block. */
void stock_fetch(struct stock *stock, size_t host, size_t block);

/* It was said to be stored: all of it, or enough. */
bool stock_is_acknowledged(const struct stock_block *block);
#endif
