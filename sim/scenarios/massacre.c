#include "base/alloc.h"
#include "sim/founding.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/stock.h"

#include <math.h>
#include <stdlib.h>

#define REPLICAS  6u
#define FRAGMENTS 14u
#define ENOUGH    7u
#define READERS   50u /* live hosts that fetch, as they restore */

static const struct scenario_parameter parameters[] = {
    {"lookups", 1000, 1, 1e7, "random keys asked for by live nodes, in each run"},
    {"successors", 16, 2, CHORD_SUCCESSORS_MAX, "length of the successor lists"},
    {"kill", 0, 0, 0.9, "fraction that dies at once; 0: rows for .1 to .6"},
    {"runs", 5, 1, 1000, "runs that a row averages"},
    {"wanted", REPLICAS, 1, CHORD_SUCCESSORS_MAX, "successors that a lookup asks for"},
    {"blocks", 300, 0, 100000,
     "of each coding: put before, fetched afterwards, in each run"},
    {"encode", 0, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tsuccessors\tkilled\truns\tlookups\tfailed\twrong\tgaps\tpath\ttimeo"
    "uts\t"
    "fetch6_failed_percent\tfetch6_expected_percent\tfetch7of14_failed_percent\t"
    "fetch7of14_expected_percent\ttrace";

struct massacre {
    struct draw draw;
    uint32_t wanted;
    uint64_t lookups, started, ended, failed, wrong, gaps;
    struct stock stock;       /* of the run */
    size_t blocks;            /* first those of replicas, then as many cut 7 of 14 */
    uint64_t lost[2];         /* fetches of either that brought nothing */
    uint64_t missed;          /* of those, blocks of which enough was there */
    uint64_t damaged, unsafe; /* fetches of other bytes; puts that were not acknowledged */
    struct statistics path, timeouts;
    uint64_t trace;
};

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct massacre *state = context;
    struct hf_id key;

    (void)what;
    draw_id(&state->draw, &key);
    world_lookup(world, world_random_live(world), &key, state->wanted, 0);
    if (++state->started < state->lookups) world_after(world, WORLD_SECOND / 100, 0);
}

/* So many dead in a row that the member before them has no live successor: the ring is
 * cut there, and what lies behind can only be met by a finger. */
static bool has_gap(const struct world *world)
{
    size_t dead = 0;

    for (size_t i = 0; i < 2 * world->count; i++) {
        dead = world_is_live(world, i % world->count) ? 0 : dead + 1;
        if (dead == world->options.chord.successors) return true;
    }
    return false;
}

/* The first live peer named is the first there is; or all named are dead, but they are
 * all that come first: then the routing was right, and the holders are gone. */
static bool is_right(const struct world *world, const struct world_answer *answer)
{
    const size_t at = world_place_at(world, &answer->key);
    const size_t found = world_first_live(world, answer);

    if (found != WORLD_NOBODY) return found == world_owner(world, &answer->key);
    for (size_t i = 0; i < answer->peer_count; i++) {
        const struct chord_peer *peer = &world->peers[(at + i) % world->count];

        if (!chord_peer_equal(peer, &answer->peers[i])) return false;
    }
    return true;
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct massacre *state = context;
    bool right;

    if (storage_answer(state->stock.storage, answer)) return;
    right = answer->found && is_right(world, answer);
    state->ended++;
    state->failed += !answer->found;
    state->wrong += answer->found && !right;
    if (!statistics_add(&state->timeouts, answer->questions - answer->answers) ||
        (answer->found && !statistics_add(&state->path, answer->path)))
        world_break(world, "the simulator is out of memory");
}

static double all_dead(double f, unsigned count)
{
    return pow(f, count);
}

/* Fewer than ENOUGH of FRAGMENTS independent holders live. */
static double too_few_left(double f)
{
    double sum = 0;
    double ways = 1;

    for (unsigned live = 0; live < ENOUGH; live++) {
        sum += ways * pow(1 - f, live) * pow(f, FRAGMENTS - live);
        ways = ways * (FRAGMENTS - live) / (live + 1);
    }
    return sum;
}

static void kill_some(struct world *world, struct draw *draw, double fraction)
{
    uint64_t left = (uint64_t)(fraction * (double)world->count + 0.5);

    while (left > 0) {
        const size_t victim = draw_below(draw, world->count);

        if (!world_is_live(world, victim)) continue;
        world_crash(world, victim);
        left--;
    }
}

static struct world *make_ring(const struct scenario_run *run, struct massacre *state,
                               uint64_t number)
{
    const struct world_options options = {
        .seed = run->seed * 1000 + number,
        .hosts = run->nodes,
        /* So rare that nobody stabilises before it is over. */
        .chord = {.stabilise_ms = 1000000000,
                  .rpc_timeout_ms = 1000,
                  .lookup_timeout_ms = 60000,
                  .successors = (uint32_t)scenario_number(run, "successors"),
                  .lookups = CHORD_LOOKUPS_MAX},
        .network = {.plane_ms = 100, .access_ms = 10, .delay_us = 500, .jitter_us = 1000},
        .encode = scenario_number(run, "encode") != 0,
    };
    const struct world_client client = {
        .context = state, .on_timer = on_timer, .on_answer = on_answer};
    struct world *world = world_new(&options, &client);

    if (world == NULL) return NULL;
    for (size_t i = 0; i < world->count; i++)
        world_start(world, i);
    founding_make_ring(world, true);
    return world;
}

/* ---- blocks ---- */

static void put_blocks(struct world *world, struct massacre *state)
{
    struct stock *stock = &state->stock;

    for (size_t i = 0; i < 2 * state->blocks && world->broken == NULL; i++) {
        const size_t host = world_random_live(world);

        if (i < state->blocks)
            (void)stock_put(stock, host, 1, REPLICAS);
        else
            (void)stock_put(stock, host, ENOUGH, FRAGMENTS);
        world_run(world, WORLD_SECOND / 100);
    }
    while (stock->puts_ended < stock->block_count && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    for (size_t i = 0; i < stock->block_count; i++)
        state->unsafe += stock->blocks[i].state != STOCK_SAFE;
}

static void count_fetches(struct massacre *state)
{
    const struct stock *stock = &state->stock;

    for (size_t i = 0; i < stock->fetch_count; i++) {
        const struct stock_fetch *fetch = &stock->fetches[i];
        const struct sample *sample = &stock->blocks[fetch->block].sample;

        if (fetch->ended && fetch->code == HF_OK) continue;
        state->lost[fetch->block >= state->blocks]++;
        state->damaged += fetch->code == HF_CORRUPT;
        state->missed +=
            storage_within_reach(stock->storage, &sample->id) >= sample->shape.k;
    }
}

static void fetch_blocks(struct world *world, struct massacre *state)
{
    struct stock *stock = &state->stock;
    size_t readers[READERS];

    for (size_t i = 0; i < READERS; i++)
        readers[i] = world_random_live(world);
    for (size_t i = 0; i < stock->block_count && world->broken == NULL; i++) {
        stock_fetch(stock, readers[draw_below(&state->draw, READERS)], i);
        world_run(world, WORLD_SECOND / 10);
    }
    while (stock->fetches_ended < stock->fetch_count && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    count_fetches(state);
}

/* ---- the course of a run ---- */

static void take_course(struct scenario_run *run, struct world *world,
                        struct massacre *state, double fraction)
{
    put_blocks(world, state);
    state->started = 0;
    state->ended = 0;
    kill_some(world, &state->draw, fraction);
    state->gaps += has_gap(world);
    world_after(world, 0, 0);
    while (state->ended < state->lookups && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    fetch_blocks(world, state);
    if (world->broken != NULL) scenario_break(run, world->now_us, "%s", world->broken);
    state->trace = draw_mix(state->trace ^ world->trace.state);
}

static enum hf_code run_once(struct scenario_run *run, struct massacre *state,
                             double fraction, uint64_t number, struct hf_err *err)
{
    const struct storage_options storage = {.disk_us = 5000, .haste = 1, .distances = true};
    struct world *world = make_ring(run, state, number);
    enum hf_code rc = HF_OK;

    state->draw = draw_init(run->seed, 100 + number);
    if (world != NULL && stock_init(&state->stock, world, &storage))
        take_course(run, world, state, fraction);
    else
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
    world_free(world);
    stock_done(&state->stock);
    return rc;
}

static void print(struct scenario_run *run, const struct massacre *state, double fraction)
{
    const uint64_t runs = scenario_number(run, "runs");
    const double fetches = state->blocks > 0 ? (double)state->blocks * (double)runs : 1;
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, run->nodes);
    table_number(table, scenario_number(run, "successors"));
    table_real(table, fraction, 2);
    table_number(table, runs);
    table_number(table, state->lookups * runs);
    table_number(table, state->failed);
    table_number(table, state->wrong);
    table_number(table, state->gaps);
    table_real(table, statistics_mean(&state->path), 2);
    table_real(table, statistics_mean(&state->timeouts), 2);
    table_real(table, 100 * (double)state->lost[0] / fetches, 2);
    table_real(table, 100 * all_dead(fraction, REPLICAS), 2);
    table_real(table, 100 * (double)state->lost[1] / fetches, 2);
    table_real(table, 100 * too_few_left(fraction), 2);
    table_hex(table, state->trace);
    table_row(table);
}

static uint64_t failures_promised(const struct scenario_run *run, double fraction)
{
    const uint64_t lookups = scenario_number(run, "lookups") * scenario_number(run, "runs");

    return fraction <= 0.5 ? 0 : (lookups + 9999) / 10000;
}

static enum hf_code run_fraction(struct scenario_run *run, double fraction,
                                 struct hf_err *err)
{
    struct massacre state = {.wanted = (uint32_t)scenario_number(run, "wanted"),
                             .lookups = scenario_number(run, "lookups"),
                             .blocks = scenario_number(run, "blocks")};
    enum hf_code rc = HF_OK;

    for (uint64_t i = 0; rc == HF_OK && i < scenario_number(run, "runs"); i++)
        rc = run_once(run, &state, fraction, i, err);
    if (rc == HF_OK) {
        print(run, &state, fraction);
        if (fraction <= 0.6 && state.gaps == 0 &&
            scenario_number(run, "successors") == CHORD_SUCCESSORS_MAX &&
            state.failed + state.wrong > failures_promised(run, fraction))
            scenario_break(run, 0, "%.0f %% killed: %llu lookups failed, %llu were wrong",
                           100 * fraction, (unsigned long long)state.failed,
                           (unsigned long long)state.wrong);
        if (state.unsafe + state.damaged + state.missed > 0)
            scenario_break(run, 0,
                           "%llu blocks were not stored in a ring without faults, %llu "
                           "came back as others, %llu were there and not found",
                           (unsigned long long)state.unsafe,
                           (unsigned long long)state.damaged,
                           (unsigned long long)state.missed);
    }
    statistics_done(&state.path);
    statistics_done(&state.timeouts);
    return rc;
}

static enum hf_code run_massacre(struct scenario_run *run, struct hf_err *err)
{
    const double only = scenario_value(run, "kill");
    enum hf_code rc = HF_OK;

    if (only > 0) return run_fraction(run, only, err);
    for (unsigned tenths = 1; rc == HF_OK && tenths <= 6; tenths++)
        rc = run_fraction(run, tenths / 10.0, err);
    return rc;
}

const struct scenario scenario_massacre = {
    .name = "massacre",
    .summary = "a part of the ring dies at once; lookups before anybody has noticed",
    .promise =
        "Up to half of the ring dead and lists of 16: no lookup fails, and each names\n"
        "the key's first live successor, or a gapless list of dead ones (six tenths: one\n"
        "in 10,000 may fail); unless 16 members in a row died, so that nobody who lives\n"
        "knows what is behind them (column gaps: runs of which that is so, one in 65 at a\n"
        "half, one in 9 at six tenths).  Blocks put before, as six replicas and cut 7 of\n"
        "14, are fetched afterwards by 50 members: whatever has enough live holders\n"
        "comes, and no other bytes; the fraction lost stands beside that of independent\n"
        "holders.",
    .nodes = 1000,
    .nodes_min = 34,
    .parameters = parameters,
    .run = run_massacre,
};
