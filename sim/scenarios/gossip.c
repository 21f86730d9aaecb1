#include "sim/gossip_numbers.h"
#include "sim/scenarios.h"

#include <math.h>

#define SECOND_US      UINT64_C(1000000)
#define ROUND_US       (2 * SECOND_US)       /* GOSSIP_ROUND_MS of the daemon */
#define PASS_ON_US     (50 * UINT64_C(1000)) /* GOSSIP_SPREAD_MS */
#define SETTLE_ROUNDS  12u                   /* links are made meanwhile */
#define CUT_ROUNDS     5u                    /* that the halves do not see each other */
#define NEWS_EVERY     3u /* of so many members, one has news for its half */
#define ROUNDS_PROMISE 1u /* times log2 N */
#define STEPS_PROMISE  4u /* times log2 N: digest, digest, facts; one more for losses */
#define PATIENCE       8u /* times what is promised */

static const size_t sizes[] = {64, 256, 1024, 4096};

static const struct scenario_parameter parameters[] = {
    {"plane", 100, 0, 1000, "ms: side of the square in which nodes lie"},
    {"access", 10, 0, 1000, "ms: mean round trip over an access link"},
    {"delay", 0.5, 0.001, 10000, "ms: of every message beside that, one way"},
    {"connect", 5, 0.001, 60, "s until an attempt to reach a dead member has failed"},
    {"loss", 0, 0, 0.25, "of all messages, lost"},
    {"dead", 0, 0, 0.5, "of all members, silent"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tdead\tloss\tnews_ms\tnews_rounds\tnews_steps\tnews_messages\tnews_facts\t"
    "halves_ms\thalves_rounds\thalves_steps\thalves_messages\thalves_facts\t"
    "rounds_promise\tsteps_promise\ttrace";

/* Until all that live know the same. */
struct spreading {
    uint64_t us; /* UINT64_MAX: they never did */
    uint64_t steps;
    double messages, facts; /* of each that lives */
};

static double promised_rounds(size_t nodes)
{
    return ROUNDS_PROMISE * log2((double)nodes);
}

static double promised_steps(size_t nodes)
{
    return STEPS_PROMISE * log2((double)nodes);
}

static double rounds(uint64_t us)
{
    return (double)us / (double)ROUND_US;
}

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

static size_t count_live(const struct gossip_world *world)
{
    size_t live = 0;

    for (size_t i = 0; i < world->count; i++)
        live += world->nodes[i].alive;
    return live;
}

static struct spreading spread_out(struct gossip_world *world)
{
    const double most_us = PATIENCE * promised_rounds(world->count) * (double)ROUND_US;
    const double live = (double)count_live(world);
    struct spreading spreading;

    spreading.us = gossip_world_until_agreed(world, (uint64_t)most_us);
    spreading.steps = gossip_world_depth(world);
    spreading.messages = (double)(world->digests + world->bundles) / live;
    spreading.facts = (double)world->told / live;
    return spreading;
}

/* Somebody's addresses have changed. */
static struct spreading spread_news(struct gossip_world *world)
{
    size_t at = draw_below(&world->draw, world->count);

    while (!world->nodes[at].alive)
        at = (at + 1) % world->count;
    gossip_world_count(world);
    gossip_numbers_announce(world, at);
    return spread_out(world);
}

/* Two halves, with news on both sides, see each other again. */
static struct spreading spread_halves(struct gossip_world *world)
{
    for (size_t i = 0; i < world->count; i++)
        world->nodes[i].side = draw_chance(&world->draw, 500);
    gossip_world_cut(world);
    for (size_t i = 0; i < world->count; i += NEWS_EVERY) {
        if (world->nodes[i].alive) gossip_numbers_announce(world, i);
    }
    gossip_world_run(world, CUT_ROUNDS * ROUND_US);
    for (size_t i = 0; i < world->count; i++)
        world->nodes[i].side = 0;
    gossip_world_count(world);
    return spread_out(world);
}

static void let_die(struct gossip_world *world, size_t dead)
{
    for (size_t i = 0; i < world->count; i++) {
        if (draw_below(&world->draw, world->count - i) >= dead) continue;
        gossip_world_sleep(world, i);
        dead--;
    }
}

static struct gossip_world *settled_world(const struct scenario_run *run, size_t nodes)
{
    const struct gossip_world_options options = {
        .seed = run->seed,
        .nodes = nodes,
        .network = {.plane_ms = scenario_value(run, "plane"),
                    .access_ms = scenario_value(run, "access"),
                    .delay_us = (uint64_t)(1000 * scenario_value(run, "delay"))},
        .round_us = ROUND_US,
        .pass_on_us = PASS_ON_US,
        .connect_us = (uint64_t)(scenario_value(run, "connect") * (double)SECOND_US),
    };
    const size_t dead = (size_t)(scenario_value(run, "dead") * (double)nodes);
    struct gossip_world *world = gossip_numbers_new(&options);

    if (world == NULL) return NULL;
    gossip_world_run(world, SETTLE_ROUNDS * ROUND_US);
    let_die(world, dead);
    world->network.options.loss = (unsigned)(1000 * scenario_value(run, "loss"));
    return world;
}

static void print_spreading(struct table *table, const struct spreading *spreading)
{
    if (spreading->us == UINT64_MAX) {
        table_text(table, "-");
        table_text(table, "-");
    } else {
        table_real(table, ms(spreading->us), 0);
        table_real(table, rounds(spreading->us), 2);
    }
    table_number(table, spreading->steps);
    table_real(table, spreading->messages, 1);
    table_real(table, spreading->facts, 1);
}

static void print(const struct scenario_run *run, const struct gossip_world *world,
                  const struct spreading *news, const struct spreading *halves)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, world->count);
    table_real(table, scenario_value(run, "dead"), 2);
    table_real(table, scenario_value(run, "loss"), 2);
    print_spreading(table, news);
    print_spreading(table, halves);
    table_real(table, promised_rounds(world->count), 1);
    table_real(table, promised_steps(world->count), 1);
    table_hex(table, world->trace.state);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct gossip_world *world,
                  const char *what, const struct spreading *spreading)
{
    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (spreading->us == UINT64_MAX)
        scenario_break(run, world->now_us, "%s: %zu nodes do not come to know the same",
                       what, world->count);
    else if (rounds(spreading->us) > promised_rounds(world->count))
        scenario_break(run, world->now_us, "%s: %zu nodes: %.2f rounds, promised %.1f",
                       what, world->count, rounds(spreading->us),
                       promised_rounds(world->count));
    else if ((double)spreading->steps > promised_steps(world->count))
        scenario_break(run, world->now_us, "%s: %zu nodes: %llu steps, promised %.1f", what,
                       world->count, (unsigned long long)spreading->steps,
                       promised_steps(world->count));
}

static enum hf_code run_size(struct scenario_run *run, size_t nodes, struct hf_err *err)
{
    struct gossip_world *world = settled_world(run, nodes);
    struct spreading news, halves;

    if (world == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", nodes);
    news = spread_news(world);
    halves = spread_halves(world);
    print(run, world, &news, &halves);
    judge(run, world, "news", &news);
    judge(run, world, "halves", &halves);
    gossip_world_free(world);
    return HF_OK;
}

static enum hf_code run_gossip(struct scenario_run *run, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (run->nodes > 0) return run_size(run, run->nodes, err);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && rc == HF_OK; i++)
        rc = run_size(run, sizes[i], err);
    return rc;
}

const struct scenario scenario_gossip = {
    .name = "gossip",
    .summary = "how fast the roster's news reach everybody, and two halves that met again",
    .promise =
        "Until all that live know one member's news, and until two halves with news of\n"
        "their own that met again know everything: at most log2 N rounds of 2 s, and\n"
        "4 log2 N messages one after another, also with losses and dead members.\n"
        "Without --nodes (0): 64, 256, 1,024 and 4,096, a row each.",
    .nodes = 0,
    .nodes_min = 64,
    .parameters = parameters,
    .run = run_gossip,
};
