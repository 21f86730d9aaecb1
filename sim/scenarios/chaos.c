#include "base/alloc.h"
#include "sim/chaos_faults.h"
#include "sim/founding.h"
#include "sim/liar.h"
#include "sim/probe.h"
#include "sim/scenarios.h"

#include <stdlib.h>

#define NODES_MIN       8u
#define NODES_MAX       64u
#define FINGER_PERIODS  5u  /* then fingers to the dead are gone */
#define CHECKS          2u  /* looks per period */
#define POSITION_POWERS 7u  /* 1 to 64 */
#define POSITIONS_MAX   72u /* of a ring, beside the first of each host */
#define LATE_PERMILL    50u

static const struct scenario_parameter parameters[] = {
    {"crashes", 1, 0, 1, "1: nodes crash, leave and come back, minutes or days later"},
    {"freezes", 1, 0, 1, "1: nodes are suspended"},
    {"cuts", 1, 0, 1, "1: links fail in one direction"},
    {"parts", 1, 0, 1, "1: the network falls into parts"},
    {"loss", 1, 0, 1, "1: messages are lost, doubled, overtaken"},
    {"clocks", 1, 0, 1, "1: clocks run at different rates"},
    {"liars", 1, 0, 1, "1: up to a fifth lie about their successors"},
    {"blocks", 4, 0, 1000, "blocks that are put meanwhile"},
    {"positions", 1, 0, 1, "1: in a quarter of the runs hosts stand on up to 64 positions"},
    {"proof", 2, 0, 2,
     "1: only what Zave's proof allows, 0: more, 2: even seeds only that"},
    {"periods", 30, 1, 10000, "stabilisation periods of faults"},
    {"calm", 50, 0, 10000, "stabilisation periods after which all must be well"},
    {"encode", 1, 0, 1, "1: messages are encoded and parsed"},
    {0},
};

static const char columns[] =
    "seed\tnodes\tsuccessors\tproof\troster\tliars\tperiod_"
    "s\tcrashes\tfreezes\tcuts\tparts\t"
    "lookups\tanswered\tright\tcalm_periods\tcalm_failed\tcalm_"
    "wrong\tblocks\tacknowledged\tfetched\tgone\tpositions\tsteps\ttrace";

enum what { WHAT_FAULT, WHAT_PUT };

struct chaos {
    const struct scenario_run *run;
    struct draw draw;
    struct chaos_faults faults;
    bool calm;
    uint32_t successors;
    uint64_t liars;
    struct probe faulty, after; /* lookups among faults, and after them */
    struct chaos_blocks blocks;
    struct chord_peer *honest; /* the roster when liars are evicted, */
    bool *evicted;             /* and who is */
    uint32_t *positions;       /* of each host */
};

static bool wants(const struct chaos *chaos, const char *fault)
{
    return scenario_number(chaos->run, fault) != 0;
}

static void next_fault(struct world *world, struct chaos *chaos)
{
    const size_t asker = chaos_faults_member(world, &chaos->faults);
    const double wait_us =
        draw_exponential(&chaos->draw, (double)chaos->faults.period_us / 2);

    chaos_faults_one(world, &chaos->faults);
    if (asker != WORLD_NOBODY && world_is_member(world, asker))
        probe_ask(&chaos->faulty, world, asker, &chaos->draw);
    world_after(world, 1 + (uint64_t)wait_us, WHAT_FAULT);
}

static void on_timer(struct world *world, void *context, uint64_t what)
{
    struct chaos *chaos = context;

    if (chaos->calm) return;
    if (what == WHAT_PUT)
        chaos_blocks_put(&chaos->blocks, world);
    else
        next_fault(world, chaos);
}

static void on_answer(struct world *world, void *context, const struct world_answer *answer)
{
    struct chaos *chaos = context;

    if (storage_answer(chaos->blocks.stock.storage, answer)) return;
    probe_note(answer->user == 0 ? &chaos->faulty : &chaos->after, world, answer);
}

static bool tamper(struct world *world, void *context, size_t from,
                   struct chord_message *message)
{
    struct chaos *chaos = context;

    liar_change(world, &chaos->draw, from, message);
    return true;
}

/* ---- the course of a run ---- */

static size_t draw_nodes(const struct scenario_run *run, struct draw *draw)
{
    if (run->nodes != 0) return run->nodes;
    return (size_t)draw_logarithmic(draw, NODES_MIN, NODES_MAX + 0.99);
}

/* Powers of two, as the daemon has them, up to all there are; but not too many in all, nor
 * most of the ring's on one host: the daemon gives none to hosts of small rings. */
static void draw_positions(struct chaos *chaos, size_t nodes)
{
    struct draw draw = draw_init(chaos->run->seed, 42);
    const bool several = wants(chaos, "positions") && draw_below(&draw, 4) == 0;
    size_t spare = POSITIONS_MAX;

    for (size_t i = 0; i < nodes; i++) {
        chaos->positions[i] = several ? 1u << draw_below(&draw, POSITION_POWERS) : 1;
        if (chaos->positions[i] > nodes || chaos->positions[i] - 1 > spare)
            chaos->positions[i] = 1;
        spare -= chaos->positions[i] - 1;
    }
}

/* 2(r + 1) nodes make a ring that the proof is about. */
static uint32_t draw_successors(size_t nodes, struct draw *draw)
{
    uint32_t most = (uint32_t)nodes / 2 - 1;

    if (most > CHORD_SUCCESSORS_MAX) most = CHORD_SUCCESSORS_MAX;
    return (uint32_t)draw_logarithmic(draw, 2, most + 0.99);
}

/* Delays stay below what the last try of a question waits for: otherwise silence would
 * not mean failure. */
static struct network_options draw_network(struct chaos *chaos, uint64_t timeout_us)
{
    struct draw *draw = &chaos->draw;
    const bool loss = wants(chaos, "loss");
    struct network_options options = {.plane_ms = 20, .access_ms = 2, .delay_us = 500};

    options.jitter_us = draw_below(draw, timeout_us / 4);
    if (!loss) return options;
    options.loss = (unsigned)draw_below(draw, 200);
    options.twice = (unsigned)draw_below(draw, 200);
    options.fair_loss = true;
    if (chaos->faults.proof) return options;
    options.fair_loss = draw_below(draw, 2) == 0;
    options.late = (unsigned)draw_below(draw, LATE_PERMILL);
    options.late_us = 5 * timeout_us;
    return options;
}

static struct world *make_world(struct chaos *chaos, size_t nodes)
{
    const uint64_t timeout_ms = chaos->faults.period_us / 20000;
    const struct world_options options = {
        .seed = chaos->run->seed,
        .hosts = nodes,
        .positions = chaos->positions,
        .chord = {.stabilise_ms = chaos->faults.period_us / 1000,
                  .rpc_timeout_ms = timeout_ms,
                  .lookup_timeout_ms = 10 * timeout_ms,
                  .successors = chaos->successors,
                  .lookups = 16},
        .network = draw_network(chaos, 1000 * timeout_ms),
        .encode = scenario_number(chaos->run, "encode") != 0,
        .judged = chaos->faults.proof,
        .skew_max = wants(chaos, "clocks") ? (unsigned)draw_below(&chaos->draw, 50) : 0,
        .reset = chaos->faults.proof ? 0 : (unsigned)draw_below(&chaos->draw, 1001),
        .backlog = (unsigned)draw_below(&chaos->draw, 1001),
    };
    const struct world_client client = {
        .context = chaos, .on_timer = on_timer, .on_answer = on_answer, .tamper = tamper};

    return world_new(&options, &client);
}

/* A ring of all or of some; or, where nothing is proven of that, all start at once. */
static void begin(struct world *world, struct chaos *chaos)
{
    const size_t founders = draw_between(&chaos->draw, chaos->successors + 1, world->count);

    if (!chaos->faults.proof && chaos->faults.roster && draw_below(&chaos->draw, 2) == 0) {
        for (size_t i = 0; i < world->host_count; i++)
            chaos_faults_start(world, &chaos->faults, i);
        return;
    }
    while (world->live < founders) {
        const size_t host = draw_below(&chaos->draw, world->host_count);

        if (!world_host_is_live(world, host)) world_start(world, host);
    }
    founding_make_ring(world, true);
    for (size_t i = 0; i < world->host_count && chaos->faults.roster; i++) {
        if (world_host_is_live(world, i))
            world_roster(world, i, world->peers, world->count);
    }
}

static void choose_liars(struct world *world, struct chaos *chaos)
{
    /* Without them the roster must still be long enough for Zave's ring. */
    size_t spare = world->count - 2 * ((size_t)chaos->successors + 1);
    const size_t fifth = world->host_count / 5;

    if (chaos->faults.proof || !wants(chaos, "liars")) return;
    chaos->liars = draw_below(&chaos->draw, (fifth < spare ? fifth : spare) + 1);
    for (uint64_t i = 0; i < chaos->liars; i++) {
        struct world_host *host =
            &world->hosts[draw_below(&chaos->draw, world->host_count)];

        if (host->place_count > spare) continue;
        host->liar = true;
        spare -= host->place_count;
    }
}

/* Liars are found out and evicted; returns how many positions the others have. */
static size_t evict_liars(struct world *world, struct chaos *chaos)
{
    size_t honest = 0;

    for (size_t i = 0; i < world->count; i++) {
        if (!world->hosts[world_host_of(world, i)].liar)
            chaos->honest[honest++] = world->peers[i];
    }
    for (size_t i = 0; i < world->host_count; i++) {
        chaos->evicted[i] = world->hosts[i].liar;
        if (!chaos->evicted[i]) continue;
        if (world_host_is_live(world, i)) world_crash(world, i);
        world->hosts[i].liar = false;
        storage_evict(chaos->blocks.stock.storage, i);
    }
    return honest;
}

static bool all_members(const struct world *world, size_t host)
{
    const struct world_host *h = &world->hosts[host];

    for (uint32_t i = 0; i < h->place_count; i++) {
        if (!world_is_member(world, h->places[i])) return false;
    }
    return true;
}

/* It runs, unless it is one of those that stay away, and has a roster or a contact. */
static void settle(struct world *world, struct chaos *chaos, size_t host, size_t honest)
{
    if (!world_host_is_live(world, host)) {
        if (draw_below(&chaos->draw, 2) == 0) return;
        chaos_faults_start(world, &chaos->faults, host);
    }
    if (chaos->faults.roster) world_roster(world, host, chaos->honest, honest);
    if (chaos->faults.proof && !all_members(world, host))
        chaos_faults_introduce(world, &chaos->faults, host);
}

/* No fault any more. */
static void calm_down(struct world *world, struct chaos *chaos)
{
    struct network_options *options = &world->network.options;
    size_t honest;

    chaos->calm = true;
    network_heal(&world->network);
    options->loss = options->twice = options->late = 0;
    options->jitter_us /= 4;
    for (size_t i = 0; i < world->host_count; i++)
        world_thaw(world, i);
    honest = evict_liars(world, chaos);
    for (size_t i = 0; i < world->host_count; i++) {
        if (!chaos->evicted[i]) settle(world, chaos, i, honest);
    }
}

/* The periods that it took; more than `calm`: it was not done then. */
static double wait_for_ring(struct world *world, uint64_t period_us, uint64_t calm)
{
    for (uint64_t i = 0; i <= calm * CHECKS; i++) {
        if (world_is_ideal(world)) return (double)i / CHECKS;
        world_run(world, period_us / CHECKS);
    }
    return (double)calm + 1;
}

static void print(struct scenario_run *run, const struct world *world,
                  const struct chaos *chaos, double calm_periods)
{
    const struct probe *faulty = &chaos->faulty;
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, world->host_count);
    table_number(table, chaos->successors);
    table_number(table, chaos->faults.proof);
    table_number(table, chaos->faults.roster);
    table_number(table, chaos->liars);
    table_real(table, (double)chaos->faults.period_us / 1e6, 0);
    table_number(table, chaos->faults.crashes);
    table_number(table, chaos->faults.freezes);
    table_number(table, chaos->faults.cuts);
    table_number(table, chaos->faults.parts);
    table_number(table, faulty->ended);
    table_number(table, faulty->ended - faulty->failed);
    table_number(table, faulty->ended - faulty->failed - faulty->wrong);
    table_real(table, calm_periods, 1);
    table_number(table, chaos->after.failed);
    table_number(table, chaos->after.wrong);
    table_number(table, chaos->blocks.stock.block_count);
    table_number(table, chaos->blocks.acknowledged);
    table_number(table, chaos->blocks.fetched);
    table_number(table, chaos->blocks.gone);
    table_number(table, world->count);
    table_number(table, world->steps);
    table_hex(table, world->trace.state);
    table_row(table);
}

static void judge(struct scenario_run *run, const struct world *world,
                  const struct chaos *chaos, double calm_periods, const char *blocks)
{
    const struct probe *after = &chaos->after;

    if (world->broken != NULL)
        scenario_break(run, world->now_us, "place %zu: %s", world->broken_place,
                       world->broken);
    else if (calm_periods > scenario_value(run, "calm"))
        scenario_break(run, world->now_us, "no ideal ring after %g calm periods",
                       scenario_value(run, "calm"));
    else if (after->ended < after->started || after->failed + after->wrong > 0)
        scenario_break(run, world->now_us,
                       "of %llu lookups in the ideal ring %llu ended, %llu failed, %llu "
                       "were wrong",
                       (unsigned long long)after->started, (unsigned long long)after->ended,
                       (unsigned long long)after->failed, (unsigned long long)after->wrong);
    else if (blocks != NULL)
        scenario_break(run, world->now_us, "%s", blocks);
}

/* Blocks are put at any time from the first faults on. */
static void plan_puts(struct world *world, struct chaos *chaos, uint64_t faults_us)
{
    for (uint64_t i = 0; i < scenario_number(chaos->run, "blocks"); i++)
        world_after(world, draw_below(&chaos->blocks.draw, faults_us), WHAT_PUT);
}

static void take_course(struct scenario_run *run, struct world *world, struct chaos *chaos)
{
    const uint64_t faults_us = scenario_number(run, "periods") * chaos->faults.period_us;
    const char *blocks;
    double calm_periods;

    begin(world, chaos);
    choose_liars(world, chaos);
    plan_puts(world, chaos, faults_us);
    world_after(world, chaos->faults.period_us, WHAT_FAULT);
    world_run(world, faults_us);
    calm_down(world, chaos);
    calm_periods =
        wait_for_ring(world, chaos->faults.period_us, scenario_number(run, "calm"));
    world_run(world, FINGER_PERIODS * chaos->faults.period_us);
    probe_all(&chaos->after, world, &chaos->draw);
    world_run(world, 2 * chaos->faults.period_us);
    blocks = chaos_blocks_fetch(&chaos->blocks, world);
    print(run, world, chaos, calm_periods);
    judge(run, world, chaos, calm_periods, blocks);
}

/* A world of those nodes, and what becomes of it. */
static enum hf_code run_world(struct scenario_run *run, struct chaos *chaos, size_t nodes,
                              struct hf_err *err)
{
    enum hf_code rc = HF_OK;
    struct world *world;

    draw_positions(chaos, nodes);
    world = make_world(chaos, nodes);
    if (world != NULL && chaos_blocks_init(&chaos->blocks, world))
        take_course(run, world, chaos);
    else
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", nodes);
    world_free(world);
    chaos_blocks_done(&chaos->blocks);
    return rc;
}

static enum hf_code run_chaos(struct scenario_run *run, struct hf_err *err)
{
    static const uint64_t periods_s[] = {10, 30, 3600};
    struct chaos chaos = {
        .run = run, .draw = draw_init(run->seed, 40), .after = {.user = 1}};
    const size_t nodes = draw_nodes(run, &chaos.draw);
    const uint64_t proof = scenario_number(run, "proof");
    enum hf_code rc;

    chaos.successors = draw_successors(nodes, &chaos.draw);
    chaos.faults.proof = proof == 2 ? run->seed % 2 == 0 : proof == 1;
    /* Without one, a ring that fell apart would not find together again. */
    chaos.faults.roster = !chaos.faults.proof || draw_below(&chaos.draw, 2) == 0;
    chaos.faults.period_us = periods_s[draw_below(&chaos.draw, 3)] * WORLD_SECOND;
    chaos.faults.draw = &chaos.draw;
    chaos.faults.blocks = &chaos.blocks;
    chaos.faults.may_crash = wants(&chaos, "crashes");
    chaos.faults.may_freeze = wants(&chaos, "freezes");
    chaos.faults.may_cut = wants(&chaos, "cuts");
    chaos.faults.may_part = wants(&chaos, "parts");
    chaos.honest = hf_alloc_array(nodes + POSITIONS_MAX, sizeof *chaos.honest);
    chaos.evicted = hf_alloc_array(nodes, sizeof *chaos.evicted);
    chaos.positions = hf_alloc_array(nodes, sizeof *chaos.positions);
    if (chaos.honest == NULL || chaos.evicted == NULL || chaos.positions == NULL)
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu nodes", nodes);
    else
        rc = run_world(run, &chaos, nodes, err);
    free(chaos.honest);
    free(chaos.evicted);
    free(chaos.positions);
    return rc;
}

const struct scenario scenario_chaos = {
    .name = "chaos",
    .summary = "all faults at once, then calm",
    .promise =
        "Each node keeps its own rules after every step.  When the faults end, the honest\n"
        "that live are one ideal ring within 50 stabilisation periods (99 of 100 seeds:\n"
        "20), and 5 later every lookup is right.  In runs that keep to what Zave's proof\n"
        "allows, her invariant holds after every event (column proof: a ring is founded;\n"
        "members crash or leave one by one as long as the invariant bears it; no two\n"
        "messages of a kind in a row are lost and none takes longer than a try; whoever\n"
        "restarts joins through members; nobody lies).\n"
        "Blocks are put meanwhile, by dht/: what was acknowledged is durable, and is "
        "fetched\n"
        "as it was put while enough of its holders live.\n"
        "Nodes, if not given: drawn, 8 to 64.",
    .nodes = 0,
    .nodes_min = NODES_MIN,
    .parameters = parameters,
    .run = run_chaos,
};
