#include "base/alloc.h"
#include "sim/founding.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/world.h"

#include <math.h>
#include <stdlib.h>

#define CONTACTS 4u  /* members that a joiner knows */
#define WARM_UP  10u /* stabilisation periods before anything is counted */
#define WANTED   6u  /* successors asked for */

static const struct scenario_parameter parameters[] = {
    {"rate", 0, 0, 10,
     "joins, and failures, per second; 0: rows for .05 to .40, and one "
     "with half the nodes and 3 failures per stabilisation"},
    {"lookups", 10000, 1, 1e8, "random keys asked for by random members"},
    {"minutes", 60, 1, 1e5, "time in which they are asked for"},
    {"stabilise", 30, 1, 3600, "seconds between stabilisations"},
    {"successors", 16, 2, CHORD_SUCCESSORS_MAX, "length of the successor lists"},
    {"positions", 1, 1, CHORD_POSITIONS_MAX, "hosts stand on 1 to so many, powers of two"},
    {"encode", 0, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] =
    "seed\tnodes\trate\tlookups\tfailed\twrong\tnewcomer\tfailed_per_"
    "10000\tpublished\ttimeouts\t"
    "timeouts_published\tpath\tp99_ms\tbytes_per_node_second\tjoins\tfailures\tlive\ttrace";

enum what { WHAT_JOIN, WHAT_FAIL, WHAT_LOOKUP };

struct churn {
    struct draw draw;
    double rate, lookup_rate;
    bool counting;
    uint64_t started, ended, failed, wrong, newcomer, joins, failures;
    struct statistics timeouts, path, ms;
};

static size_t random_member(struct world *world)
{
    size_t place;

    do {
        place = world_random_live(world);
    } while (!world_is_member(world, place));
    return place;
}

/* By its first position: each host alike, however many it has. */
static size_t random_host(struct world *world)
{
    size_t place;

    do {
        place = random_member(world);
    } while (world->peers[place].index > 0);
    return world_host_of(world, place);
}

static void join(struct world *world, struct churn *state)
{
    size_t contacts[CONTACTS];
    size_t host;

    if (world->live == world->count) return;
    for (unsigned i = 0; i < CONTACTS; i++)
        contacts[i] = random_member(world);
    do {
        host = draw_below(&state->draw, world->host_count);
    } while (world_host_is_live(world, host));
    world_start(world, host);
    for (unsigned i = 0; i < CONTACTS; i++)
        world_join(world, host, contacts[i]);
    state->joins++;
}

static void after(struct world *world, struct churn *state, enum what what, double rate)
{
    const double wait_s = draw_exponential(&state->draw, 1 / rate);

    world_after(world, 1 + (uint64_t)(wait_s * 1e6), what);
}

/* The first live member at or after the key: whoever is still joining owns nothing. */
static size_t member_owner(const struct world *world, const struct hf_id *key)
{
    size_t place = world_place_at(world, key);

    while (!world_is_member(world, place))
        place = (place + 1) % world->count;
    return place;
}

static void lookup(struct world *world, struct churn *state)
{
    struct hf_id key;

    draw_id(&state->draw, &key);
    state->started++;
    world_lookup(world, random_member(world), &key, WANTED, member_owner(world, &key));
}

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct churn *state = context;

    switch ((enum what)what) {
    case WHAT_JOIN:
        join(world, state);
        after(world, state, WHAT_JOIN, state->rate);
        break;
    case WHAT_FAIL:
        world_crash(world, random_host(world));
        state->failures++;
        after(world, state, WHAT_FAIL, state->rate);
        break;
    case WHAT_LOOKUP:
        if (!state->counting) break;
        lookup(world, state);
        after(world, state, WHAT_LOOKUP, state->lookup_rate);
        break;
    }
}

/* News of a member takes a period to go one entry back through a successor list. */
static bool is_newcomer(const struct world *world, size_t place)
{
    const uint64_t news_us = world->options.chord.successors *
                             world->options.chord.stabilise_ms * (WORLD_SECOND / 1000);

    return world->hosts[world_host_of(world, place)].started_us + news_us > world->now_us;
}

/* Right is who owned the key when the lookup began (answer->user), or does now.  One that
 * leaves out a newcomer names those who have had the key's data so far. */
static void note_found(struct world *world, struct churn *state,
                       const struct world_answer *answer)
{
    const size_t found = world_first_live(world, answer);
    const size_t owner = member_owner(world, &answer->key);

    if (found == owner || found == answer->user) return;
    if (is_newcomer(world, owner))
        state->newcomer++;
    else
        state->wrong++;
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct churn *state = context;

    state->ended++;
    if (!answer->found) {
        state->failed++;
    } else {
        note_found(world, state, answer);
        (void)statistics_add(&state->path, answer->path);
    }
    (void)statistics_add(&state->timeouts, answer->questions - answer->answers);
    (void)statistics_add(&state->ms, (double)(world->now_us - answer->started_us) / 1000);
}

/* Stoica et al., ToN 2003, table II. */
static double published(double rate, double least, double most)
{
    return least + (most - least) * (rate - 0.05) / 0.35;
}

static double per_10000(const struct churn *state)
{
    return 10000 * (double)(state->failed + state->wrong) / (double)state->ended;
}

static void print(struct scenario_run *run, const struct world *world, struct churn *state,
                  size_t nodes, double seconds)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, nodes);
    table_real(table, state->rate, 2);
    table_number(table, state->ended);
    table_number(table, state->failed);
    table_number(table, state->wrong);
    table_number(table, state->newcomer);
    table_real(table, per_10000(state), 1);
    table_real(table, published(state->rate, 3, 15), 1);
    table_real(table, statistics_mean(&state->timeouts), 3);
    table_real(table, published(state->rate, 0.05, 0.46), 2);
    table_real(table, statistics_mean(&state->path), 2);
    table_real(table, statistics_percentile(&state->ms, 99), 0);
    table_real(table, (double)world->bytes / seconds / (double)world->live, 1);
    table_number(table, state->joins);
    table_number(table, state->failures);
    table_number(table, world->live);
    table_hex(table, world->trace.state);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct churn *state)
{
    /* Three standard deviations of so rare an event may go beyond the mean. */
    const double expected = published(state->rate, 3, 15) / 10000 * (double)state->ended;
    const double most = expected + 3 * sqrt(expected) + 1;

    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (state->rate >= 0.05 && state->rate <= 0.4 &&
             (double)(state->failed + state->wrong) > most)
        scenario_break(run, world->now_us,
                       "%.2f joins and failures a second: %.1f of 10,000 lookups failed, "
                       "published %.1f",
                       state->rate, per_10000(state), published(state->rate, 3, 15));
}

/* Of so many hosts; NULL: no memory. */
static uint32_t *draw_positions(const struct scenario_run *run, size_t hosts)
{
    const double most = log2(scenario_value(run, "positions"));
    struct draw draw = draw_init(run->seed, 21);
    uint32_t *positions = hf_alloc_array(hosts, sizeof *positions);

    for (size_t i = 0; positions != NULL && i < hosts; i++)
        positions[i] = UINT32_C(1) << draw_below(&draw, (uint64_t)most + 1);
    return positions;
}

static struct world *make_world(const struct scenario_run *run, struct churn *state,
                                size_t nodes, double seconds)
{
    const size_t hosts = nodes + 200 + (size_t)(1.5 * state->rate * seconds);
    uint32_t *positions = draw_positions(run, hosts);
    const struct world_options options = {
        .seed = run->seed,
        .hosts = hosts,
        .positions = positions,
        .chord = {.stabilise_ms = 1000 * scenario_number(run, "stabilise"),
                  .rpc_timeout_ms = 1000,
                  .lookup_timeout_ms = 20000,
                  .successors = (uint32_t)scenario_number(run, "successors"),
                  .lookups = 8},
        .network = {.plane_ms = 100, .access_ms = 10, .delay_us = 500, .jitter_us = 1000},
        .encode = scenario_number(run, "encode") != 0,
        .count_bytes = true,
    };
    const struct world_client client = {
        .context = state, .on_timer = on_timer, .on_answer = on_answer};
    struct world *world = positions != NULL ? world_new(&options, &client) : NULL;

    free(positions);
    if (world == NULL) return NULL;
    while (world->live < nodes && world->broken == NULL) {
        const size_t host = draw_below(&state->draw, world->host_count);

        if (!world_host_is_live(world, host)) world_start(world, host);
    }
    founding_make_ring(world, true);
    return world;
}

static enum hf_code run_rate(struct scenario_run *run, size_t nodes, double rate,
                             struct hf_err *err)
{
    const double seconds = 60 * scenario_value(run, "minutes");
    struct churn state = {.draw = draw_init(run->seed, 20),
                          .rate = rate,
                          .lookup_rate = scenario_value(run, "lookups") / seconds};
    struct world *world = make_world(run, &state, nodes, seconds);

    if (world == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", nodes);
    after(world, &state, WHAT_JOIN, rate);
    after(world, &state, WHAT_FAIL, rate);
    world_run(world, WARM_UP * scenario_number(run, "stabilise") * WORLD_SECOND);
    state.counting = true;
    world->bytes = 0;
    after(world, &state, WHAT_LOOKUP, state.lookup_rate);
    world_run(world, (uint64_t)seconds * WORLD_SECOND);
    state.counting = false;
    print(run, world, &state, nodes, seconds);
    judge(run, world, &state);
    statistics_done(&state.timeouts);
    statistics_done(&state.path);
    statistics_done(&state.ms);
    world_free(world);
    return HF_OK;
}

static enum hf_code run_churn(struct scenario_run *run, struct hf_err *err)
{
    static const double rates[] = {0.05, 0.1, 0.2, 0.3, 0.4};
    const double only = scenario_value(run, "rate");
    enum hf_code rc = HF_OK;

    if (only > 0) return run_rate(run, run->nodes, only, err);
    for (size_t i = 0; rc == HF_OK && i < sizeof rates / sizeof *rates; i++)
        rc = run_rate(run, run->nodes, rates[i], err);
    if (rc != HF_OK) return rc;
    return run_rate(run, run->nodes / 2, 3 / scenario_value(run, "stabilise"), err);
}

const struct scenario scenario_churn = {
    .name = "churn",
    .summary = "members join and fail all the time, lookups go on",
    .promise =
        "With .05 to .40 joins and failures a second: no more lookups without an answer\n"
        "or with a wrong one than Stoica et al. published (ToN 2003: 3 to 15 of 10,000).",
    .nodes = 1000,
    .nodes_min = 68,
    .parameters = parameters,
    .run = run_churn,
};
