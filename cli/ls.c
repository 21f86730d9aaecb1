/* holdfast ls */
#include "cli/cli.h"
#include "snapshot/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: holdfast ls [-lR] SNAP[:PATH]\n"
                            "  -l, --long        mode, owner, size and time\n"
                            "  -R, --recursive   everything below\n";

enum { OPT_LONG, OPT_RECURSIVE };

static const struct cli_option options[] = {
    {"long", 'l', false}, {"recursive", 'R', false}, {NULL, 0, false}};

/* A directory on the way down. */
struct level {
    struct level *up;
    struct tree_reader *reader;
    size_t path_size;
};

struct ls {
    struct cli *cli;
    bool detailed, recursive;
    char path[65536]; /* raw bytes */
    size_t path_size;
    json_t *list;
    struct level *top;
};

static bool take(void *arg, size_t option, const char *value)
{
    struct ls *ls = arg;

    (void)value;
    if (option == OPT_LONG) ls->detailed = true;
    if (option == OPT_RECURSIVE) ls->recursive = true;
    return true;
}

static const char *type_name(enum tree_type type)
{
    static const char *const names[] = {"",     "file",   "dir",     "symlink",
                                        "fifo", "socket", "chardev", "dev"};

    return names[type];
}

static void mode_text(const struct tree_entry *e, char out[static 11])
{
    static const char types[] = "?-dlpscb";
    static const char bits[] = "rwxrwxrwx";

    out[0] = types[e->type];
    for (unsigned i = 0; i < 9; i++)
        out[1 + i] = (e->mode >> (8 - i) & 1) != 0 ? bits[i] : '-';
    if ((e->mode & 04000) != 0) out[3] = out[3] == 'x' ? 's' : 'S';
    if ((e->mode & 02000) != 0) out[6] = out[6] == 'x' ? 's' : 'S';
    if ((e->mode & 01000) != 0) out[9] = out[9] == 'x' ? 't' : 'T';
    out[10] = '\0';
}

static void print_entry(struct ls *ls, const struct tree_entry *e)
{
    char mode[11];
    char time[64];

    if (ls->cli->json) {
        json_t *o =
            json_pack("{s:i,s:s,s:i,s:i,s:i,s:I,s:s}", "schema", CLI_SCHEMA, "type",
                      type_name(e->type), "mode", (int)e->mode, "uid", (int)e->uid, "gid",
                      (int)e->gid, "size", (json_int_t)(e->type == TREE_FILE ? e->size : 0),
                      "mtime", cli_time(e->mtime_ns, 0, time));

        cli_json_path(o, ls->path, ls->path_size);
        (void)json_array_append_new(ls->list, o);
        return;
    }
    if (ls->detailed) {
        mode_text(e, mode);
        (void)printf("%s %6u %6u %12llu %.19s ", mode, e->uid, e->gid,
                     (unsigned long long)(e->type == TREE_FILE ? e->size : 0),
                     cli_time(e->mtime_ns, 0, time));
    }
    cli_print_name(ls->path, ls->path_size);
    if (ls->detailed && e->type == TREE_SYMLINK) {
        (void)fputs(" -> ", stdout);
        cli_print_name(e->target.bytes, e->target.size);
    }
    (void)putchar('\n');
}

static enum hf_code push(struct ls *ls, const struct stream_root *root, struct hf_err *err)
{
    struct level *level = calloc(1, sizeof *level);

    if (level != NULL) level->reader = tree_reader_new(ls->cli->fetcher, root);
    if (level == NULL || level->reader == NULL) {
        free(level);
        return hf_fail(err, HF_NO_MEMORY, "ls: out of memory");
    }
    level->path_size = ls->path_size;
    level->up = ls->top;
    ls->top = level;
    return HF_OK;
}

static void pop(struct ls *ls)
{
    struct level *level = ls->top;

    tree_reader_free(level->reader);
    ls->top = level->up;
    free(level);
}

static enum hf_code walk(struct ls *ls, struct hf_err *err)
{
    while (ls->top != NULL) {
        const struct tree_entry *e;
        enum hf_code rc = tree_reader_next(ls->top->reader, &e, err);

        if (rc != HF_OK) return hf_prefix(err, "%.*s", (int)ls->top->path_size, ls->path);
        if (e == NULL) {
            pop(ls);
            continue;
        }
        ls->path_size = ls->top->path_size;
        if (ls->path_size + 1 + e->name.size > sizeof ls->path)
            return hf_fail(err, HF_TOO_LARGE, "ls: a path is longer than %zu bytes",
                           sizeof ls->path);
        ls->path[ls->path_size++] = '/';
        memcpy(ls->path + ls->path_size, e->name.bytes, e->name.size);
        ls->path_size += e->name.size;
        print_entry(ls, e);
        if (e->type == TREE_DIR && ls->recursive) rc = push(ls, &e->stream, err);
        if (rc != HF_OK) return rc;
    }
    return HF_OK;
}

static enum hf_code list(struct ls *ls, const char *spec, struct hf_err *err)
{
    struct lookup lookup = {0};
    struct snapshot snapshot = {0};
    const char *path;
    enum hf_code rc = cli_find_snapshot(ls->cli, spec, &snapshot, &path, err);

    if (rc == HF_OK) rc = lookup_path(ls->cli->fetcher, &snapshot.root, path, &lookup, err);
    if (rc == HF_OK) {
        ls->path_size = strlen(path);
        if (ls->path_size > sizeof ls->path) ls->path_size = 0;
        memcpy(ls->path, path, ls->path_size);
        while (ls->path_size > 0 && ls->path[ls->path_size - 1] == '/')
            ls->path_size--;
        if (lookup.entry != NULL && lookup.entry->type != TREE_DIR)
            print_entry(ls, lookup.entry);
        else
            rc = push(ls, &lookup.dir, err);
    }
    if (rc == HF_OK) rc = walk(ls, err);
    while (ls->top != NULL)
        pop(ls);
    lookup_done(&lookup);
    snapshot_done(&snapshot);
    return rc;
}

int cli_ls(struct cli *cli, int argc, char **argv)
{
    struct ls *ls = calloc(1, sizeof *ls);
    struct hf_err err;
    int first;
    int status;

    if (ls == NULL) return EXIT_FAILED;
    ls->cli = cli;
    status = cli_parse(cli, argc, argv, options, take, ls, usage, &first);
    if (status == EXIT_DONE && argc - first != 1)
        status = cli_usage_error("ls ", "ls takes one SNAP[:PATH]");
    if (status == EXIT_DONE) {
        ls->list = json_array();
        if (cli_open_vault(cli, NULL, &err) != HF_OK ||
            list(ls, argv[first], &err) != HF_OK)
            status = cli_fail(cli, &err);
        if (status == EXIT_DONE && cli->json) {
            (void)json_dumpf(ls->list, stdout, JSON_INDENT(2));
            (void)putchar('\n');
        }
        json_decref(ls->list);
    }
    free(ls);
    return status < 0 ? EXIT_DONE : status;
}
