/* holdfast restore */
#include "snapshot/restore.h"
#include "cli/cli.h"

#include "base/file.h"

#include <stdio.h>
#include <unistd.h>

static const char usage[] = "usage: holdfast restore -t DIR SNAP[:PATH]\n"
                            "Writes the snapshot, or what is at PATH in it, below DIR.\n";

enum { OPT_TARGET };

static const struct cli_option options[] = {{"target", 't', true}, {NULL, 0, false}};

struct run {
    struct cli *cli;
    const char *target;
    struct cli_progress progress;
};

static bool take(void *arg, size_t option, const char *value)
{
    struct run *run = arg;

    if (option == OPT_TARGET) run->target = value;
    return true;
}

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct run *run = arg;

    cli_report_file(run->cli, &run->progress, path, err);
}

static void on_progress(void *arg, const struct restore_counts *counts, const char *path)
{
    struct run *run = arg;

    cli_progress_show(&run->progress, counts->files, counts->bytes, path);
}

static void print_summary(const struct run *run, const struct restore_counts *c)
{
    double seconds = cli_progress_seconds(&run->progress);
    char size[32];

    if (run->cli->json) {
        cli_json_line(json_pack(
            "{s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "schema", CLI_SCHEMA, "message_type",
            "summary", "files_restored", (json_int_t)c->files, "dirs_restored",
            (json_int_t)c->dirs, "bytes_restored", (json_int_t)c->bytes, "damaged",
            (json_int_t)c->damaged, "unreachable", (json_int_t)c->unreachable, "failed",
            (json_int_t)c->failed, "total_duration", seconds));
    }
    if (run->cli->quiet) return;
    (void)fprintf(stderr,
                  "restored %llu files, %s; %llu damaged, %llu out of reach, %llu not "
                  "written; %.1f s\n",
                  (unsigned long long)c->files, cli_size(c->bytes, size),
                  (unsigned long long)c->damaged, (unsigned long long)c->unreachable,
                  (unsigned long long)c->failed, seconds);
}

static int run_restore(struct run *run, const char *spec)
{
    struct restore_options o = {.fetcher = run->cli->fetcher,
                                .target_fd = -1,
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
        rc = hf_dir_make(run->target, &o.target_fd, &err);
        if (rc != HF_OK) status = EXIT_FAILED;
    }
    if (rc == HF_OK) rc = restore_run(&o, &counts, &err);
    cli_progress_clear(&run->progress);
    if (rc == HF_OK) {
        print_summary(run, &counts);
        if (counts.failed > 0) status = EXIT_PARTIAL;
        if (counts.unreachable > 0) status = EXIT_TOO_FEW_PEERS;
        if (counts.damaged > 0) status = EXIT_DAMAGED;
    } else {
        int code = cli_fail(run->cli, &err);

        if (status == EXIT_DONE) status = code;
    }
    if (o.target_fd >= 0) (void)close(o.target_fd);
    snapshot_done(&snapshot);
    return status;
}

int cli_restore(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli};
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, &run, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (run.target == NULL) return cli_usage_error("restore ", "restore wants -t DIR");
    if (argc - first != 1)
        return cli_usage_error("restore ", "restore takes one SNAP[:PATH]");
    cli_catch_signals();
    cli_progress_begin(&run.progress, cli);
    if (cli_open_vault(cli, NULL, &err) != HF_OK) return cli_fail(cli, &err);
    return run_restore(&run, argv[first]);
}
