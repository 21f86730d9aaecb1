#include "cli/cli.h"

#include "base/log.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int cli_exit_code(enum hf_code code)
{
    switch (code) {
    case HF_OK: return EXIT_DONE;
    case HF_DEGRADED: return EXIT_DEGRADED;
    case HF_LOCKED: return EXIT_LOCKED;
    case HF_WRONG_KEY: return EXIT_WRONG_KEY;
    case HF_UNAVAILABLE: return EXIT_TOO_FEW_PEERS;
    case HF_NO_SPACE: return EXIT_NO_SPACE;
    case HF_CORRUPT: return EXIT_DAMAGED;
    case HF_CANCELLED: return EXIT_SIGNAL + (cli_signal() != 0 ? cli_signal() : SIGINT);
    case HF_NOT_FOUND: return EXIT_NO_SUCH;
    case HF_INVALID:
    case HF_TOO_LARGE:
    case HF_TIMED_OUT:
    case HF_DENIED:
    case HF_NO_MEMORY:
    case HF_IO:
    case HF_EXISTS:
    case HF_ROLLBACK:
    case HF_INCOMPLETE: return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

int cli_fail(const struct cli *cli, const struct hf_err *err)
{
    char text[2 * sizeof err->msg];
    int code = cli_exit_code(err->code);

    if (cli->json) {
        cli_json_line(json_pack("{s:i,s:s,s:s,s:i}", "schema", CLI_SCHEMA, "message_type",
                                "error", "message", hf_escape(err->msg, text, sizeof text),
                                "exit_code", code));
    }
    (void)fprintf(stderr, "holdfast: %s\n", hf_escape(err->msg, text, sizeof text));
    return code;
}

const char *cli_size(uint64_t bytes, char buf[static 32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    size_t unit = 0;

    while (v >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        v /= 1024;
        unit++;
    }
    (void)snprintf(buf, 32, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return buf;
}

const char *cli_time(int64_t ns, int32_t utc_offset_s, char buf[static 64])
{
    int64_t s = ns / 1000000000 - (ns % 1000000000 < 0 ? 1 : 0);
    time_t local = (time_t)(s + utc_offset_s);
    int minutes = utc_offset_s / 60;
    struct tm tm;
    size_t n;

    if (gmtime_r(&local, &tm) == NULL) memset(&tm, 0, sizeof tm);
    n = strftime(buf, 48, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(buf + n, 64 - n, "%c%02d:%02d", minutes < 0 ? '-' : '+',
                   abs(minutes) / 60 % 100, abs(minutes) % 60);
    return buf;
}

void cli_print_name(const void *name, size_t n)
{
    char raw[8192];
    char clean[4 * sizeof raw];

    if (!isatty(STDOUT_FILENO) || n >= sizeof raw) {
        (void)fwrite(name, 1, n, stdout);
        return;
    }
    memcpy(raw, name, n);
    raw[n] = '\0';
    (void)fputs(hf_escape(raw, clean, sizeof clean), stdout);
}

void cli_json_path(json_t *object, const void *path, size_t n)
{
    json_t *text = json_stringn(path, n); /* NULL when it is not UTF-8 */
    unsigned char *base64;

    if (text != NULL) {
        (void)json_object_set_new(object, "path", text);
        return;
    }
    base64 = malloc(4 * (n / 3 + 1) + 1);
    if (base64 == NULL) return;
    (void)EVP_EncodeBlock(base64, path, (int)n);
    (void)json_object_set_new(object, "path_b64", json_string((char *)base64));
    free(base64);
}

void cli_json_line(json_t *object)
{
    if (object == NULL) return;
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    json_decref(object);
}

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
    if (caught != 0) _exit(EXIT_SIGNAL + signo);
    caught = signo;
}

void cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool cli_cancelled(void *unused)
{
    (void)unused;
    return caught != 0;
}

int cli_signal(void)
{
    return caught;
}
