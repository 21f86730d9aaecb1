/* holdfast-sim: a ring of the daemon's own routing objects in virtual time. */
#include "sim/scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: holdfast-sim SCENARIO [--nodes N] [--seed S | --seeds A..B] [--set "
    "NAME=VALUE]...\n"
    "       holdfast-sim --list\n"
    "       holdfast-sim SCENARIO --help\n"
    "\n"
    "Prints tab-separated values under a header line.  The same arguments give the same\n"
    "output.  Exit codes: 0 done, 1 a promise was broken (seed and virtual time on\n"
    "stderr) or the run failed, 2 wrong usage.\n";

#define EXIT_USAGE 2
/* Each dht node has tables of megabytes of which it touches little; fresh pages cost
 * nothing until then, which reused memory would. */
#define PAGES_FROM (64 * 1024)

struct arguments {
    struct scenario_run run;
    uint64_t seed_first, seed_last;
    bool help;
};

static int wrong(const char *text, const char *word)
{
    (void)fprintf(stderr, "holdfast-sim: %s%s; see 'holdfast-sim --help'\n", text, word);
    return EXIT_USAGE;
}

static void print_list(void)
{
    for (size_t i = 0; scenarios[i] != NULL; i++)
        (void)printf("%-10s %s\n", scenarios[i]->name, scenarios[i]->summary);
}

static void print_scenario(const struct scenario *scenario)
{
    (void)printf("%s: %s\n\n%s\n\n", scenario->name, scenario->summary, scenario->promise);
    (void)printf("  --nodes N (%zu)\n", scenario->nodes);
    for (const struct scenario_parameter *p = scenario->parameters; p->name != NULL; p++)
        (void)printf("  --set %s=%g  %s\n", p->name, p->value, p->meaning);
}

/* Digits only; sets *end behind them. */
static bool parse_number(const char *text, uint64_t *number, const char **end)
{
    char *after;

    if (*text < '0' || *text > '9') return false;
    errno = 0;
    *number = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

static bool parse_seeds(const char *text, uint64_t *first, uint64_t *last)
{
    const char *end;

    return parse_number(text, first, &end) && strncmp(end, "..", 2) == 0 &&
           parse_number(end + 2, last, &end) && *end == '\0' && *first <= *last &&
           *last < UINT64_MAX;
}

static bool parse_option(struct arguments *a, const char *option, const char *value,
                         struct hf_err *err)
{
    uint64_t number;
    const char *end;

    if (strcmp(option, "--set") == 0) return scenario_set(&a->run, value, err) == HF_OK;
    if (strcmp(option, "--seeds") == 0) {
        if (parse_seeds(value, &a->seed_first, &a->seed_last)) return true;
        (void)hf_fail(err, HF_INVALID, "--seeds %s: want A..B", value);
        return false;
    }
    if (!parse_number(value, &number, &end) || *end != '\0') {
        (void)hf_fail(err, HF_INVALID, "%s %s: want a number", option, value);
        return false;
    }
    if (strcmp(option, "--seed") == 0) {
        a->seed_first = a->seed_last = number;
        return number < UINT64_MAX;
    }
    if (number < a->run.scenario->nodes_min || number > SCENARIO_NODES_MAX) {
        (void)hf_fail(err, HF_INVALID, "--nodes %s: want %zu to %u", value,
                      a->run.scenario->nodes_min, SCENARIO_NODES_MAX);
        return false;
    }
    a->run.nodes = number;
    return true;
}

static bool is_option(const char *word)
{
    return strcmp(word, "--nodes") == 0 || strcmp(word, "--seed") == 0 ||
           strcmp(word, "--seeds") == 0 || strcmp(word, "--set") == 0;
}

static int parse(struct arguments *a, int argc, char **argv)
{
    struct hf_err err;

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            a->help = true;
        } else if (!is_option(argv[i])) {
            return wrong("unknown argument ", argv[i]);
        } else if (i + 1 == argc) {
            return wrong("a value is missing after ", argv[i]);
        } else if (!parse_option(a, argv[i], argv[i + 1], &err)) {
            (void)fprintf(stderr, "holdfast-sim: %s\n", err.msg);
            return EXIT_USAGE;
        } else {
            i++;
        }
    }
    return EXIT_SUCCESS;
}

static int run_seed(const struct arguments *a, uint64_t seed)
{
    struct scenario_run run = a->run;
    struct hf_err err;

    run.seed = seed;
    if (run.scenario->run(&run, &err) != HF_OK) {
        (void)fprintf(stderr, "holdfast-sim: %s: seed %" PRIu64 ": %s\n",
                      run.scenario->name, seed, err.msg);
        return EXIT_FAILURE;
    }
    if (!run.broken) return EXIT_SUCCESS;
    (void)fprintf(
        stderr, "holdfast-sim: %s: seed %" PRIu64 ", at %" PRIu64 ".%06" PRIu64 " s: %s\n",
        run.scenario->name, seed, run.broken_us / 1000000, run.broken_us % 1000000,
        run.why);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct table table = {.out = stdout};
    struct arguments a = {.seed_first = 1, .seed_last = 1};
    const struct scenario *scenario;
    int status = EXIT_SUCCESS;
    struct hf_err err;

    if (argc < 2) return wrong("no scenario", "");
    (void)mallopt(M_MMAP_THRESHOLD, PAGES_FROM);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--list") == 0) {
        if (argc > 2) return wrong("unknown argument ", argv[2]);
        print_list();
        return EXIT_SUCCESS;
    }
    scenario = scenario_find(argv[1]);
    if (scenario == NULL) return wrong("no such scenario: ", argv[1]);
    a.run = scenario_run_init(scenario, &table);
    status = parse(&a, argc, argv);
    if (status != EXIT_SUCCESS) return status;
    if (a.help) {
        print_scenario(scenario);
        return EXIT_SUCCESS;
    }
    for (uint64_t seed = a.seed_first; seed <= a.seed_last; seed++) {
        if (run_seed(&a, seed) != EXIT_SUCCESS) status = EXIT_FAILURE;
    }
    if (table_done(&table, &err) != HF_OK) {
        (void)fprintf(stderr, "holdfast-sim: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    return status;
}
