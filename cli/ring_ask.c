/* holdfast ring invite, status, peers: questions to this home's daemon. */
#include "cli/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char invite_usage[] =
    "usage: holdfast ring invite [--expires 24h] [--uses 1]\n"
    "Prints a code with which a machine can join the ring. Run it on a steward.\n";

static const char status_usage[] = "usage: holdfast ring status\n"
                                   "The ring, as this machine sees it now.\n";

static const char peers_usage[] =
    "usage: holdfast ring peers [-l]\n"
    "All members of the ring: who is there, and who is missing since when.\n"
    "  -l, --long   ids, sites and the space that they offer, too\n";

/* ---- invite ---- */

#define EXPIRES_DEFAULT_S (UINT64_C(24) * 3600)

enum { OPT_EXPIRES, OPT_USES };

static const struct cli_option invite_options[] = {
    {"expires", 0, true}, {"uses", 0, true}, {NULL, 0, false}};

struct terms {
    uint64_t expires_s, uses;
};

static bool take_term(void *arg, size_t option, const char *value)
{
    struct terms *terms = arg;
    char *end;

    if (option == OPT_EXPIRES) {
        if (hf_duration_parse(value, &terms->expires_s)) return true;
        (void)cli_usage_error("ring invite ", "'%s' is not a duration, such as 24h", value);
        return false;
    }
    terms->uses = strtoul(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && *end == '\0') return true;
    (void)cli_usage_error("ring invite ", "'%s' is not a number", value);
    return false;
}

int ring_invite(struct cli *cli, int argc, char **argv)
{
    struct terms terms = {.expires_s = EXPIRES_DEFAULT_S, .uses = 1};
    json_t *answer;
    struct hf_err err;
    int first;
    int status =
        cli_parse(cli, argc, argv, invite_options, take_term, &terms, invite_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (first < argc)
        return cli_usage_error("ring invite ", "ring invite takes no '%s'", argv[first]);
    if (ring_ask(cli, "invite",
                 json_pack("{s:I,s:I}", "expires_s", (json_int_t)terms.expires_s, "uses",
                           (json_int_t)terms.uses),
                 &answer, &err) != HF_OK)
        return cli_fail(cli, &err);
    if (cli->json)
        cli_json_line(json_pack("{s:i,s:O}", "schema", CLI_SCHEMA, "code",
                                json_object_get(answer, "code")));
    else
        (void)puts(json_string_value(json_object_get(answer, "code")));
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- peers ---- */

static const struct cli_option peers_options[] = {{"long", 'l', false}, {NULL, 0, false}};

static bool take_long(void *arg, size_t option, const char *value)
{
    (void)option;
    (void)value;
    *(bool *)arg = true;
    return true;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

static void print_peer(const json_t *peer, bool detailed)
{
    const char *missing = text_of(peer, "missing_since");
    char size[32];

    (void)printf("%-7s  ", text_of(peer, "state"));
    if (detailed)
        (void)printf(
            "%.16s  %9s  %-12s  ", text_of(peer, "id"),
            cli_size((uint64_t)json_integer_value(json_object_get(peer, "space")), size),
            text_of(peer, "site")[0] != '\0' ? text_of(peer, "site") : "-");
    cli_print_name(text_of(peer, "name"), strlen(text_of(peer, "name")));
    (void)printf("  %s", text_of(peer, "address"));
    if (json_is_true(json_object_get(peer, "self"))) (void)printf("  (this machine)");
    if (missing[0] != '\0') (void)printf("  missing since %s", missing);
    (void)putchar('\n');
}

int ring_peers(struct cli *cli, int argc, char **argv)
{
    bool detailed = false;
    json_t *answer;
    json_t *peers;
    json_t *peer;
    struct hf_err err;
    size_t i;
    int first;
    int status = cli_parse(cli, argc, argv, peers_options, take_long, &detailed,
                           peers_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (first < argc)
        return cli_usage_error("ring peers ", "ring peers takes no '%s'", argv[first]);
    if (ring_ask(cli, "peers", json_object(), &answer, &err) != HF_OK)
        return cli_fail(cli, &err);
    peers = json_object_get(answer, "peers");
    json_array_foreach(peers, i, peer)
    {
        if (cli->json)
            (void)json_object_set_new(peer, "schema", json_integer(CLI_SCHEMA));
        else
            print_peer(peer, detailed);
    }
    if (cli->json) cli_json_line(json_incref(peers));
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- status ---- */

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static const char *rate_text(const json_t *traffic, const char *name, char text[32])
{
    const json_t *rate = json_object_get(traffic, name);

    if (!json_is_integer(rate)) return "no limit";
    (void)cli_size((uint64_t)json_integer_value(rate), text);
    return text;
}

static void print_traffic(const json_t *traffic)
{
    char sent[32];
    char received[32];
    char upload[32];
    char download[32];

    (void)printf("  since the daemon's start %s sent, %s received; limits a second: %s up, "
                 "%s down\n",
                 cli_size((uint64_t)number_of(traffic, "sent_bytes"), sent),
                 cli_size((uint64_t)number_of(traffic, "received_bytes"), received),
                 rate_text(traffic, "limit_upload", upload),
                 rate_text(traffic, "limit_download", download));
}

static void print_status(const json_t *s)
{
    char given[32];
    char space[32];

    (void)printf("ring %s: %lld members, %lld of them up\n", text_of(s, "ring"),
                 number_of(s, "members"), number_of(s, "up"));
    if (number_of(s, "n") > 0)
        (void)printf("  any %lld of %lld holders are enough to read a block\n",
                     number_of(s, "k"), number_of(s, "n"));
    else
        (void)printf("  there is nobody yet to keep anything: invite others\n");
    (void)printf("  %s of %s kept for others%s\n",
                 cli_size((uint64_t)number_of(s, "given_bytes"), given),
                 cli_size((uint64_t)number_of(s, "space_bytes"), space),
                 json_is_true(json_object_get(s, "store_complete"))
                     ? ""
                     : ", in a store that is being refilled");
    print_traffic(json_object_get(s, "traffic"));
    if (json_is_true(json_object_get(s, "steward")))
        (void)printf("  this machine is a steward\n");
}

int ring_status(struct cli *cli, int argc, char **argv)
{
    json_t *answer;
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, NULL, NULL, NULL, status_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (first < argc)
        return cli_usage_error("ring status ", "ring status takes no '%s'", argv[first]);
    if (ring_ask(cli, "status", json_object(), &answer, &err) != HF_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        (void)json_object_set_new(answer, "schema", json_integer(CLI_SCHEMA));
        cli_json_line(json_incref(answer));
    } else {
        print_status(answer);
    }
    json_decref(answer);
    return EXIT_DONE;
}
