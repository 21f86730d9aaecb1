/* How far a long command is, and which files it could not do. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVERY_MS 200u

static volatile sig_atomic_t wanted; /* SIGUSR1 */

static void on_usr1(int signo)
{
    (void)signo;
    wanted = 1;
}

void cli_progress_begin(struct cli_progress *progress, const struct cli *cli)
{
    const struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};

    (void)sigaction(SIGUSR1, &usr1, NULL);
    progress->on_terminal = !cli->quiet && !cli->json && isatty(STDERR_FILENO) == 1;
    progress->started_ms = hf_clock_monotonic_ms();
    progress->shown_ms = 0;
}

void cli_progress_show(struct cli_progress *progress, uint64_t files, uint64_t bytes,
                       const char *path)
{
    uint64_t now;
    char size[32];
    char clean[128];

    if (!progress->on_terminal && wanted == 0) return;
    now = hf_clock_monotonic_ms();
    if (wanted == 0 && now - progress->shown_ms < EVERY_MS) return;
    if (progress->on_terminal) progress->shown_ms = now;
    (void)fprintf(stderr, "%s%llu files, %s, %.0f s  %s%s",
                  progress->on_terminal ? "\r\033[K" : "", (unsigned long long)files,
                  cli_size(bytes, size), (double)(now - progress->started_ms) / 1000,
                  hf_escape(path, clean, 60), progress->on_terminal ? "" : "\n");
    wanted = 0;
}

void cli_progress_clear(const struct cli_progress *progress)
{
    if (progress->shown_ms != 0) (void)fputs("\r\033[K", stderr);
}

double cli_progress_seconds(const struct cli_progress *progress)
{
    return (double)(hf_clock_monotonic_ms() - progress->started_ms) / 1000;
}

void cli_report_file(const struct cli *cli, const struct cli_progress *progress,
                     const char *path, const struct hf_err *err)
{
    char clean[8192];
    char text[4 * sizeof err->msg]; /* it may hold names as well */

    cli_progress_clear(progress);
    (void)hf_escape(err->msg, text, sizeof text);
    if (cli->json) {
        json_t *line = json_pack("{s:i,s:s,s:s}", "schema", CLI_SCHEMA, "message_type",
                                 "error", "message", text);

        cli_json_path(line, path, strlen(path));
        cli_json_line(line);
    }
    (void)fprintf(stderr, "holdfast: %s: %s\n", hf_escape(path, clean, sizeof clean), text);
}
