/* holdfast restore */
#include "snapshot/restore.h"
#include "cli/cli.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfast restore -t DIR [-n] [-i PATTERN]... [-e PATTERN]...\n"
    "                        [--overwrite always|if-changed|if-newer|never] [--delete]\n"
    "                        [--verify] [--numeric-ids] SNAP[:PATH]\n"
    "Writes the snapshot, or what is at PATH in it, below DIR.  Run again it finishes "
    "what\n"
    "was interrupted and leaves alone what is right.\n"
    "  -n, --dry-run      only say what would be written and deleted\n"
    "  -i, --include P    only what matches, a pattern as in gitignore on the path in "
    "SNAP\n"
    "  -e, --exclude P    without what matches\n"
    "  --overwrite WHEN   always (default): contents are compared; if-changed: those of\n"
    "                     another size or time; if-newer: where SNAP has a newer one; "
    "never\n"
    "  --delete           remove what is in the restored directories and not in SNAP\n"
    "  --verify           read every restored file back\n"
    "  --numeric-ids      owners by number also when their names are known here\n";

enum {
    OPT_TARGET,
    OPT_DRY_RUN,
    OPT_INCLUDE,
    OPT_EXCLUDE,
    OPT_OVERWRITE,
    OPT_DELETE,
    OPT_VERIFY,
    OPT_NUMERIC_IDS
};

static const struct cli_option options[] = {
    {"target", 't', true},  {"dry-run", 'n', false},   {"include", 'i', true},
    {"exclude", 'e', true}, {"overwrite", 0, true},    {"delete", 0, false},
    {"verify", 0, false},   {"numeric-ids", 0, false}, {NULL, 0, false}};

struct run {
    struct cli *cli;
    const char *target;
    struct pattern_set *include, *exclude; /* NULL: none given */
    enum restore_overwrite overwrite;
    bool dry_run, remove, verify, numeric_ids;
    struct cli_progress progress;
};

static bool take_pattern(struct pattern_set **set, const char *source, const char *pattern)
{
    struct hf_err err;

    if (*set == NULL) *set = pattern_set_new();
    if (*set == NULL) {
        (void)cli_usage_error("restore ", "out of memory");
        return false;
    }
    if (pattern_set_add(*set, pattern, 0, source, &err) == HF_OK) return true;
    (void)cli_usage_error("restore ", "%s", err.msg);
    return false;
}

static bool take_overwrite(struct run *run, const char *value)
{
    static const char *const names[] = {[RESTORE_ALWAYS] = "always",
                                        [RESTORE_IF_CHANGED] = "if-changed",
                                        [RESTORE_IF_NEWER] = "if-newer",
                                        [RESTORE_NEVER] = "never"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], value) != 0) continue;
        run->overwrite = (enum restore_overwrite)i;
        return true;
    }
    (void)cli_usage_error(
        "restore ", "--overwrite '%.32s': always, if-changed, if-newer, never", value);
    return false;
}

static bool take(void *arg, size_t option, const char *value)
{
    struct run *run = arg;

    switch (option) {
    case OPT_TARGET: run->target = value; break;
    case OPT_DRY_RUN: run->dry_run = true; break;
    case OPT_INCLUDE: return take_pattern(&run->include, "--include", value);
    case OPT_EXCLUDE: return take_pattern(&run->exclude, "--exclude", value);
    case OPT_OVERWRITE: return take_overwrite(run, value);
    case OPT_DELETE: run->remove = true; break;
    case OPT_VERIFY: run->verify = true; break;
    case OPT_NUMERIC_IDS: run->numeric_ids = true; break;
    default: return false;
    }
    return true;
}

static void on_change(void *arg, const char *path, const char *what)
{
    struct run *run = arg;

    if (run->cli->json) {
        json_t *line = json_pack("{s:i,s:s,s:s}", "schema", CLI_SCHEMA, "message_type",
                                 "change", "action", what);

        cli_json_path(line, path, strlen(path));
        cli_json_line(line);
        return;
    }
    (void)printf("%s ", what);
    cli_print_name(path, strlen(path));
    (void)putchar('\n');
}

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct run *run = arg;

    cli_report_file(run->cli, &run->progress, path, err);
}

static void on_progress(void *arg, const struct restore_counts *counts, const char *path)
{
    struct run *run = arg;

    cli_progress_show(&run->progress, counts->files + counts->unchanged, counts->bytes,
                      path);
}

static void print_json(const struct run *run, const struct restore_counts *c)
{
    cli_json_line(json_pack(
        "{s:i,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "schema",
        CLI_SCHEMA, "message_type", "summary", "dry_run", run->dry_run, "files_restored",
        (json_int_t)c->files, "dirs_restored", (json_int_t)c->dirs, "others_restored",
        (json_int_t)c->others, "bytes_restored", (json_int_t)c->bytes, "bytes_written",
        (json_int_t)c->bytes_written, "unchanged", (json_int_t)c->unchanged, "kept",
        (json_int_t)c->kept, "deleted", (json_int_t)c->deleted, "verified",
        (json_int_t)c->verified, "mismatched", (json_int_t)c->mismatched, "damaged",
        (json_int_t)c->damaged, "unreachable", (json_int_t)c->unreachable, "failed",
        (json_int_t)c->failed, "total_duration", cli_progress_seconds(&run->progress)));
}

static void print_summary(const struct run *run, const struct restore_counts *c)
{
    char size[32];

    if (run->cli->json) print_json(run, c);
    if (run->cli->quiet) return;
    (void)fprintf(stderr, "%s %llu files, %s (%llu unchanged",
                  run->dry_run ? "would restore" : "restored", (unsigned long long)c->files,
                  cli_size(c->bytes, size), (unsigned long long)c->unchanged);
    if (c->kept > 0) (void)fprintf(stderr, ", %llu kept", (unsigned long long)c->kept);
    if (c->deleted > 0)
        (void)fprintf(stderr, ", %llu deleted", (unsigned long long)c->deleted);
    (void)fprintf(stderr, "); %llu damaged, %llu out of reach, %llu not written",
                  (unsigned long long)c->damaged, (unsigned long long)c->unreachable,
                  (unsigned long long)c->failed);
    if (run->verify && !run->dry_run)
        (void)fprintf(stderr, "; %llu verified, %llu differ",
                      (unsigned long long)c->verified, (unsigned long long)c->mismatched);
    (void)fprintf(stderr, "; %.1f s\n", cli_progress_seconds(&run->progress));
}

static int run_restore(struct run *run, const char *spec)
{
    struct restore_options o = {.fetcher = run->cli->fetcher,
                                .target_fd = -1,
                                .include = run->include,
                                .exclude = run->exclude,
                                .overwrite = run->overwrite,
                                .remove = run->remove,
                                .dry_run = run->dry_run,
                                .verify = run->verify,
                                .numeric_ids = run->numeric_ids,
                                .on_error = on_error,
                                .on_progress = on_progress,
                                .cancelled = cli_cancelled,
                                .arg = run};
    struct restore_counts counts = {0};
    struct snapshot snapshot = {0};
    struct hf_err err;
    int status = EXIT_DONE;
    enum hf_code rc = cli_find_snapshot(run->cli, spec, &snapshot, &o.path, &err);

    if (rc == HF_OK) {
        o.root = snapshot.root;
        o.totals = snapshot.totals;
        o.paths = (const char *const *)snapshot.paths;
        o.path_count = snapshot.path_count;
        if (run->cli->verbose > 0 || run->dry_run) o.on_change = on_change;
        rc = run->dry_run ? hf_dir_open(run->target, &o.target_fd, &err)
                          : hf_dir_make(run->target, &o.target_fd, &err);
        if (run->dry_run && rc == HF_NOT_FOUND) rc = HF_OK; /* all of it would be new */
        if (rc != HF_OK) status = EXIT_FAILED;
    }
    if (rc == HF_OK) rc = restore_run(&o, &counts, &err);
    cli_progress_clear(&run->progress);
    if (rc == HF_OK) {
        print_summary(run, &counts);
        if (counts.failed > 0) status = EXIT_PARTIAL;
        if (counts.unreachable > 0) status = EXIT_TOO_FEW_PEERS;
        if (counts.damaged + counts.mismatched > 0) status = EXIT_DAMAGED;
    } else {
        int code = cli_fail(run->cli, &err);

        if (status == EXIT_DONE) status = code;
    }
    if (o.target_fd >= 0) (void)close(o.target_fd);
    snapshot_done(&snapshot);
    return status;
}

static int parse_and_run(struct run *run, int argc, char **argv)
{
    struct cli *cli = run->cli;
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, run, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (run->target == NULL) return cli_usage_error("restore ", "restore wants -t DIR");
    if (argc - first != 1)
        return cli_usage_error("restore ", "restore takes one SNAP[:PATH]");
    cli_catch_signals();
    cli_progress_begin(&run->progress, cli);
    if (cli_open_vault(cli, NULL, &err) != HF_OK) return cli_fail(cli, &err);
    return run_restore(run, argv[first]);
}

int cli_restore(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli};
    int status = parse_and_run(&run, argc, argv);

    pattern_set_free(run.include);
    pattern_set_free(run.exclude);
    return status;
}
