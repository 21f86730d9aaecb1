#include "sim/scenario.h"

#include "sim/scenarios.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct scenario *const scenarios[] = {
    &scenario_lookup,   &scenario_load,
    &scenario_massacre, &scenario_churn,
    &scenario_heal,     &scenario_chaos,
    &scenario_vivaldi,  &scenario_gossip,
    &scenario_liars,    NULL,
};

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; scenarios[i] != NULL; i++) {
        if (strcmp(scenarios[i]->name, name) == 0) return scenarios[i];
    }
    return NULL;
}

struct scenario_run scenario_run_init(const struct scenario *scenario, struct table *table)
{
    struct scenario_run run = {
        .scenario = scenario, .seed = 1, .nodes = scenario->nodes, .table = table};

    for (size_t i = 0; scenario->parameters[i].name != NULL; i++) {
        assert(i < SCENARIO_PARAMETERS_MAX);
        run.values[i] = scenario->parameters[i].value;
    }
    return run;
}

static size_t parameter_index(const struct scenario *scenario, const char *name, size_t n)
{
    size_t i = 0;

    for (; scenario->parameters[i].name != NULL; i++) {
        if (strlen(scenario->parameters[i].name) == n &&
            memcmp(scenario->parameters[i].name, name, n) == 0)
            break;
    }
    return i;
}

enum hf_code scenario_set(struct scenario_run *run, const char *assignment,
                          struct hf_err *err)
{
    const struct scenario *scenario = run->scenario;
    const char *equals = strchr(assignment, '=');
    const struct scenario_parameter *parameter;
    size_t i;
    char *end;
    double value;

    if (equals == NULL)
        return hf_fail(err, HF_INVALID, "--set %s: want NAME=VALUE", assignment);
    i = parameter_index(scenario, assignment, (size_t)(equals - assignment));
    parameter = &scenario->parameters[i];
    if (parameter->name == NULL)
        return hf_fail(err, HF_INVALID,
                       "--set %s: %s has no such parameter; see 'holdfast-sim %s --help'",
                       assignment, scenario->name, scenario->name);
    value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end != '\0' || !isfinite(value) || value < parameter->min ||
        value > parameter->max)
        return hf_fail(err, HF_INVALID, "--set %s: want a number from %g to %g", assignment,
                       parameter->min, parameter->max);
    run->values[i] = value;
    return HF_OK;
}

double scenario_value(const struct scenario_run *run, const char *name)
{
    const size_t i = parameter_index(run->scenario, name, strlen(name));

    assert(run->scenario->parameters[i].name != NULL);
    return run->values[i];
}

uint64_t scenario_number(const struct scenario_run *run, const char *name)
{
    return (uint64_t)scenario_value(run, name);
}

void scenario_break(struct scenario_run *run, uint64_t at_us, const char *fmt, ...)
{
    va_list args;

    if (run->broken) return;
    run->broken = true;
    run->broken_us = at_us;
    va_start(args, fmt);
    (void)vsnprintf(run->why, sizeof run->why, fmt, args);
    va_end(args);
}
