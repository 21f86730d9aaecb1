/* holdfast backup */
#include "snapshot/backup.h"
#include "cli/backup_args.h"
#include "cli/cli.h"

#include "base/clock.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SKIPS_MAX 32u /* directories that are left out */

struct run {
    struct cli *cli;
    struct backup_args args;
    struct cli_progress progress;
};

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct run *run = arg;

    cli_report_file(run->cli, &run->progress, path, err);
}

/* With -v what is new or changed, with -vv all. */
static void on_entry(void *arg, const char *path, enum backup_change change)
{
    static const char *const words[] = {"new", "changed", "unchanged"};
    const struct run *run = arg;

    if (run->cli->verbose < (change == BACKUP_UNCHANGED ? 2 : 1)) return;
    cli_progress_clear(&run->progress);
    if (run->cli->json) {
        json_t *line = json_pack("{s:i,s:s,s:s}", "schema", CLI_SCHEMA, "message_type",
                                 "entry", "action", words[change]);

        cli_json_path(line, path, strlen(path));
        cli_json_line(line);
        return;
    }
    (void)printf("%-9s ", words[change]);
    cli_print_name(path, strlen(path));
    (void)putchar('\n');
}

static void on_progress(void *arg, const struct backup_counts *counts, const char *path)
{
    struct run *run = arg;

    cli_progress_show(&run->progress, counts->totals.files, counts->totals.bytes, path);
}

static void print_json(const struct run *run, const struct backup_result *r)
{
    const struct backup_counts *c = &r->counts;
    char hex[HF_ID_HEX_SIZE];
    json_t *line = json_pack(
        "{s:i,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:b}", "schema",
        CLI_SCHEMA, "message_type", "summary", "dry_run", run->args.dry_run, "files",
        (json_int_t)c->totals.files, "dirs", (json_int_t)c->totals.dirs, "files_unmodified",
        (json_int_t)c->files_unchanged, "entries_new", (json_int_t)c->entries[BACKUP_NEW],
        "entries_changed", (json_int_t)c->entries[BACKUP_CHANGED], "entries_unchanged",
        (json_int_t)c->entries[BACKUP_UNCHANGED], "total_bytes",
        (json_int_t)c->totals.bytes, "changed_bytes", (json_int_t)c->bytes_changed,
        "data_added", (json_int_t)r->stored.bytes_new, "data_stored",
        (json_int_t)r->stored.bytes_stored, "errors", (json_int_t)c->totals.errors,
        "total_duration", cli_progress_seconds(&run->progress), "degraded", r->degraded);

    if (!run->args.dry_run && line != NULL)
        (void)json_object_set_new(line, "snapshot_id",
                                  json_string(hf_id_hex(&r->snapshot.id, hex)));
    cli_json_line(line);
}

static void print_dry_run(const struct backup_counts *c)
{
    char all[32];
    char changed[32];

    (void)fprintf(stderr,
                  "would save %llu files, %s: %llu entries new, %llu changed, %llu "
                  "unchanged; %s to read, %llu errors\n",
                  (unsigned long long)c->totals.files, cli_size(c->totals.bytes, all),
                  (unsigned long long)c->entries[BACKUP_NEW],
                  (unsigned long long)c->entries[BACKUP_CHANGED],
                  (unsigned long long)c->entries[BACKUP_UNCHANGED],
                  cli_size(c->bytes_changed, changed),
                  (unsigned long long)c->totals.errors);
}

static void print_summary(const struct run *run, const struct backup_result *r)
{
    const struct snapshot_totals *t = &r->counts.totals;
    char hex[HF_ID_HEX_SIZE];
    char all[32];
    char stored[32];

    cli_progress_clear(&run->progress);
    if (run->cli->json) print_json(run, r);
    if (run->cli->quiet) return;
    if (run->args.dry_run) {
        print_dry_run(&r->counts);
        return;
    }
    (void)fprintf(
        stderr,
        "snapshot %.16s: %llu files, %s (%llu unchanged), %s newly stored, %llu errors, "
        "%.1f s\n",
        hf_id_hex(&r->snapshot.id, hex), (unsigned long long)t->files,
        cli_size(t->bytes, all), (unsigned long long)r->counts.files_unchanged,
        cli_size(r->stored.bytes_stored, stored), (unsigned long long)t->errors,
        cli_progress_seconds(&run->progress));
}

static int32_t utc_offset(int64_t ns)
{
    time_t t = (time_t)(ns / 1000000000);
    struct tm tm;

    return localtime_r(&t, &tm) == NULL ? 0 : (int32_t)tm.tm_gmtoff;
}

static void add_skip(const char *dir, struct backup_skip skips[static SKIPS_MAX],
                     size_t *count)
{
    struct stat st;

    if (dir[0] != '\0' && *count < SKIPS_MAX && stat(dir, &st) == 0)
        skips[(*count)++] = (struct backup_skip){st.st_dev, st.st_ino};
}

/* What is ours below the paths is left out: state, cache, sockets, the store, and mounts
 * that show every past day. */
static size_t own_directories(const struct cli *cli,
                              struct backup_skip skips[static SKIPS_MAX])
{
    const char *const dirs[] = {cli->home.state, cli->home.cache, cli->home.run,
                                cli->store_dir};
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent entry;
    char text[16384];
    size_t count = 0;

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        add_skip(dirs[i], skips, &count);
    while (mounts != NULL && getmntent_r(mounts, &entry, text, sizeof text) != NULL) {
        if (strcmp(entry.mnt_type, "fuse.holdfast") == 0)
            add_skip(entry.mnt_dir, skips, &count);
    }
    if (mounts != NULL) (void)endmntent(mounts);
    return count;
}

static int run_backup(struct run *run)
{
    struct cli *cli = run->cli;
    const struct backup_args *args = &run->args;
    struct backup_result result;
    struct hf_err err;
    struct backup_options o = {.store = cli->store,
                               .vault = &cli->vault,
                               .keys = &cli->keys,
                               .state_fd = cli->state_fd,
                               .cache_dir = cli->home.cache,
                               .paths = (const char *const *)args->paths.items,
                               .path_count = args->paths.count,
                               .selection = args->selection,
                               .stdin_name = args->stdin_name,
                               .stdin_fd = STDIN_FILENO,
                               .tags = args->tags,
                               .tag_count = args->tag_count,
                               .notes = (const char *const *)args->notes.items,
                               .note_count = args->notes.count,
                               .host_name = args->host,
                               .time_ns =
                                   args->has_time ? args->time_ns : hf_clock_realtime_ns(),
                               .level = args->level,
                               .force = args->force,
                               .dry_run = args->dry_run,
                               .on_error = on_error,
                               .on_entry = cli->verbose > 0 ? on_entry : NULL,
                               .on_progress = on_progress,
                               .cancelled = cli_cancelled,
                               .arg = run};
    struct backup_skip skips[SKIPS_MAX];
    int status = EXIT_DONE;

    o.skips = skips;
    o.skip_count = own_directories(cli, skips);
    o.utc_offset_s = utc_offset(o.time_ns);
    if (backup_run(&o, &result, &err) != HF_OK) {
        cli_progress_clear(&run->progress);
        status = cli_fail(cli, &err);
        return err.code == HF_NOT_FOUND ? EXIT_FAILED : status;
    }
    print_summary(run, &result);
    if (result.degraded) {
        (void)fprintf(stderr, "holdfast: %s\n", result.degraded_why);
        status = EXIT_DEGRADED;
    }
    if (result.counts.totals.errors > 0) status = EXIT_PARTIAL;
    backup_result_done(&result);
    return status;
}

int cli_backup(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli};
    struct hf_err err;
    int status = backup_args_parse(&run.args, cli, argc, argv);

    if (status == EXIT_DONE) {
        cli_catch_signals();
        cli_progress_begin(&run.progress, cli);
        /* A dry run writes nothing, so it may go on beside another backup. */
        if (cli_open_vault(cli, run.args.dry_run ? NULL : "backup", &err) != HF_OK)
            status = cli_fail(cli, &err);
    }
    if (status == EXIT_DONE) status = backup_args_finish(&run.args, cli);
    if (status == EXIT_DONE) status = run_backup(&run);
    backup_args_done(&run.args);
    return status < 0 ? EXIT_DONE : status;
}
