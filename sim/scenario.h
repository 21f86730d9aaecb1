/* scenario.h - one kind of experiment: what it takes, what it prints, what it promises. */
#ifndef HOLDFAST_SIM_SCENARIO_H
#define HOLDFAST_SIM_SCENARIO_H

#include "base/err.h"
#include "sim/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCENARIO_PARAMETERS_MAX 16u
#define SCENARIO_NODES_MAX      10000000u

/* One of --set; the last of a list has no name. */
struct scenario_parameter {
    const char *name;
    double value, min, max; /* the default, and what is allowed */
    const char *meaning;    /* one line */
};

/* One run of a scenario under one seed. */
struct scenario_run {
    const struct scenario *scenario;
    uint64_t seed;
    size_t nodes;
    double values[SCENARIO_PARAMETERS_MAX];
    struct table *table;
    bool broken; /* a promise was not kept */
    uint64_t broken_us;
    char why[200];
};

struct scenario {
    const char *name;
    const char *summary; /* one line */
    const char *promise; /* what makes the program exit 1; some lines */
    size_t nodes, nodes_min;
    const struct scenario_parameter *parameters;
    /* Prints rows; sets run->broken where a promise is not kept. */
    enum hf_code (*run)(struct scenario_run *run, struct hf_err *err);
};

/* All there are, in the order of the list; the last is NULL. */
extern const struct scenario *const scenarios[];
/* NULL: no such scenario. */
const struct scenario *scenario_find(const char *name);

/* Makes a run with the defaults. */
struct scenario_run scenario_run_init(const struct scenario *scenario, struct table *table);
/* Takes NAME=VALUE.  HF_INVALID: no such parameter, or a value that it does not allow. */
HF_MUST_CHECK enum hf_code scenario_set(struct scenario_run *run, const char *assignment,
                                        struct hf_err *err);
/* The value of a parameter that the scenario has. */
double scenario_value(const struct scenario_run *run, const char *name);
uint64_t scenario_number(const struct scenario_run *run, const char *name);

/* The first promise that is not kept counts. */
void scenario_break(struct scenario_run *run, uint64_t at_us, const char *fmt, ...)
    HF_PRINTF(3, 4);

#endif
