#include "base/alloc.h"
#include "sim/founding.h"
#include "sim/liar.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/world.h"

#include <stdlib.h>

#define DEAD_PERMILLE 20u /* of the roster: there is somebody dead to be named */

static const struct scenario_parameter parameters[] = {
    {"lookups", 5000, 1, 1e7, "random keys asked for by honest members"},
    {"fraction", -1, -1, 0.5, "of the members that lie; -1: rows for 0, .1, .2 and .3"},
    {"kind", -1, -1, LIAR_KINDS,
     "0 name themselves, 1 name liars, 2 name the dead and the made up, 3 stall, 4 some of "
     "each; -1: rows for each"},
    {"wanted", 15, 1, CHORD_SUCCESSORS_MAX, "successors that a lookup asks for"},
    {"roster", 1, 0, 1, "1: members hold answers against the roster"},
    {"minutes", 10, 1, 1e5, "time in which they ask; liars mislead stabilisation too"},
    {"encode", 0, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tliars\tkind\troster\tlookups\tright\twrong\tfailed\tleft_out\thops\t"
    "timeouts\tms\tp99_ms\ttrace";

struct liars {
    struct draw draw;
    unsigned kind; /* LIAR_KINDS: some of each */
    uint32_t wanted;
    uint64_t gap_us, lookups, started, ended, wrong, failed, left_out;
    struct statistics hops, timeouts, ms;
};

static bool tamper(struct world *world, void *context, size_t from,
                   struct chord_message *message)
{
    struct liars *state = context;
    const enum liar_kind kind =
        state->kind < LIAR_KINDS ? state->kind : (unsigned)from % LIAR_KINDS;

    return liar_answer(world, &state->draw, kind, from, message);
}

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct liars *state = context;
    struct hf_id key;
    size_t asker;

    (void)what;
    do {
        asker = world_random_live(world);
    } while (world->hosts[world_host_of(world, asker)].liar);
    draw_id(&state->draw, &key);
    world_lookup(world, asker, &key, state->wanted, 0);
    if (++state->started < state->lookups) world_after(world, state->gap_us, 0);
}

static bool is_honest(const struct world *world, size_t place)
{
    return world_is_live(world, place) && !world->hosts[world_host_of(world, place)].liar;
}

static bool is_named(const struct world *world, const struct world_answer *answer,
                     size_t place)
{
    for (size_t i = 0; i < answer->peer_count; i++) {
        if (chord_peer_equal(&answer->peers[i], &world->peers[place])) return true;
    }
    return false;
}

/* Of the first `wanted` live members, the answer names each that is honest: so every
 * holder of a block.  A liar may hide itself: it may as well be dead. */
static bool names_honest(const struct world *world, const struct world_answer *answer,
                         uint32_t wanted)
{
    size_t place = world_place_at(world, &answer->key);

    for (uint32_t seen = 0; seen < wanted; place = (place + 1) % world->count) {
        if (is_honest(world, place) && !is_named(world, answer, place)) return false;
        seen += world_is_live(world, place);
    }
    return true;
}

/* No honest member stands before the first that is named and lives. */
static bool is_right(const struct world *world, const struct world_answer *answer)
{
    const size_t found = world_first_live(world, answer);
    size_t place = world_place_at(world, &answer->key);

    while (place != found && !is_honest(world, place))
        place = (place + 1) % world->count;
    return place == found;
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct liars *state = context;
    const double ms = (double)(world->now_us - answer->started_us) / 1000;

    state->ended++;
    if (!answer->found)
        state->failed++;
    else if (!is_right(world, answer))
        state->wrong++;
    else if (!names_honest(world, answer, state->wanted))
        state->left_out++;
    if (!statistics_add(&state->hops, answer->hops) ||
        !statistics_add(&state->timeouts, answer->timeouts) ||
        !statistics_add(&state->ms, ms))
        world_break(world, "the simulator is out of memory");
}

static struct world *make_world(const struct scenario_run *run, struct liars *state)
{
    const struct world_options options = {
        .seed = run->seed,
        .hosts = run->nodes,
        .chord = {.stabilise_ms = 30000,
                  .rpc_timeout_ms = 1000,
                  .lookup_timeout_ms = 20000,
                  .successors = CHORD_SUCCESSORS_MAX,
                  .lookups = CHORD_LOOKUPS_MAX},
        .network = {.plane_ms = 100, .access_ms = 10, .delay_us = 500, .jitter_us = 1000},
        .encode = scenario_number(run, "encode") != 0,
    };
    const struct world_client client = {
        .context = state, .on_timer = on_timer, .on_answer = on_answer, .tamper = tamper};
    struct world *world = world_new(&options, &client);

    if (world == NULL) return NULL;
    for (size_t i = 0; i < world->count; i++) {
        if (!draw_chance(&state->draw, DEAD_PERMILLE)) world_start(world, i);
    }
    founding_make_ring(world, true);
    return world;
}

static void choose_liars(struct world *world, struct liars *state, double fraction)
{
    uint64_t left = (uint64_t)(fraction * (double)world->live + 0.5);

    while (left > 0) {
        const size_t place = draw_below(&state->draw, world->count);

        if (!world_is_live(world, place) || world->hosts[world_host_of(world, place)].liar)
            continue;
        world->hosts[world_host_of(world, place)].liar = true;
        left--;
    }
}

static const char *kind_name(unsigned kind)
{
    static const char *const names[] = {"self", "liars", "nobody", "stall", "mixed"};

    return names[kind];
}

static void print(struct scenario_run *run, struct liars *state, double fraction,
                  uint64_t trace)
{
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, run->nodes);
    table_real(table, fraction, 2);
    table_text(table, kind_name(state->kind));
    table_number(table, scenario_number(run, "roster"));
    table_number(table, state->ended);
    table_number(table, state->ended - state->failed - state->wrong);
    table_number(table, state->wrong);
    table_number(table, state->failed);
    table_number(table, state->left_out);
    table_real(table, statistics_mean(&state->hops), 2);
    table_real(table, statistics_mean(&state->timeouts), 2);
    table_real(table, statistics_mean(&state->ms), 0);
    table_real(table, statistics_percentile(&state->ms, 99), 0);
    table_hex(table, trace);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct liars *state, double fraction)
{
    if (world->broken != NULL)
        scenario_break(run, world->now_us, "%s", world->broken);
    else if (fraction <= 0.2 && scenario_number(run, "roster") != 0 &&
             state->wrong + state->failed > 0)
        scenario_break(run, world->now_us,
                       "%.0f %% lie (%s): of %llu lookups %llu were wrong, %llu failed",
                       100 * fraction, kind_name(state->kind),
                       (unsigned long long)state->ended, (unsigned long long)state->wrong,
                       (unsigned long long)state->failed);
}

static void take_course(struct scenario_run *run, struct world *world, struct liars *state,
                        double fraction)
{
    for (size_t i = 0; i < world->count && scenario_number(run, "roster") != 0; i++) {
        if (world_is_live(world, i)) world_roster(world, i, world->peers, world->count);
    }
    choose_liars(world, state, fraction);
    world_after(world, 0, 0);
    while (state->ended < state->lookups && world->broken == NULL)
        world_run(world, WORLD_SECOND);
    print(run, state, fraction, world->trace.state);
    judge(run, world, state, fraction);
}

static enum hf_code run_row(struct scenario_run *run, double fraction, unsigned kind,
                            struct hf_err *err)
{
    struct liars state = {.draw = draw_init(run->seed, 70),
                          .kind = kind,
                          .wanted = (uint32_t)scenario_number(run, "wanted"),
                          .lookups = scenario_number(run, "lookups")};
    struct world *world = make_world(run, &state);

    if (world == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", run->nodes);
    state.gap_us = scenario_number(run, "minutes") * WORLD_MINUTE / state.lookups + 1;
    take_course(run, world, &state, fraction);
    world_free(world);
    statistics_done(&state.hops);
    statistics_done(&state.timeouts);
    statistics_done(&state.ms);
    return HF_OK;
}

static enum hf_code run_fraction(struct scenario_run *run, double fraction,
                                 struct hf_err *err)
{
    const double only = scenario_value(run, "kind");
    enum hf_code rc = HF_OK;

    if (only >= 0) return run_row(run, fraction, (unsigned)only, err);
    if (fraction == 0) return run_row(run, fraction, LIAR_KINDS, err);
    for (unsigned kind = 0; rc == HF_OK && kind <= LIAR_KINDS; kind++)
        rc = run_row(run, fraction, kind, err);
    return rc;
}

static enum hf_code run_liars(struct scenario_run *run, struct hf_err *err)
{
    const double only = scenario_value(run, "fraction");
    enum hf_code rc = HF_OK;

    if (only >= 0) return run_fraction(run, only, err);
    for (unsigned tenths = 0; rc == HF_OK && tenths <= 3; tenths++)
        rc = run_fraction(run, tenths / 10.0, err);
    return rc;
}

const struct scenario scenario_liars = {
    .name = "liars",
    .summary = "members lie about their successors while honest ones look up keys",
    .promise =
        "With a roster and up to a fifth of liars, of any kind: no lookup fails, and none\n"
        "is wrong: no honest member stands before the first live one that is named.\n"
        "(left_out: right, but without an honest one of the 15 that may hold a block.)",
    .nodes = 1000,
    .nodes_min = 68,
    .parameters = parameters,
    .run = run_liars,
};
