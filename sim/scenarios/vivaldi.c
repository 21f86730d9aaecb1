#include "chord/state.h" /* how many samples a node has taken */
#include "sim/founding.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/stock.h"

#include <math.h>

#define JOINERS 20u /* one after another, in the settled ring */
#define PAIRS   5000u
#define MEMBERS 50u
#define WANTED  6u /* successors that a lookup asks for while coordinates settle */
#define BLOCKS  300u
#define FETCHES 4000u
#define QUIET   1000000000u /* ms: nobody stabilises while fetches are measured */

static const struct scenario_parameter parameters[] = {
    {"sigma", 0.15, 0, 1, "of the logarithm of the factor that each pair's distance has"},
    {"minutes", 30, 1, 10000, "time in which the coordinates settle"},
    {"lookups", 0.5, 0.01, 10, "lookups of each node per second meanwhile"},
    {"samples", 32, 4, 10000, "after which a joiner is judged"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tfloor\tsettled\tsettled_promise\tsamples\tjoiner\tjoiner_promise\t"
    "fetch_ms_far\tfetch_ms_near\tgain\tlookup_ms_far\tlookup_ms_near\ttrace";

struct vivaldi_run {
    struct draw draw;
    uint64_t gap_us;
    double floor, settled, samples; /* medians over all pairs */
    double member, joiner;          /* means of single nodes' medians */
    /* Of a fetch, and of the lookup in it: fingers and holders by id alone; the nearest. */
    double fetch_ms[2], lookup_ms[2];
    struct statistics lookups_ms;
    struct stock stock;
};

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct vivaldi_run *state = context;
    struct hf_id key;

    (void)what;
    draw_id(&state->draw, &key);
    world_lookup(world, world_random_live(world), &key, WANTED, 0);
    world_after(world, state->gap_us, 0);
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct vivaldi_run *state = context;

    if (state->stock.storage == NULL || !storage_answer(state->stock.storage, answer))
        return;
    if (!statistics_add(&state->lookups_ms,
                        (double)(world->now_us - answer->started_us) / 1000))
        world_break(world, "the simulator is out of memory");
}

/* Between what two nodes' coordinates say and what is so. */
static double pair_error(const struct world *world, size_t a, size_t b)
{
    const struct chord_coordinate from = chord_node_coordinate(world->nodes[a].node);
    const struct chord_coordinate to = chord_node_coordinate(world->nodes[b].node);
    const double is_us = 2 * (double)network_delay_us(&world->network, a, b);

    return fabs((double)vivaldi_rtt_us(&from, &to) - is_us) / is_us;
}

static double median_error(struct world *world, size_t of)
{
    struct statistics errors = {0};
    double median;

    for (size_t i = 0; i < PAIRS; i++) {
        const size_t a = of == WORLD_NOBODY ? world_random_live(world) : of;
        const size_t b = world_random_live(world);

        if (a != b) (void)statistics_add(&errors, pair_error(world, a, b));
    }
    median = statistics_percentile(&errors, 50);
    statistics_done(&errors);
    return median;
}

/* A joiner is compared with single members, not with the median of all pairs: a node
 * that is badly placed counts as one of either. */
static double member_error(struct world *world)
{
    double sum = 0;

    for (unsigned i = 0; i < MEMBERS; i++)
        sum += median_error(world, world_random_live(world));
    return sum / MEMBERS;
}

/* What would be left if everybody knew exactly where it is. */
static double floor_error(struct world *world)
{
    struct statistics errors = {0};
    double median;

    for (size_t i = 0; i < PAIRS; i++) {
        const size_t a = world_random_live(world);
        const size_t b = world_random_live(world);
        const double is_us = 2 * (double)network_delay_us(&world->network, a, b);

        if (a == b) continue;
        (void)statistics_add(
            &errors, fabs(network_plain_rtt_us(&world->network, a, b) - is_us) / is_us);
    }
    median = statistics_percentile(&errors, 50);
    statistics_done(&errors);
    return median;
}

static double mean_samples(const struct world *world)
{
    double sum = 0;

    for (size_t i = 0; i < world->count; i++) {
        if (world_is_live(world, i)) sum += (double)world->nodes[i].node->vivaldi.samples;
    }
    return sum / (double)world->live;
}

/* The median error of a node that has just joined and taken so many samples. */
static double join_one(struct world *world, struct vivaldi_run *state, size_t place,
                       uint64_t samples)
{
    const size_t contact = world_random_live(world);
    double error;

    world_start(world, place);
    world_join(world, place, contact);
    while (world->broken == NULL && world->nodes[place].node->vivaldi.samples < samples) {
        struct hf_id key;

        draw_id(&state->draw, &key);
        world_lookup(world, place, &key, WANTED, 0);
        world_run(world, WORLD_SECOND);
    }
    error = median_error(world, place);
    world_leave(world, place);
    return error;
}

static struct world *make_world(const struct scenario_run *run, struct vivaldi_run *state,
                                uint64_t stabilise_ms)
{
    const struct world_options options = {
        .seed = run->seed,
        .hosts = run->nodes + JOINERS,
        .chord = {.stabilise_ms = stabilise_ms,
                  .rpc_timeout_ms = 2000,
                  .lookup_timeout_ms = 20000,
                  .successors = CHORD_SUCCESSORS_MAX,
                  .lookups = CHORD_LOOKUPS_MAX},
        .network = {.plane_ms = 100,
                    .access_ms = 10,
                    .violation = scenario_value(run, "sigma"),
                    .delay_us = 1000,
                    .jitter_us = 1000},
    };
    const struct world_client client = {
        .context = state, .on_timer = on_timer, .on_answer = on_answer};
    struct world *world = world_new(&options, &client);

    if (world == NULL) return NULL;
    for (size_t i = 0; i < world->count; i++) {
        if (i % (run->nodes / JOINERS + 1) != 0 ||
            i / (run->nodes / JOINERS + 1) >= JOINERS)
            world_start(world, i);
    }
    return world;
}

static void settle(struct scenario_run *run, struct world *world, struct vivaldi_run *state)
{
    const double per_second = scenario_value(run, "lookups") * (double)run->nodes;
    double sum = 0;
    unsigned joiners = 0;

    founding_make_ring(world, false);
    state->gap_us = 1 + (uint64_t)(1e6 / per_second);
    world_after(world, 0, 0);
    world_run(world, (uint64_t)(60 * scenario_value(run, "minutes")) * WORLD_SECOND);
    state->floor = floor_error(world);
    state->settled = median_error(world, WORLD_NOBODY);
    state->samples = mean_samples(world);
    state->member = member_error(world);
    for (size_t i = 0; i < world->count && world->broken == NULL; i++) {
        if (world_is_live(world, i)) continue;
        sum += join_one(world, state, i, scenario_number(run, "samples"));
        joiners++;
    }
    state->joiner = sum / joiners;
}

/* Blocks cut 7 of 14, each fetch by any member. */
static void fetch(struct world *world, struct vivaldi_run *state, bool near)
{
    struct stock *stock = &state->stock;

    founding_make_ring(world, near);
    for (size_t i = 0; i < BLOCKS && world->broken == NULL; i++) {
        (void)stock_put(stock, world_random_live(world), 7, 14);
        world_run(world, WORLD_SECOND / 20);
    }
    statistics_done(&state->lookups_ms);
    for (size_t i = 0; i < FETCHES && world->broken == NULL; i++) {
        stock_fetch(stock, world_random_live(world), draw_below(&state->draw, BLOCKS));
        world_run(world, WORLD_SECOND / 20);
    }
    world_run(world, WORLD_MINUTE);
    state->fetch_ms[near] = statistics_mean(&stock->fetch_ms);
    state->lookup_ms[near] = statistics_mean(&state->lookups_ms);
    if (stock->fetch_ms.count < FETCHES) world_break(world, "a fetch failed");
}

static void print(struct scenario_run *run, const struct vivaldi_run *state, uint64_t trace)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, run->nodes);
    table_real(table, state->floor, 4);
    table_real(table, state->settled, 4);
    table_real(table, 1.3 * state->floor, 4);
    table_real(table, state->samples, 0);
    table_real(table, state->joiner, 4);
    table_real(table, 1.1 * state->member, 4);
    table_real(table, state->fetch_ms[0], 1);
    table_real(table, state->fetch_ms[1], 1);
    table_real(table, state->fetch_ms[0] / state->fetch_ms[1], 2);
    table_real(table, state->lookup_ms[0], 1);
    table_real(table, state->lookup_ms[1], 1);
    table_hex(table, trace);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct vivaldi_run *state)
{
    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (state->settled > 1.3 * state->floor)
        scenario_break(run, world->now_us, "settled median error %.4f, floor %.4f",
                       state->settled, state->floor);
    else if (state->joiner > 1.1 * state->member)
        scenario_break(run, world->now_us, "a joiner's median error %.4f, a member's %.4f",
                       state->joiner, state->member);
}

/* First the coordinates; then fetches without proximity, and with it. */
static enum hf_code run_round(struct scenario_run *run, struct vivaldi_run *state,
                              int round, uint64_t *trace, struct hf_err *err)
{
    const struct storage_options storage = {.haste = 1, .distances = round == 2};
    struct world *world = make_world(run, state, round == 0 ? 30000 : QUIET);
    enum hf_code rc = HF_OK;

    if (world == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
    if (round > 0 && !stock_init(&state->stock, world, &storage)) {
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
        goto out;
    }
    if (round == 0)
        settle(run, world, state);
    else
        fetch(world, state, round == 2);
    *trace = draw_mix(*trace ^ world->trace.state);
    if (round == 2) print(run, state, *trace);
    judge(run, world, state);
out:
    world_free(world);
    stock_done(&state->stock);
    return rc;
}

static enum hf_code run_vivaldi(struct scenario_run *run, struct hf_err *err)
{
    struct vivaldi_run state = {.draw = draw_init(run->seed, 50)};
    uint64_t trace = 0;
    enum hf_code rc = HF_OK;

    for (int round = 0; rc == HF_OK && round < 3; round++)
        rc = run_round(run, &state, round, &trace, err);
    statistics_done(&state.lookups_ms);
    return rc;
}

const struct scenario scenario_vivaldi = {
    .name = "vivaldi",
    .summary = "how well coordinates tell distances, and what near fingers save",
    .promise =
        "The settled median error is at most 1.3 times what exact places would leave; a\n"
        "joiner's, after 32 samples, at most 1.1 times a member's.  Fetches (a lookup,\n"
        "then 7 of 14 fragments by dht/, no disk, no bandwidth) take the first finger of\n"
        "each interval and the first 7 holders, or the nearest of 16 and of 15 (published\n"
        "gain: 2); none fails.",
    .nodes = 600,
    .nodes_min = 100,
    .parameters = parameters,
    .run = run_vivaldi,
};
