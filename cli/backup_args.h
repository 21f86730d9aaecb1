/* backup_args.h - what `holdfast backup` was asked for, on its command line and in
 * holdfast.conf. */
#ifndef HOLDFAST_CLI_BACKUP_ARGS_H
#define HOLDFAST_CLI_BACKUP_ARGS_H

#include "base/conf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "snapshot/limits.h"
#include "snapshot/selection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings of our own. */
struct strings {
    char **items;
    size_t count, capacity;
};

/* A pattern, or a file of them, in the order in which they were given. */
struct exclusion {
    const char *text;
    bool is_file;
};

struct backup_args { /* zeroed, it is empty */
    bool dry_run, force, one_file_system, exclude_caches, from_stdin;
    const char *stdin_name, *host, *compression, *larger_than;
    const char *tags[SNAPSHOT_TAGS_MAX];
    size_t tag_count;
    int64_t time_ns;
    bool has_time;
    struct exclusion *exclusions;
    size_t exclusion_count, exclusion_capacity;
    struct strings if_present, path_lists, paths;

    /* Made by backup_args_finish. */
    struct pattern_set *exclude;
    struct selection selection; /* borrows from here */
    struct strings notes;
    int level; /* zstd's */
};

/* Parses the command line.  EXIT_DONE, EXIT_USAGE, or -1 after help. */
int backup_args_parse(struct backup_args *args, struct cli *cli, int argc, char **argv);
/* Adds what holdfast.conf says and reads the files that were named.  EXIT_DONE, or the code
 * to end with, after a message. */
int backup_args_finish(struct backup_args *args, const struct cli *cli);
void backup_args_done(struct backup_args *args);

#endif
