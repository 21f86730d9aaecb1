#include "sim/founding.h"
#include "sim/probe.h"
#include "sim/scenarios.h"

#define PARTS_MAX     7u
#define PERIODS       5u /* of stabilisation, within which the ring is whole again */
#define CHECKS        4u /* looks per period */
#define DAY           (24 * WORLD_HOUR)
#define NODES_MIN     34u /* 2(r + 1) with the longest list: so it is Zave's ring */
#define NODES_MAX     64u
#define PERIOD_MIN_MS 10000u
#define PERIOD_MAX_MS 600000u

static const struct scenario_parameter parameters[] = {
    {"parts", 0, 0, PARTS_MAX, "parts that the ring is cut into; 0: drawn, 2 to 7"},
    {"minutes", 0, 0, 100000, "for how long; 0: drawn, one minute to three days"},
    {"successors", 0, 0, CHORD_SUCCESSORS_MAX, "list length; 0: drawn, 2, 4, 8 or 16"},
    {"encode", 1, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] = "seed\tnodes\tsuccessors\tparts\tcut_minutes\tperiod_s\t"
                              "healed_periods\tlookups\tfailed\twrong\tsteps\ttrace";

/* What the seed has drawn. */
struct heal {
    size_t nodes;
    uint32_t successors, parts;
    uint64_t cut_us, period_ms;
    double healed_periods;
    struct probe probe;
};

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct heal *heal = context;

    probe_note(&heal->probe, world, answer);
}

static struct heal draw_heal(const struct scenario_run *run, struct draw *draw)
{
    struct heal heal = {.nodes = run->nodes};
    const double minutes = scenario_value(run, "minutes");
    uint64_t period_us;

    if (heal.nodes == 0) heal.nodes = draw_between(draw, NODES_MIN, NODES_MAX);
    heal.successors = 2u << draw_below(draw, 4);
    if (scenario_number(run, "successors") != 0)
        heal.successors = (uint32_t)scenario_number(run, "successors");
    heal.parts = (uint32_t)draw_between(draw, 2, PARTS_MAX);
    if (scenario_number(run, "parts") > 1)
        heal.parts = (uint32_t)scenario_number(run, "parts");
    heal.cut_us = (uint64_t)draw_logarithmic(draw, (double)WORLD_MINUTE, 3.0 * (double)DAY);
    if (minutes > 0) heal.cut_us = (uint64_t)(minutes * (double)WORLD_MINUTE);
    /* A long cut takes more of the same: some dozens of periods show it all. */
    period_us = heal.cut_us / 30;
    heal.period_ms = period_us / 1000;
    if (heal.period_ms < PERIOD_MIN_MS) heal.period_ms = PERIOD_MIN_MS;
    if (heal.period_ms > PERIOD_MAX_MS) heal.period_ms = PERIOD_MAX_MS;
    return heal;
}

static struct world *make_ring(const struct scenario_run *run, struct heal *heal)
{
    const struct world_options options = {
        .seed = run->seed,
        .hosts = heal->nodes,
        .chord = {.stabilise_ms = heal->period_ms,
                  .rpc_timeout_ms = heal->period_ms / 20,
                  .lookup_timeout_ms = heal->period_ms,
                  .successors = heal->successors,
                  .lookups = 8},
        .network = {.plane_ms = 60,
                    .access_ms = 5,
                    .delay_us = 500,
                    .jitter_us = 2000,
                    .loss = 10,
                    .twice = 10,
                    .fair_loss = true},
        .encode = scenario_number(run, "encode") != 0,
    };
    const struct world_client client = {.context = heal, .on_answer = on_answer};
    struct world *world = world_new(&options, &client);

    if (world == NULL) return NULL;
    for (size_t i = 0; i < world->count; i++)
        world_start(world, i);
    founding_make_ring(world, true);
    for (size_t i = 0; i < world->count; i++)
        world_roster(world, i, world->peers, world->count);
    return world;
}

static void cut(struct world *world, uint32_t parts, struct draw *draw)
{
    for (size_t i = 0; i < world->count; i++)
        network_part(&world->network, i, (uint32_t)draw_below(draw, parts));
}

/* The periods that it took; more than PERIODS: it was not done then. */
static double wait_for_ring(struct world *world, uint64_t period_us)
{
    for (unsigned i = 0; i <= PERIODS * CHECKS; i++) {
        if (world_is_ideal(world)) return (double)i / CHECKS;
        world_run(world, period_us / CHECKS);
    }
    return PERIODS + 1;
}

static void print(struct scenario_run *run, const struct world *world,
                  const struct heal *heal)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, heal->nodes);
    table_number(table, heal->successors);
    table_number(table, heal->parts);
    table_real(table, (double)heal->cut_us / (double)WORLD_MINUTE, 1);
    table_real(table, (double)heal->period_ms / 1000, 1);
    table_real(table, heal->healed_periods, 2);
    table_number(table, heal->probe.ended);
    table_number(table, heal->probe.failed);
    table_number(table, heal->probe.wrong);
    table_number(table, world->steps);
    table_hex(table, world->trace.state);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct heal *heal)
{
    const struct probe *probe = &heal->probe;

    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (heal->healed_periods > PERIODS)
        scenario_break(run, world->now_us, "%u parts are no ideal ring after %u periods",
                       heal->parts, PERIODS);
    else if (probe->ended < probe->started || probe->failed + probe->wrong > 0)
        scenario_break(run, world->now_us,
                       "of %llu lookups %llu ended, %llu failed, %llu were wrong",
                       (unsigned long long)probe->started, (unsigned long long)probe->ended,
                       (unsigned long long)probe->failed, (unsigned long long)probe->wrong);
}

static enum hf_code run_heal(struct scenario_run *run, struct hf_err *err)
{
    struct draw draw = draw_init(run->seed, 30);
    struct heal heal = draw_heal(run, &draw);
    const uint64_t period_us = heal.period_ms * 1000;
    struct world *world = make_ring(run, &heal);

    if (world == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", heal.nodes);
    world_run(world, period_us);
    cut(world, heal.parts, &draw);
    world_run(world, heal.cut_us);
    network_heal(&world->network);
    heal.healed_periods = wait_for_ring(world, period_us);
    probe_all(&heal.probe, world, &draw);
    world_run(world, 2 * period_us);
    print(run, world, &heal);
    judge(run, world, &heal);
    world_free(world);
    return HF_OK;
}

const struct scenario scenario_heal = {
    .name = "heal",
    .summary = "a ring is cut into parts for minutes to days, then they see each other",
    .promise =
        "One ideal ring again within 5 stabilisation periods of contact, and then every\n"
        "lookup is right.  Nodes, if not given: drawn, 34 to 64.",
    .nodes = 0,
    .nodes_min = NODES_MIN,
    .parameters = parameters,
    .run = run_heal,
};
