/* holdfast ring create, join: this machine becomes a member. */
#include "cli/ring.h"

#include "base/clock.h"
#include "base/secret.h"
#include "membership/member_home.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_DEFAULT ((uint64_t)100 << 30)

static const char create_usage[] =
    "usage: holdfast ring create NAME [--listen ADDR:PORT] [--advertise ADDR:PORT]\n"
    "                            [--space SIZE] [--site LABEL] [--redundancy auto|K/N]\n"
    "Makes a ring with this machine as its first member and steward, and prints the code\n"
    "with which the ring's authority can be recovered, once. Then start holdfastd.\n"
    "  --listen       where holdfastd answers; 0.0.0.0:4774\n"
    "  --advertise    where the others reach it; as --listen. Up to 4, by commas: the\n"
    "                 others try one after the other\n"
    "  --space        most that is kept for the others; 100G\n"
    "  --site         machines with the same label may be lost together\n"
    "  --redundancy   any K of N holders are enough; auto: half of up to 14\n";

static const char join_usage[] =
    "usage: holdfast ring join CODE [--listen ADDR:PORT] [--advertise ADDR:PORT]\n"
    "                               [--space SIZE] [--site LABEL]\n"
    "Joins the ring that CODE, of 'holdfast ring invite', is an invitation to. Then start\n"
    "holdfastd. Options as for 'ring create'.\n";

enum { OPT_LISTEN, OPT_ADVERTISE, OPT_SPACE, OPT_SITE, OPT_REDUNDANCY };

static const struct cli_option create_options[] = {
    {"listen", 0, true}, {"advertise", 0, true},  {"space", 0, true},
    {"site", 0, true},   {"redundancy", 0, true}, {NULL, 0, false}};

static const struct cli_option join_options[] = {{"listen", 0, true},
                                                 {"advertise", 0, true},
                                                 {"space", 0, true},
                                                 {"site", 0, true},
                                                 {NULL, 0, false}};

struct arguments {
    const char *verb;
    struct member_options options;
    uint32_t k, n;
};

/* "auto" or "K/N" */
static bool parse_redundancy(const char *text, uint32_t *k, uint32_t *n)
{
    unsigned long first;
    unsigned long second;
    char *end;

    *k = *n = 0;
    if (strcmp(text, "auto") == 0) return true;
    if (text[0] < '0' || text[0] > '9') return false;
    first = strtoul(text, &end, 10);
    if (*end != '/' || end[1] < '0' || end[1] > '9') return false;
    second = strtoul(end + 1, &end, 10);
    if (*end != '\0' || first < 1 || first > second || second > 32) return false;
    *k = (uint32_t)first;
    *n = (uint32_t)second;
    return true;
}

static bool take(void *arg, size_t option, const char *value)
{
    struct arguments *a = arg;
    bool good = true;

    if (option == OPT_LISTEN) a->options.listen = value;
    if (option == OPT_ADVERTISE) a->options.advertise = value;
    if (option == OPT_SITE) a->options.site = value;
    if (option == OPT_SPACE) good = hf_size_parse(value, &a->options.space_bytes);
    if (option == OPT_REDUNDANCY) good = parse_redundancy(value, &a->k, &a->n);
    if (!good)
        (void)cli_usage_error(a->verb, "'%s' is not a %s", value,
                              option == OPT_SPACE ? "size, such as 50G"
                                                  : "redundancy: auto, or K/N");
    return good;
}

/* Words for what the user asked for wrongly; the rest as it is. */
static int fail(struct cli *cli, const char *what, struct hf_err *err)
{
    const enum hf_code code = err->code;

    (void)hf_prefix(err, "%s", what);
    if (code == HF_INVALID) {
        (void)cli_fail(cli, err);
        return EXIT_USAGE;
    }
    if (code == HF_TIMED_OUT) err->code = HF_UNAVAILABLE; /* the steward is not there */
    return cli_fail(cli, err);
}

static void defaults(struct arguments *a)
{
    a->options.now_s = hf_clock_realtime_ns() / 1000000000;
    if (a->options.space_bytes == 0) a->options.space_bytes = SPACE_DEFAULT;
}

int ring_create(struct cli *cli, int argc, char **argv)
{
    struct arguments a = {.verb = "ring create "};
    struct ring_wish wish;
    char recovery[CODE_TEXT_SIZE];
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, create_options, take, &a, create_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (argc - first != 1) return cli_usage_error(a.verb, "ring create takes one NAME");
    defaults(&a);
    wish = (struct ring_wish){argv[first], a.k, a.n};
    if (cli_open_home(cli, &err) != HF_OK ||
        member_home_create_ring(&cli->home, &wish, &a.options, recovery, &err) != HF_OK)
        return fail(cli, "ring", &err);
    if (cli->json) {
        cli_json_line(json_pack("{s:i,s:s,s:s}", "schema", CLI_SCHEMA, "ring", argv[first],
                                "authority_code", recovery));
    } else {
        (void)fprintf(stderr,
                      "ring %s made; start holdfastd, then invite others with 'holdfast "
                      "ring invite'.\n"
                      "The code of its authority follows. It is shown only now. Whoever "
                      "has it owns the ring;\nwrite it down and keep it away from this "
                      "machine, to make another steward if this one is lost.\n",
                      argv[first]);
        (void)puts(recovery);
    }
    hf_wipe(recovery, sizeof recovery);
    return EXIT_DONE;
}

int ring_join(struct cli *cli, int argc, char **argv)
{
    struct arguments a = {.verb = "ring join "};
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, join_options, take, &a, join_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (argc - first != 1) return cli_usage_error(a.verb, "ring join takes one CODE");
    defaults(&a);
    (void)signal(SIGPIPE, SIG_IGN);
    if (cli_open_home(cli, &err) != HF_OK ||
        member_home_join(&cli->home, argv[first], &a.options, &err) != HF_OK)
        return fail(cli, "ring", &err);
    if (cli->json)
        cli_json_line(json_pack("{s:i,s:b}", "schema", CLI_SCHEMA, "joined", 1));
    else if (!cli->quiet)
        (void)fputs("joined; start holdfastd\n", stderr);
    return EXIT_DONE;
}
