/* cli.h - what the commands of `holdfast` share.  One file per command (docs/cli.md).
 *
 * A command returns the process's exit code, after one line on stderr for a failure. */
#ifndef HOLDFAST_CLI_CLI_H
#define HOLDFAST_CLI_CLI_H

#include "base/conf.h"
#include "base/err.h"
#include "base/home.h"
#include "blockstore/block_store.h"
#include "snapshot/catalog.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"
#include "snapshot/vault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_SCHEMA 1 /* of every JSON element and line */

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PARTIAL = 3,
    EXIT_DEGRADED = 4,
    EXIT_DAMAGED = 6,
    EXIT_NO_SUCH = 10,
    EXIT_LOCKED = 11,
    EXIT_WRONG_KEY = 12,
    EXIT_TOO_FEW_PEERS = 13,
    EXIT_NO_SPACE = 14,
    EXIT_SIGNAL = 128
};

struct cli {
    const char *home_option; /* --home, or NULL */
    struct hf_home home;
    bool json, quiet;
    int verbose;
    struct hf_conf *conf;

    /* Set by cli_open_vault. */
    struct vault vault;
    struct vault_keys keys;
    struct block_store *store;
    struct fetcher *fetcher;
    char store_dir[HF_PATH_MAX]; /* of a local store; "": it is none */
    int config_fd, state_fd, lock_fd;
};

/* ---- arguments ---- */

struct cli_option {
    const char *name; /* long */
    char letter;      /* 0: none */
    bool has_value;
};

/* Called for each option of the command (`option` is its index); false: a bad value, which
 * it has explained. */
typedef bool cli_option_fn(void *arg, size_t option, const char *value);

/* Parses argv[1..] behind the verb: the command's own options (ended by a NULL name), and
 * the global ones.  *first is the index of the first operand in argv, which is permuted.
 * Returns EXIT_DONE, EXIT_USAGE, or -1 when help was asked for and printed. */
int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_option *options,
              cli_option_fn *take, void *arg, const char *usage, int *first);

/* "holdfast: <text>; see 'holdfast VERB -h'"; returns EXIT_USAGE. */
int cli_usage_error(const char *verb, const char *fmt, ...) HF_PRINTF(2, 3);

/* ---- the vault ---- */

/* Finds the home and reads holdfast.conf. */
HF_MUST_CHECK enum hf_code cli_open_home(struct cli *cli, struct hf_err *err);

/* Opens vault, keys, store and fetcher as holdfast.conf says.  With `writing`, takes the
 * vault's writer lock first, and opens the store for writing. */
HF_MUST_CHECK enum hf_code cli_open_vault(struct cli *cli, const char *writing,
                                          struct hf_err *err);
/* Opens the store that `spec` names: "local:DIR" or "ring". */
HF_MUST_CHECK enum hf_code cli_open_store(struct cli *cli, const char *spec, bool writing,
                                          struct hf_err *err);
void cli_close(struct cli *cli);

/* Reads a passphrase file: its first line, to buf. */
HF_MUST_CHECK enum hf_code cli_read_passphrase(const char *path, char *buf, size_t size,
                                               struct hf_err *err);

/* The vault's hosts; the caller's (vault_view_done).  Warns when there may be newer
 * snapshots than can be seen, and fails when none can be: HF_UNAVAILABLE (ring), HF_CORRUPT
 * (local). */
HF_MUST_CHECK enum hf_code cli_view(struct cli *cli, struct vault_view *view,
                                    struct hf_err *err);

/* Splits "SNAP:PATH" and finds the snapshot; *path borrows from spec ("" without a path).
 * HF_NOT_FOUND. */
HF_MUST_CHECK enum hf_code cli_find_snapshot(struct cli *cli, const char *spec,
                                             struct snapshot *snapshot, const char **path,
                                             struct hf_err *err);

/* ---- talking ---- */

/* Prints "holdfast: <message>" (or a JSON line of message_type error) and returns the code
 * of docs/cli.md for it. */
int cli_fail(const struct cli *cli, const struct hf_err *err);
int cli_exit_code(enum hf_code code);

/* The line on a terminal that tells how far a long command is; on SIGUSR1 also elsewhere.
 */
struct cli_progress {
    bool on_terminal;
    uint64_t started_ms, shown_ms;
};
/* Begins the clock; the line is shown when stderr is a terminal, unless --quiet or --json.
 */
void cli_progress_begin(struct cli_progress *progress, const struct cli *cli);
/* Called as often as there is news; shows it a few times a second. */
void cli_progress_show(struct cli_progress *progress, uint64_t files, uint64_t bytes,
                       const char *path);
/* Before anything else is printed. */
void cli_progress_clear(const struct cli_progress *progress);
double cli_progress_seconds(const struct cli_progress *progress);

/* One line for a file that failed, while the command goes on. */
void cli_report_file(const struct cli *cli, const struct cli_progress *progress,
                     const char *path, const struct hf_err *err);

/* "1.2 GiB", "999 B"; buf holds 32 bytes. */
const char *cli_size(uint64_t bytes, char buf[static 32]);
/* RFC 3339 with the offset; buf holds 64 bytes. */
const char *cli_time(int64_t ns, int32_t utc_offset_s, char buf[static 64]);
/* A name from a snapshot for a terminal: control characters escaped when stdout is one. */
void cli_print_name(const void *name, size_t n);
/* Sets `path` or, when it is not UTF-8, `path_b64`. */
void cli_json_path(json_t *object, const void *path, size_t n);
/* Prints one JSON line and releases it. */
void cli_json_line(json_t *object);

/* SIGINT and SIGTERM ask for an end; a second one ends at once. */
void cli_catch_signals(void);
bool cli_cancelled(void *unused);
/* The signal that was caught, or 0. */
int cli_signal(void);

/* ---- the commands ---- */

int cli_init(struct cli *cli, int argc, char **argv);
int cli_backup(struct cli *cli, int argc, char **argv);
int cli_snapshots(struct cli *cli, int argc, char **argv);
int cli_ls(struct cli *cli, int argc, char **argv);
int cli_restore(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_mount(struct cli *cli, int argc, char **argv);
int cli_umount(struct cli *cli, int argc, char **argv);
int cli_ring(struct cli *cli, int argc, char **argv);
int cli_version(struct cli *cli, int argc, char **argv);

#endif
