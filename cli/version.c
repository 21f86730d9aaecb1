/* holdfast version */
#include "cli/cli.h"

#include <stdio.h>

static const char usage[] = "usage: holdfast version\n";

int cli_version(struct cli *cli, int argc, char **argv)
{
    int first;
    int status = cli_parse(cli, argc, argv, NULL, NULL, NULL, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (cli->json)
        cli_json_line(
            json_pack("{s:i,s:s}", "schema", CLI_SCHEMA, "version", HOLDFAST_VERSION));
    else
        (void)puts("holdfast " HOLDFAST_VERSION);
    return EXIT_DONE;
}
