/* holdfast ring: finds the verb behind it. */
#include "cli/ring.h"

#include "blockstore/local_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_FILE "ring" /* membership/member_home.h */

static const char usage[] =
    "usage: holdfast ring create NAME | invite | join CODE | status | peers\n"
    "The machines that keep each other's backups. 'holdfast ring VERB -h' explains one.\n";

static const struct {
    const char *verb;
    int (*run)(struct cli *cli, int argc, char **argv);
} verbs[] = {
    {"create", ring_create}, {"join", ring_join},   {"invite", ring_invite},
    {"status", ring_status}, {"peers", ring_peers},
};

/* A home without a ring, or HF_OK. */
static enum hf_code check_ring(const struct cli *cli, struct hf_err *err)
{
    char path[HF_PATH_MAX];
    enum hf_code rc = hf_home_check(&cli->home, err);

    if (rc == HF_OK) rc = hf_path_join(cli->home.state, RING_FILE, path, err);
    if (rc == HF_NOT_FOUND || (rc == HF_OK && access(path, F_OK) != 0))
        return hf_fail(err, HF_NOT_FOUND,
                       "ring: no ring here; run 'holdfast ring create' or 'holdfast ring "
                       "join'");
    return rc;
}

enum hf_code ring_ask(struct cli *cli, const char *verb, json_t *arguments, json_t **answer,
                      struct hf_err *err)
{
    struct local_client *client = NULL;
    char *question = json_dumps(arguments, JSON_COMPACT);
    char *text = NULL;
    enum hf_code rc = cli->conf != NULL ? HF_OK : cli_open_home(cli, err);

    *answer = NULL;
    json_decref(arguments);
    if (rc == HF_OK && question == NULL) rc = hf_fail(err, HF_NO_MEMORY, "out of memory");
    if (rc == HF_OK) rc = check_ring(cli, err);
    if (rc == HF_OK) rc = local_client_new(cli->home.run, &client, err);
    if (rc == HF_OK) rc = local_client_admin(client, verb, question, &text, err);
    if (rc == HF_OK) {
        *answer = json_loads(text, 0, NULL);
        if (*answer == NULL)
            rc = hf_fail(err, HF_CORRUPT, "daemon: its answer to '%s' is no JSON", verb);
    }
    local_client_free(client);
    free(question);
    free(text);
    return rc;
}

int cli_ring(struct cli *cli, int argc, char **argv)
{
    char name[32];

    if (argc < 2) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].verb, argv[1]) != 0) continue;
        (void)snprintf(name, sizeof name, "ring %s", argv[1]);
        argv[1] = name;
        return verbs[i].run(cli, argc - 1, argv + 1);
    }
    return cli_usage_error("ring ", "ring: unknown verb '%s'", argv[1]);
}
