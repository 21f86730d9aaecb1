#include "sim/founding.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/world.h"

#include <math.h>

#define SUCCESSORS 16u /* for which the promises are made */

static const struct scenario_parameter parameters[] = {
    {"lookups", 20000, 1, 1e9, "random keys, asked for by all nodes in turn"},
    {"successors", SUCCESSORS, 2, CHORD_SUCCESSORS_MAX, "length of the successor lists"},
    {"table", 0, 0, 1, "1: every node has a location table"},
    {"near", 1, 0, 1, "1: fingers are the nearest of 16 candidates from the start"},
    {"rate", 1000, 0.001, 5000, "lookups per 1000 nodes and second"},
    {"encode", 0, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tsuccessors\ttable\tlookups\tmean\tp1\tp50\tp99\t"
    "max\tfailed\twrong\thalf_log2\tpromise\tsteps\ttrace";

struct lookup_state {
    struct draw draw;
    struct statistics path;
    uint64_t started, ended, wanted, gap_us, failed, wrong;
};

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct lookup_state *state = context;
    struct hf_id key;

    (void)what;
    draw_id(&state->draw, &key);
    /* By turns: keys are random, and no asker has more than it has room for. */
    world_lookup(world, state->started++ % world->count, &key, 1, 0);
    if (state->started < state->wanted) world_after(world, state->gap_us, 0);
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct lookup_state *state = context;

    state->ended++;
    if (!answer->found) {
        state->failed++;
        return;
    }
    state->wrong += world_first_live(world, answer) != world_owner(world, &answer->key);
    if (!statistics_add(&state->path, answer->path))
        world_break(world, "the simulator is out of memory");
}

/* Mean hops promised at so many nodes, the owner counted; 0: none. */
static double promised(const struct scenario_run *run)
{
    if (scenario_number(run, "table") != 0) return run->nodes <= 10000 ? 1.2 : 0;
    if (scenario_number(run, "successors") != SUCCESSORS) return 0;
    if (run->nodes <= 1000) return 3.95;
    if (run->nodes <= 10000) return 5.6;
    return run->nodes <= 100000 ? 7.3 : 0;
}

static void print(struct scenario_run *run, struct world *world, struct lookup_state *state)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, run->nodes);
    table_number(table, world->options.chord.successors);
    table_number(table, scenario_number(run, "table"));
    table_number(table, scenario_number(run, "lookups"));
    table_real(table, statistics_mean(&state->path), 3);
    table_real(table, statistics_percentile(&state->path, 1), 0);
    table_real(table, statistics_percentile(&state->path, 50), 0);
    table_real(table, statistics_percentile(&state->path, 99), 0);
    table_real(table, statistics_max(&state->path), 0);
    table_number(table, state->failed);
    table_number(table, state->wrong);
    table_real(table, log2((double)run->nodes) / 2, 2);
    table_real(table, promised(run), 2);
    table_number(table, world->steps);
    table_hex(table, world->trace.state);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct lookup_state *state)
{
    const double most = promised(run);
    const double mean = statistics_mean(&state->path);

    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (state->failed > 0 || state->wrong > 0)
        scenario_break(run, world->now_us,
                       "in a ring without faults %llu lookups failed and %llu were wrong",
                       (unsigned long long)state->failed, (unsigned long long)state->wrong);
    else if (most > 0 && mean > most)
        scenario_break(run, world->now_us, "mean path %.3f, promised %.2f", mean, most);
}

static enum hf_code run_lookup(struct scenario_run *run, struct hf_err *err)
{
    struct lookup_state state = {.draw = draw_init(run->seed, 10),
                                 .wanted = scenario_number(run, "lookups")};
    const struct world_options options = {
        .seed = run->seed,
        .hosts = run->nodes,
        .chord = {.stabilise_ms = 30000,
                  .rpc_timeout_ms = 2000,
                  .lookup_timeout_ms = 60000,
                  .successors = (uint32_t)scenario_number(run, "successors"),
                  .lookups = 3},
        .network = {.plane_ms = 100, .access_ms = 10, .delay_us = 500, .jitter_us = 1000},
        .encode = scenario_number(run, "encode") != 0,
    };
    const struct world_client client = {
        .context = &state, .on_timer = on_timer, .on_answer = on_answer};
    struct world *world = world_new(&options, &client);

    if (world == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
    for (size_t i = 0; i < world->count; i++)
        world_start(world, i);
    founding_make_ring(world, scenario_number(run, "near") != 0);
    for (size_t i = 0; i < world->count && scenario_number(run, "table") != 0; i++)
        world_roster(world, i, world->peers, world->count);
    state.gap_us = (uint64_t)(1e9 / scenario_value(run, "rate") / (double)run->nodes);
    world_after(world, 0, 0);
    while (state.ended < state.wanted && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    print(run, world, &state);
    judge(run, world, &state);
    statistics_done(&state.path);
    world_free(world);
    return HF_OK;
}

const struct scenario scenario_lookup = {
    .name = "lookup",
    .summary = "how many peers a lookup visits in a ring without faults",
    .promise =
        "Mean path, the owner counted: <= 3.95, 5.6, 7.3 with 1,000, 10,000, 100,000\n"
        "nodes and lists of 16; <= 1.2 with a location table up to 10,000.  No lookup\n"
        "fails or is wrong.  The original Chord takes half of log2 N.",
    .nodes = 1000,
    .nodes_min = 34,
    .parameters = parameters,
    .run = run_lookup,
};
