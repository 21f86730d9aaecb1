#include "chord/state.h" /* how many samples a node has taken */
#include "sim/founding.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/world.h"

#include <math.h>

#define JOINERS 20u /* one after another, in the settled ring */
#define PAIRS   5000u
#define MEMBERS 50u
#define HOLDERS 6u /* a fetch is from the nearest of them */
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
    "fetch_ms_far\tfetch_ms_near\tgain\ttrace";

struct vivaldi_run {
    struct draw draw;
    bool stopped;
    uint64_t gap_us, fetches;
    double floor, settled, samples; /* medians over all pairs */
    double member, joiner;          /* means of single nodes' medians */
    double fetch_ms[2];             /* fingers and holders by id alone; the nearest */
    bool near;
    struct statistics ms;
};

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct vivaldi_run *state = context;
    struct hf_id key;

    (void)what;
    if (state->stopped) return;
    draw_id(&state->draw, &key);
    world_lookup(world, world_random_live(world), &key, HOLDERS, 0);
    world_after(world, state->gap_us, 0);
}

/* From the first holder, or from the one that the asker expects to be nearest. */
static size_t choose_holder(const struct world *world, const struct vivaldi_run *state,
                            const struct world_answer *answer)
{
    const struct chord_node *asker = world->nodes[answer->asker].node;
    const struct chord_coordinate here = chord_node_coordinate(asker);
    size_t best = 0;

    for (size_t i = 1; i < answer->peer_count && state->near; i++) {
        if (vivaldi_rtt_us(&here, &answer->peers[i].coordinate) <
            vivaldi_rtt_us(&here, &answer->peers[best].coordinate))
            best = i;
    }
    return world_place_of(world, &answer->peers[best].position);
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct vivaldi_run *state = context;
    uint64_t us = world->now_us - answer->started_us;

    if (!answer->found) return;
    us += 2 * network_delay_us(&world->network, answer->asker,
                               choose_holder(world, state, answer));
    (void)statistics_add(&state->ms, (double)us / 1000);
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
        world_lookup(world, place, &key, HOLDERS, 0);
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
        .places = run->nodes + JOINERS,
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

static void fetch(struct world *world, struct vivaldi_run *state, bool near)
{
    state->near = near;
    state->stopped = false;
    statistics_done(&state->ms);
    founding_make_ring(world, near);
    state->gap_us = WORLD_SECOND / 20;
    world_after(world, 0, 0);
    while (state->ms.count < FETCHES && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    state->fetch_ms[near] = statistics_mean(&state->ms);
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

static enum hf_code run_vivaldi(struct scenario_run *run, struct hf_err *err)
{
    struct vivaldi_run state = {.draw = draw_init(run->seed, 50)};
    uint64_t trace = 0;

    for (int round = 0; round < 3; round++) {
        struct world *world = make_world(run, &state, round == 0 ? 30000 : QUIET);

        if (world == NULL)
            return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
        if (round == 0)
            settle(run, world, &state);
        else
            fetch(world, &state, round == 2);
        trace = draw_mix(trace ^ world->trace.state);
        if (round == 2) print(run, &state, trace);
        if (round == 0 || round == 2) judge(run, world, &state);
        world_free(world);
    }
    statistics_done(&state.ms);
    return HF_OK;
}

const struct scenario scenario_vivaldi = {
    .name = "vivaldi",
    .summary = "how well coordinates tell distances, and what near fingers save",
    .promise =
        "The settled median error is at most 1.3 times what exact places would leave; a\n"
        "joiner's, after 32 samples, at most 1.1 times a member's.  Fetches (a lookup and\n"
        "a round trip to a holder) take the first finger of each interval and the first\n"
        "holder, or the nearest of 16 and of 6 (published gain: 2).",
    .nodes = 600,
    .nodes_min = 100,
    .parameters = parameters,
    .run = run_vivaldi,
};
