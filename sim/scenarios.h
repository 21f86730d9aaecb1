/* scenarios.h - the scenarios that there are: one file each in sim/scenarios/. */
#ifndef HOLDFAST_SIM_SCENARIOS_H
#define HOLDFAST_SIM_SCENARIOS_H

#include "sim/scenario.h"

extern const struct scenario scenario_lookup, scenario_load, scenario_massacre,
    scenario_churn, scenario_heal, scenario_chaos, scenario_vivaldi, scenario_gossip,
    scenario_liars;

#endif
