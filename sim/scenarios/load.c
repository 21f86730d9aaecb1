#include "base/alloc.h"
#include "base/hash.h"
#include "sim/draw.h"
#include "sim/scenarios.h"
#include "sim/statistics.h"

#include <stdlib.h>
#include <string.h>

static const struct scenario_parameter parameters[] = {
    {"keys", 1000000, 1, 1e9, "random keys"},
    {"positions", 0, 0, 64, "virtual positions of each host; 0: rows for 1, 5 and 20"},
    {0},
};

static const char columns[] = "seed\thosts\tpositions\tkeys\tmean\tp1\tp99\tmax\t"
                              "p99_published";

struct position {
    uint64_t at; /* the first 64 bits are enough to order so few */
    uint32_t host;
};

static int compare(const void *a, const void *b)
{
    const struct position *x = a;
    const struct position *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

static uint64_t first_word(const struct hf_id *id)
{
    uint64_t word = 0;

    for (size_t i = 0; i < sizeof word; i++)
        word = word << 8 | id->b[i];
    return word;
}

/* Position 0 is the node id itself, i is SHA-256(node id || i). */
static uint64_t position_of(const struct hf_id *node, uint8_t number)
{
    uint8_t bytes[HF_ID_SIZE + 1];
    struct hf_id id = *node;

    if (number > 0) {
        memcpy(bytes, node->b, HF_ID_SIZE);
        bytes[HF_ID_SIZE] = number;
        hf_sha256(bytes, sizeof bytes, &id);
    }
    return first_word(&id);
}

static void place_hosts(struct draw *draw, struct position *positions, size_t hosts,
                        size_t each)
{
    for (size_t host = 0; host < hosts; host++) {
        struct hf_id node;

        draw_id(draw, &node);
        for (size_t i = 0; i < each; i++)
            positions[host * each + i] =
                (struct position){position_of(&node, (uint8_t)i), (uint32_t)host};
    }
    qsort(positions, hosts * each, sizeof *positions, compare);
}

static uint32_t owner_of(const struct position *positions, size_t count, uint64_t key)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (positions[middle].at < key)
            low = middle + 1;
        else
            high = middle;
    }
    return positions[low == count ? 0 : low].host;
}

static void print(struct scenario_run *run, size_t each, struct statistics *load)
{
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
    const size_t count = run->nodes * each;
    struct position *positions = hf_alloc_array(count, sizeof *positions);
    uint32_t *loads = hf_alloc_array(run->nodes, sizeof *loads);
    struct statistics load = {0};
    enum hf_code rc = HF_OK;

    if (positions == NULL || loads == NULL) goto no_memory;
    place_hosts(&draw, positions, run->nodes, each);
    for (uint64_t i = 0; i < keys; i++)
        loads[owner_of(positions, count, draw_next(&draw))]++;
    for (size_t i = 0; i < run->nodes; i++) {
        if (!statistics_add(&load, loads[i])) goto no_memory;
    }
    print(run, each, &load);
    judge(run, each, &load);
    goto out;
no_memory:
    rc = hf_fail(err, HF_NO_MEMORY, "no memory for %zu positions", count);
out:
    statistics_done(&load);
    free(loads);
    free(positions);
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
        "with one position (published: 4.6), <= 1.7 with 20 or more (published: 1.6).",
    .nodes = 10000,
    .nodes_min = 2,
    .parameters = parameters,
    .run = run_load,
};
