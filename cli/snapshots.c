/* holdfast snapshots */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: holdfast snapshots [--host H] [--tag T] [SNAP...]\n"
    "Lists the snapshots of all hosts of the vault, oldest first.\n";

enum { OPT_HOST, OPT_TAG };

static const struct cli_option options[] = {
    {"host", 0, true}, {"tag", 0, true}, {NULL, 0, false}};

struct filter {
    const char *host, *tag;
};

static bool take(void *arg, size_t option, const char *value)
{
    struct filter *f = arg;

    if (option == OPT_HOST) f->host = value;
    if (option == OPT_TAG) f->tag = value;
    return true;
}

static bool passes(const struct filter *f, const struct catalog_entry *e)
{
    if (f->host != NULL && strcmp(f->host, e->host_name) != 0) return false;
    if (f->tag == NULL) return true;
    for (size_t i = 0; i < e->tag_count; i++) {
        if (strcmp(f->tag, e->tags[i]) == 0) return true;
    }
    return false;
}

static void print_json(json_t *list, const struct catalog_entry *e,
                       const struct snapshot *s)
{
    char hex[HF_ID_HEX_SIZE];
    char time[64];
    char day[16];
    char year[16];
    char name[NAME_TEXT_MAX + 40];
    json_t *tags = json_array();
    json_t *paths = json_array();
    json_t *noted = json_array();
    json_t *object;

    catalog_entry_day(e, day, year);
    (void)snprintf(name, sizeof name, "%s/%s/%s", e->host_name, year, day);
    for (size_t i = 0; i < e->tag_count; i++)
        (void)json_array_append_new(tags, json_string(e->tags[i]));
    for (size_t i = 0; i < s->path_count; i++) {
        json_t *text = json_string(s->paths[i]);

        if (text != NULL) (void)json_array_append_new(paths, text);
    }
    for (size_t i = 0; i < s->option_count; i++) {
        json_t *text = json_string(s->options[i]);

        if (text != NULL) (void)json_array_append_new(noted, text);
    }
    object = json_pack("{s:i,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:I,s:I,s:I}", "schema",
                       CLI_SCHEMA, "id", hf_id_hex(&e->snapshot, hex), "name", name, "time",
                       cli_time(e->time_ns, e->utc_offset_s, time), "hostname",
                       e->host_name, "tags", tags, "paths", paths, "options", noted,
                       "files", (json_int_t)s->totals.files, "bytes",
                       (json_int_t)s->totals.bytes, "errors", (json_int_t)s->totals.errors);
    (void)json_array_append_new(list, object);
}

static void print_line(const struct catalog_entry *e, const struct snapshot *s)
{
    char hex[HF_ID_HEX_SIZE];
    char time[64];
    char day[16];
    char year[16];
    char size[32];

    catalog_entry_day(e, day, year);
    (void)printf("%.8s  %s  %10s  ", hf_id_hex(&e->snapshot, hex),
                 cli_time(e->time_ns, e->utc_offset_s, time),
                 cli_size(s->totals.bytes, size));
    cli_print_name(e->host_name, strlen(e->host_name));
    (void)printf("/%s/%s ", year, day);
    for (size_t i = 0; i < s->path_count; i++) {
        (void)putchar(' ');
        cli_print_name(s->paths[i], strlen(s->paths[i]));
    }
    for (size_t i = 0; i < e->tag_count; i++) {
        (void)fputs(" #", stdout);
        cli_print_name(e->tags[i], strlen(e->tags[i]));
    }
    (void)putchar('\n');
}

static enum hf_code list(struct cli *cli, const struct filter *filter, int count,
                         char **specs, struct hf_err *err)
{
    struct vault_view view;
    json_t *array = json_array();
    enum hf_code rc = cli_view(cli, &view, err);

    for (size_t h = 0; rc == HF_OK && h < view.host_count; h++) {
        for (size_t i = 0; rc == HF_OK && i < view.hosts[h].count; i++) {
            const struct catalog_entry *e = &view.hosts[h].entries[i];
            bool wanted = count == 0;
            struct snapshot s;

            for (int a = 0; rc == HF_OK && a < count; a++) {
                const struct catalog_entry *named;

                rc = vault_view_find(&view, specs[a], &cli->vault.host, &named, err);
                if (rc == HF_OK && named == e) wanted = true;
            }
            if (rc != HF_OK || !wanted || !passes(filter, e)) continue;
            rc = snapshot_read(cli->fetcher, e, &s, err);
            if (rc != HF_OK) break;
            if (cli->json)
                print_json(array, e, &s);
            else
                print_line(e, &s);
            snapshot_done(&s);
        }
    }
    vault_view_done(&view);
    if (rc == HF_OK && cli->json) {
        (void)json_dumpf(array, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    }
    json_decref(array);
    return rc;
}

int cli_snapshots(struct cli *cli, int argc, char **argv)
{
    struct filter filter = {0};
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, &filter, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (cli_open_vault(cli, NULL, &err) != HF_OK ||
        list(cli, &filter, argc - first, argv + first, &err) != HF_OK)
        return cli_fail(cli, &err);
    return EXIT_DONE;
}
