#include "cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 48u
#define OWN         1000 /* getopt's value of the command's option i is OWN + i */

enum global { GLOBAL_HOME = 1, GLOBAL_JSON, GLOBAL_QUIET, GLOBAL_VERBOSE, GLOBAL_HELP };

static const struct {
    const char *name;
    char letter;
    bool has_value;
} globals[] = {
    {"home", 0, true},       {"json", 0, false},   {"quiet", 'q', false},
    {"verbose", 'v', false}, {"help", 'h', false},
};

int cli_usage_error(const char *verb, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "holdfast: %s; see 'holdfast %s-h'\n", text, verb);
    return EXIT_USAGE;
}

struct table {
    struct option longs[OPTIONS_MAX];
    char shorts[2 * OPTIONS_MAX + 2];
    size_t count, used;
};

static void add(struct table *t, const char *name, char letter, bool has_value, int value)
{
    t->longs[t->count++] = (struct option){
        .name = name, .has_arg = has_value ? required_argument : no_argument, .val = value};
    if (letter == 0) return;
    t->shorts[t->used++] = letter;
    if (has_value) t->shorts[t->used++] = ':';
    t->shorts[t->used] = '\0';
}

static void take_global(struct cli *cli, int which, const char *value)
{
    if (which == GLOBAL_HOME) cli->home_option = value;
    if (which == GLOBAL_JSON) cli->json = true;
    if (which == GLOBAL_QUIET) cli->quiet = true;
    if (which == GLOBAL_VERBOSE) cli->verbose++;
}

/* What a letter or getopt's value stands for: a global (1..), or OWN + index. */
static int meaning(int found, const struct cli_option *options)
{
    if (found >= OWN || (found >= GLOBAL_HOME && found <= GLOBAL_HELP)) return found;
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++) {
        if (options[i].letter == found) return OWN + (int)i;
    }
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        if (globals[i].letter == found) return GLOBAL_HOME + (int)i;
    }
    return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_option *options,
              cli_option_fn *take, void *arg, const char *usage, int *first)
{
    struct table t = {.used = 1, .shorts = ":"};
    char verb[64];
    int found;

    (void)snprintf(verb, sizeof verb, "%s ", argv[0]);
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
        add(&t, options[i].name, options[i].letter, options[i].has_value, OWN + (int)i);
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        add(&t, globals[i].name, globals[i].letter, globals[i].has_value,
            GLOBAL_HOME + (int)i);
    optind = 0; /* getopt begins anew */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started */
    while ((found = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
        int what;

        if (found == ':')
            return cli_usage_error(verb, "%s wants a value", argv[optind - 1]);
        if (found == '?') {
            if (optopt != 0 && optopt < 128 && argv[optind - 1][1] != '-')
                return cli_usage_error(verb, "unknown option '-%c'", optopt);
            return cli_usage_error(verb, "unknown option '%s'", argv[optind - 1]);
        }
        what = meaning(found, options);
        if (what == GLOBAL_HELP) {
            (void)fputs(usage, stdout);
            return -1;
        }
        if (what < OWN)
            take_global(cli, what, optarg);
        else if (!take(arg, (size_t)(what - OWN), optarg))
            return EXIT_USAGE;
    }
    *first = optind;
    return EXIT_DONE;
}
