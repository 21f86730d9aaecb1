/* holdfast: finds the verb and runs its command. */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const char usage[] =
    "usage: holdfast [--home DIR] [--json] [-q] [-v] VERB [ARGUMENT...]\n"
    "\n"
    "  init        make a vault on this machine\n"
    "  backup      make a snapshot\n"
    "  snapshots   list them\n"
    "  ls          list what is in one\n"
    "  restore     write one, or a part of it, below a directory\n"
    "  mount       show every past day as files; umount ends it\n"
    "  status      is everything safe?\n"
    "  ring        create, invite, join, status, peers: the machines that keep the "
    "backups\n"
    "  version\n"
    "\n"
    "'holdfast VERB -h' explains one.\n";

static const struct {
    const char *verb;
    int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"init", cli_init},       {"backup", cli_backup},     {"snapshots", cli_snapshots},
    {"ls", cli_ls},           {"restore", cli_restore},   {"status", cli_status},
    {"mount", cli_mount},     {"umount", cli_umount},     {"ring", cli_ring},
    {"version", cli_version}, {"--version", cli_version},
};

/* A walk holds one directory open for each level. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Takes the global options that stand before the verb; its index, or -1 after help. */
static int find_verb(struct cli *cli, int argc, char **argv)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--home") == 0 && i + 1 < argc)
            cli->home_option = argv[++i];
        else if (strncmp(argv[i], "--home=", 7) == 0)
            cli->home_option = argv[i] + 7;
        else if (strcmp(argv[i], "--json") == 0)
            cli->json = true;
        else if (strcmp(argv[i], "-q") == 0 || strcmp(argv[i], "--quiet") == 0)
            cli->quiet = true;
        else if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "--verbose") == 0)
            cli->verbose++;
        else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return -1;
        else
            break;
    }
    return i;
}

int main(int argc, char **argv)
{
    struct cli cli = {.config_fd = -1, .state_fd = -1, .lock_fd = -1};
    int verb;
    int status;

    (void)setlocale(LC_CTYPE, "");
    hf_secret_harden_process();
    raise_file_limit();
    verb = find_verb(&cli, argc, argv);
    if (verb < 0) {
        (void)fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (verb == argc) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].verb, argv[verb]) != 0) continue;
        status = commands[i].run(&cli, argc - verb, argv + verb);
        cli_close(&cli);
        return status;
    }
    return cli_usage_error("", "unknown %s '%s'", argv[verb][0] == '-' ? "option" : "verb",
                           argv[verb]);
}
