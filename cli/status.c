/* holdfast status: one word, then why. */
#include "cli/status.h"
#include "cli/cli.h"

#include "base/clock.h"
#include "blockstore/local_store.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: holdfast status\n"
    "One word first: SAFE, CATCHING UP, AT RISK or LOST; then why.\n";

#define STALE_AFTER_S (3 * 86400) /* a host without a dump for so long is at risk */

/* "3 h", "2 d" */
static const char *age_text(int64_t seconds, char buf[static 32])
{
    if (seconds < 0) seconds = 0;
    if (seconds < 120)
        (void)snprintf(buf, 32, "%lld s", (long long)seconds);
    else if (seconds < 2 * 3600)
        (void)snprintf(buf, 32, "%lld min", (long long)(seconds / 60));
    else if (seconds < 2 * 86400)
        (void)snprintf(buf, 32, "%lld h", (long long)(seconds / 3600));
    else
        (void)snprintf(buf, 32, "%lld d", (long long)(seconds / 86400));
    return buf;
}

static void worsen(struct status *status, enum status_word word, const char *why)
{
    if (word > status->word) status->word = word;
    if (status->why_count < STATUS_WHY_MAX)
        (void)snprintf(status->why[status->why_count++], sizeof status->why[0], "%s", why);
}

static void judge_hosts(struct status *status, const struct vault_view *view, json_t *hosts)
{
    int64_t now_s = hf_clock_realtime_ns() / 1000000000;
    char why[160];

    if (view->incomplete)
        worsen(status, STATUS_AT_RISK,
               "too few holders answer to be sure of the newest dumps");
    else if (view->host_count == 0)
        worsen(status, STATUS_AT_RISK, "nothing has been backed up yet");
    for (size_t h = 0; h < view->host_count; h++) {
        const struct catalog *host = &view->hosts[h];
        const struct catalog_entry *last =
            host->count > 0 ? &host->entries[host->count - 1] : NULL;
        int64_t age = last != NULL ? now_s - last->time_ns / 1000000000 : 0;
        char time[64];
        char id[HF_ID_HEX_SIZE];

        if (last == NULL) continue;
        if (age > STALE_AFTER_S) {
            char text[32];

            (void)snprintf(why, sizeof why, "the last dump of %.64s is %s old",
                           host->host_name, age_text(age, text));
            worsen(status, STATUS_AT_RISK, why);
        }
        (void)json_array_append_new(
            hosts,
            json_pack("{s:s,s:s,s:s,s:I,s:I}", "id", hf_id_hex(&host->host, id), "hostname",
                      host->host_name, "last_dump",
                      cli_time(last->time_ns, last->utc_offset_s, time), "age_seconds",
                      (json_int_t)age, "snapshots", (json_int_t)host->count));
    }
}

/* A store in a directory of this machine: whatever it holds goes with the machine. */
static enum hf_code judge_local(struct cli *cli, struct status *status, struct hf_err *err)
{
    struct local_store_status s;
    enum hf_code rc = local_store_status(cli->store, &s, err);

    if (rc != HF_OK) return rc;
    status->stored_bytes = s.block_bytes;
    if (s.damaged_segments > 0)
        worsen(status, STATUS_AT_RISK, "segments of the local store are damaged");
    worsen(status, STATUS_AT_RISK,
           "the only copy is in a directory of this machine; a ring keeps it elsewhere");
    return HF_OK;
}

static void print(const struct status *status, const json_t *hosts)
{
    static const char *const words[] = {"SAFE", "CATCHING UP", "AT RISK", "LOST"};
    const json_t *host;
    size_t i;
    char size[32];
    char age[32];

    (void)puts(words[status->word]);
    for (i = 0; i < status->why_count; i++)
        (void)printf("  %s\n", status->why[i]);
    if (status->on_ring)
        (void)printf("  %lld other machines may be lost without loss\n",
                     (long long)status->losses_survived);
    json_array_foreach(hosts, i, host)
    {
        (void)printf(
            "  %s: last dump %s, %s ago, %lld snapshots\n",
            json_string_value(json_object_get(host, "hostname")),
            json_string_value(json_object_get(host, "last_dump")),
            age_text(json_integer_value(json_object_get(host, "age_seconds")), age),
            (long long)json_integer_value(json_object_get(host, "snapshots")));
    }
    if (status->on_ring)
        (void)printf("  %s kept for others\n", cli_size(status->given_bytes, size));
    else
        (void)printf("  %s stored\n", cli_size(status->stored_bytes, size));
}

static enum hf_code run(struct cli *cli, struct hf_err *err)
{
    static const char *const words[] = {"SAFE", "CATCHING UP", "AT RISK", "LOST"};
    struct status status = {0};
    json_t *hosts = json_array();
    struct vault_view view;
    const char *spec = hf_conf_get(cli->conf, "vault", "store");
    enum hf_code rc = vault_view_read(cli->store, cli->fetcher, &cli->keys, &view, err);

    status.on_ring = spec != NULL && strcmp(spec, "ring") == 0;
    if (rc == HF_OK) {
        judge_hosts(&status, &view, hosts);
        vault_view_done(&view);
    } else if (status.on_ring && rc == HF_UNAVAILABLE) { /* this is what status is for */
        worsen(&status, STATUS_AT_RISK,
               "the dumps cannot be listed now: too few holders answer");
        rc = HF_OK;
    }
    if (rc == HF_OK)
        rc = status.on_ring ? status_judge_ring(cli, &status, err)
                            : judge_local(cli, &status, err);
    if (rc == HF_OK && cli->json) {
        json_t *why = json_array();

        for (size_t i = 0; i < status.why_count; i++)
            (void)json_array_append_new(why, json_string(status.why[i]));
        cli_json_line(json_pack(
            "{s:i,s:s,s:o,s:O,s:I,s:o,s:I,s:I,s:o}", "schema", CLI_SCHEMA, "state",
            words[status.word], "why", why, "hosts", hosts, "losses_survived",
            (json_int_t)status.losses_survived, "peers",
            status.peers != NULL ? status.peers : json_array(), "given_bytes",
            (json_int_t)status.given_bytes, "taken_bytes", (json_int_t)status.stored_bytes,
            "traffic", status.traffic != NULL ? status.traffic : json_null()));
    } else if (rc == HF_OK) {
        print(&status, hosts);
        json_decref(status.peers);
        json_decref(status.traffic);
    }
    json_decref(hosts);
    return rc;
}

int cli_status(struct cli *cli, int argc, char **argv)
{
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, NULL, NULL, NULL, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (first < argc)
        return cli_usage_error("status ", "status takes no '%s'", argv[first]);
    if (cli_open_vault(cli, NULL, &err) != HF_OK || run(cli, &err) != HF_OK)
        return cli_fail(cli, &err);
    return EXIT_DONE;
}
