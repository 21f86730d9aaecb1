/* holdfast backup */
#include "snapshot/backup.h"
#include "cli/cli.h"

#include "base/clock.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char usage[] =
    "usage: holdfast backup [-f] [--tag T]... [--host H] [--time T]\n"
    "                       [--compression off|fastest|default|better|max] [PATH...]\n"
    "Makes a snapshot of the paths; without PATH, of 'paths' in [backup] of "
    "holdfast.conf.\n"
    "  -f, --force   read every file anew\n"
    "  --time T      the snapshot's time: 'yyyy-mm-dd hh:mm[:ss]', local, or @SECONDS\n";

enum { OPT_FORCE, OPT_TAG, OPT_HOST, OPT_TIME, OPT_COMPRESSION };

static const struct cli_option options[] = {{"force", 'f', false},    {"tag", 0, true},
                                            {"host", 0, true},        {"time", 0, true},
                                            {"compression", 0, true}, {NULL, 0, false}};

#define SKIPS_MAX 32u /* directories that are left out */

struct run {
    struct cli *cli;
    bool force;
    const char *tags[SNAPSHOT_TAGS_MAX];
    size_t tag_count;
    const char *host, *compression;
    int64_t time_ns;
    bool has_time;
    struct cli_progress progress;
};

static bool parse_time(const char *text, int64_t *ns)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
                                          "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    char *end;

    if (text[0] == '@') {
        long long s = strtoll(text + 1, &end, 10);

        *ns = (int64_t)s * 1000000000;
        return text[1] != '\0' && *end == '\0' && llabs(s) < INT64_MAX / 1000000000;
    }
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *rest = strptime(text, formats[i], &tm);

        if (rest == NULL || *rest != '\0') continue;
        tm.tm_isdst = -1;
        *ns = (int64_t)mktime(&tm) * 1000000000;
        return true;
    }
    return false;
}

static bool take(void *arg, size_t option, const char *value)
{
    struct run *run = arg;

    switch (option) {
    case OPT_FORCE: run->force = true; break;
    case OPT_TAG:
        if (run->tag_count == SNAPSHOT_TAGS_MAX || strlen(value) >= NAME_TEXT_MAX ||
            value[0] == '\0') {
            (void)cli_usage_error("backup ", "tag '%.32s': empty, too long, or too many",
                                  value);
            return false;
        }
        run->tags[run->tag_count++] = value;
        break;
    case OPT_HOST:
        if (value[0] == '\0' || strlen(value) >= NAME_TEXT_MAX ||
            strchr(value, '/') != NULL || value[0] == '.') {
            (void)cli_usage_error("backup ", "host '%.32s': not a name", value);
            return false;
        }
        run->host = value;
        break;
    case OPT_TIME:
        run->has_time = parse_time(value, &run->time_ns);
        if (!run->has_time)
            (void)cli_usage_error("backup ", "time '%.32s': want 'yyyy-mm-dd hh:mm:ss'",
                                  value);
        return run->has_time;
    case OPT_COMPRESSION: run->compression = value; break;
    default: return false;
    }
    return true;
}

static bool compression_level(const char *name, int *level)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"off", 0},
                  {"fastest", -1},
                  {"default", FRAME_LEVEL_DEFAULT},
                  {"better", 9},
                  {"max", 19}};

    *level = FRAME_LEVEL_DEFAULT;
    for (size_t i = 0; name != NULL && i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(name, levels[i].name) != 0) continue;
        *level = levels[i].level;
        return true;
    }
    return name == NULL;
}

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct run *run = arg;

    cli_report_file(run->cli, &run->progress, path, err);
}

static void on_progress(void *arg, const struct backup_counts *counts, const char *path)
{
    struct run *run = arg;

    cli_progress_show(&run->progress, counts->totals.files, counts->totals.bytes, path);
}

static void print_summary(const struct run *run, const struct backup_result *r)
{
    double seconds = cli_progress_seconds(&run->progress);
    const struct snapshot_totals *t = &r->counts.totals;
    char hex[HF_ID_HEX_SIZE];
    char all[32];
    char stored[32];

    cli_progress_clear(&run->progress);
    if (run->cli->json) {
        cli_json_line(json_pack(
            "{s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:b}", "schema", CLI_SCHEMA,
            "message_type", "summary", "snapshot_id", hf_id_hex(&r->snapshot.id, hex),
            "files", (json_int_t)t->files, "dirs", (json_int_t)t->dirs, "files_unmodified",
            (json_int_t)r->counts.files_unchanged, "total_bytes", (json_int_t)t->bytes,
            "data_added", (json_int_t)r->stored.bytes_new, "data_stored",
            (json_int_t)r->stored.bytes_stored, "errors", (json_int_t)t->errors,
            "total_duration", seconds, "degraded", r->degraded));
    }
    if (run->cli->quiet) return;
    (void)fprintf(
        stderr,
        "snapshot %.16s: %llu files, %s (%llu unchanged), %s newly stored, %llu errors, "
        "%.1f s\n",
        hf_id_hex(&r->snapshot.id, hex), (unsigned long long)t->files,
        cli_size(t->bytes, all), (unsigned long long)r->counts.files_unchanged,
        cli_size(r->stored.bytes_stored, stored), (unsigned long long)t->errors, seconds);
}

/* The paths of [backup] in holdfast.conf, separated by white space.  `text` is a copy. */
static size_t split(char *text, const char **paths, size_t max)
{
    size_t n = 0;
    char *save = NULL;

    for (char *word = strtok_r(text, " \t\n", &save); word != NULL && n < max;
         word = strtok_r(NULL, " \t\n", &save))
        paths[n++] = word;
    return n;
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

static int run_backup(struct run *run, const char *const *paths, size_t count)
{
    struct cli *cli = run->cli;
    struct backup_result result;
    struct hf_err err;
    struct backup_options o = {.store = cli->store,
                               .vault = &cli->vault,
                               .keys = &cli->keys,
                               .state_fd = cli->state_fd,
                               .cache_dir = cli->home.cache,
                               .paths = paths,
                               .path_count = count,
                               .tags = run->tags,
                               .tag_count = run->tag_count,
                               .host_name = run->host,
                               .time_ns =
                                   run->has_time ? run->time_ns : hf_clock_realtime_ns(),
                               .force = run->force,
                               .on_error = on_error,
                               .on_progress = on_progress,
                               .cancelled = cli_cancelled,
                               .arg = run};
    struct backup_skip skips[SKIPS_MAX];
    int status = EXIT_DONE;

    o.skips = skips;
    o.skip_count = own_directories(cli, skips);
    o.utc_offset_s = utc_offset(o.time_ns);
    if (!compression_level(run->compression, &o.level))
        return cli_usage_error("backup ",
                               "compression '%.32s': off, fastest, default, better, max",
                               run->compression);
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
    const char *from_conf[SNAPSHOT_TAGS_MAX];
    const char *const *paths;
    size_t count;
    char *text = NULL;
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, &run, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    cli_catch_signals();
    cli_progress_begin(&run.progress, cli);
    if (cli_open_vault(cli, "backup", &err) != HF_OK) return cli_fail(cli, &err);
    if (run.compression == NULL)
        run.compression = hf_conf_get(cli->conf, "backup", "compression");
    paths = (const char *const *)argv + first;
    count = (size_t)(argc - first);
    if (count == 0 && hf_conf_get(cli->conf, "backup", "paths") != NULL) {
        text = strdup(hf_conf_get(cli->conf, "backup", "paths"));
        paths = from_conf;
        count = text != NULL ? split(text, from_conf, SNAPSHOT_TAGS_MAX) : 0;
    }
    status = count > 0
                 ? run_backup(&run, paths, count)
                 : cli_usage_error("backup ", "no PATH given, and none in holdfast.conf");
    free(text);
    return status;
}
