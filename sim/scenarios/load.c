#include "base/alloc.h"
#include "dht/limits.h"
#include "dht/members.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"
#include "sim/world.h"

#include <stdlib.h>

static const struct scenario_parameter parameters[] = {
    {"keys", 1000000, 1, 1e9, "random keys"},
    {"positions", 0, 0, 64, "virtual positions of each host; 0: rows for 1, 5 and 20"},
    {0},
};

static const char columns[] = "seed\thosts\tpositions\tkeys\tmean\tp1\tp99\tmax\t"
                              "p99_published\tfragments_p1\tfragments_p99\tfragments_max";

/* Hosts of so many positions each; no node runs.  NULL: no memory. */
static struct world *make_hosts(const struct scenario_run *run, size_t each)
{
    uint32_t *positions = hf_alloc_array(run->nodes, sizeof *positions);
    const struct world_options options = {
        .seed = run->seed * 100 + each, .hosts = run->nodes, .positions = positions};
    const struct world_client client = {0};
    struct world *world = NULL;

    for (size_t i = 0; positions != NULL && i < run->nodes; i++)
        positions[i] = (uint32_t)each;
    if (positions != NULL) world = world_new(&options, &client);
    free(positions);
    return world;
}

/* The roster as dht/ places fragments by it; empty without memory, or with more hosts than
 * a roster may have. */
static struct dht_members make_members(const struct world *world)
{
    struct dht_member *roster = hf_alloc_array(world->host_count, sizeof *roster);
    struct dht_members members = {0};
    struct hf_err ignored;

    for (size_t i = 0; roster != NULL && i < world->host_count; i++)
        roster[i] = (struct dht_member){.id = world->hosts[i].id,
                                        .positions = world->hosts[i].place_count};
    if (roster != NULL)
        (void)!dht_members_set(&members, roster, world->host_count, &ignored);
    free(roster);
    return members;
}

static bool add_loads(struct statistics *s, const uint32_t *loads, size_t hosts)
{
    for (size_t i = 0; i < hosts; i++) {
        if (!statistics_add(s, loads[i])) return false;
    }
    return true;
}

/* Keys fall to the host of the first position at or after them. */
static bool share_keys(const struct world *world, struct draw *draw, uint64_t keys,
                       struct statistics *load)
{
    uint32_t *loads = hf_alloc_array(world->host_count, sizeof *loads);
    bool done;

    for (uint64_t i = 0; loads != NULL && i < keys; i++) {
        struct hf_id key;

        draw_id(draw, &key);
        loads[world_host_of(world, world_place_at(world, &key))]++;
    }
    done = loads != NULL && add_loads(load, loads, world->host_count);
    free(loads);
    return done;
}

/* Of a block, one fragment falls to each of the first 14 hosts. */
static bool share_fragments(const struct dht_members *members, struct draw *draw,
                            uint64_t blocks, struct statistics *load)
{
    uint32_t *loads = hf_alloc_array(members->count + 1, sizeof *loads);
    bool done;

    for (uint64_t i = 0; loads != NULL && i < blocks; i++) {
        uint32_t holders[DHT_N_MAX];
        struct hf_id key;
        size_t count;

        draw_id(draw, &key);
        count = dht_members_clockwise(members, &key, holders, DHT_N_MAX);
        for (size_t k = 0; k < count; k++)
            loads[holders[k]]++;
    }
    done = loads != NULL && add_loads(load, loads, members->count);
    free(loads);
    return done;
}

static void print(struct scenario_run *run, size_t each, struct statistics *load,
                  struct statistics *fragments)
{
    const double fragments_mean = fragments->count > 0 ? statistics_mean(fragments) : 1;
    const double mean = statistics_mean(load);
    struct table *table = run->table;

    table_header(table, columns);
    table_number(table, run->seed);
    table_number(table, run->nodes);
    table_number(table, each);
    table_number(table, scenario_number(run, "keys"));
    table_real(table, mean, 2);
    table_real(table, statistics_percentile(load, 1) / mean, 2);
    table_real(table, statistics_percentile(load, 99) / mean, 2);
    table_real(table, statistics_max(load) / mean, 2);
    table_text(table, each == 1 ? "4.6" : each == 20 ? "1.6" : "-");
    table_real(table, statistics_percentile(fragments, 1) / fragments_mean, 2);
    table_real(table, statistics_percentile(fragments, 99) / fragments_mean, 2);
    table_real(table, statistics_max(fragments) / fragments_mean, 2);
    table_row(table);
}

/* Positions and keys are uniform, so with one position the p99 is ln 100 = 4.6 means. */
static void judge(struct scenario_run *run, size_t each, struct statistics *load)
{
    const double p99 = statistics_percentile(load, 99) / statistics_mean(load);
    const double most = each == 1 ? 4.9 : 1.7;

    if (run->nodes < 10000 || statistics_mean(load) < 100 || (each != 1 && each < 20))
        return;
    if (p99 > most)
        scenario_break(run, 0,
                       "%zu positions: p99 of the load is %.2f means, promised %.1f", each,
                       p99, most);
}

static enum hf_code run_positions(struct scenario_run *run, size_t each, struct hf_err *err)
{
    struct draw draw = draw_init(run->seed, each);
    const uint64_t keys = scenario_number(run, "keys");
    struct world *world = make_hosts(run, each);
    struct dht_members members = {0};
    struct statistics load = {0};
    struct statistics fragments = {0};
    enum hf_code rc = HF_OK;

    if (world != NULL) members = make_members(world);
    if (world == NULL || !share_keys(world, &draw, keys, &load) ||
        !share_fragments(&members, &draw, keys / DHT_N_MAX, &fragments)) {
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu hosts", run->nodes);
    } else {
        print(run, each, &load, &fragments);
        judge(run, each, &load);
    }
    statistics_done(&load);
    statistics_done(&fragments);
    dht_members_done(&members);
    world_free(world);
    return rc;
}

static enum hf_code run_load(struct scenario_run *run, struct hf_err *err)
{
    static const size_t rows[] = {1, 5, 20};
    const size_t only = scenario_number(run, "positions");
    enum hf_code rc = HF_OK;

    if (only > 0) return run_positions(run, only, err);
    for (size_t i = 0; rc == HF_OK && i < sizeof rows / sizeof *rows; i++)
        rc = run_positions(run, rows[i], err);
    return rc;
}

const struct scenario scenario_load = {
    .name = "load",
    .summary = "how evenly keys fall to hosts with several positions each",
    .promise =
        "With 10,000 hosts or more and 100 keys for each: p99 of the load <= 4.9 means\n"
        "with one position (published: 4.6), <= 1.7 with 20 or more (published: 1.6).\n"
        "Fragments: of as many in blocks of 14, each on another host.",
    .nodes = 10000,
    .nodes_min = 2,
    .parameters = parameters,
    .run = run_load,
};
