#include "cli/backup_args.h"

#include "base/alloc.h"
#include "base/lines.h"
#include "base/log.h"
#include "snapshot/patterns.h"
#include "snapshot/stdin_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PATH_LIST_MAX     ((size_t)256 << 20) /* a file of paths */
#define CONF_SECTION      "backup"
#define STDIN_NAME        "stdin"
#define NOTE_MORE_TEXT    "and %zu more"
#define IF_PRESENT_ATMOST 64u

static const char usage[] =
    "usage: holdfast backup [-nfx] [-e PATTERN]... [--exclude-file F] [--exclude-caches]\n"
    "                       [--exclude-if-present NAME] [--exclude-larger-than SIZE]\n"
    "                       [--files-from F] [--stdin [--stdin-filename N]]\n"
    "                       [--tag T]... [--host H] [--time T]\n"
    "                       [--compression off|fastest|default|better|max] [PATH...]\n"
    "Makes a snapshot of the paths; without PATH, of 'paths' in [backup] of "
    "holdfast.conf.\n"
    "  -n, --dry-run            only says what it would save; with -v each path\n"
    "  -f, --force              reads every file anew\n"
    "  -x, --one-file-system    leaves out what is mounted below a path\n"
    "  -e, --exclude PATTERN    leaves out what matches, as in gitignore\n"
    "  --exclude-file F         ... the patterns in a file, '-' for stdin\n"
    "  --exclude-caches         the content of directories with a CACHEDIR.TAG\n"
    "  --exclude-if-present N   ... of those with a file of that name\n"
    "  --exclude-larger-than S  files over a size: 500M, 2G\n"
    "  --files-from F           takes paths from a file too, one a line, '-' for stdin\n"
    "  --stdin                  saves what comes on stdin as one file\n"
    "  --stdin-filename N       ... of this name instead of 'stdin'\n"
    "  --time T                 the snapshot's time: 'yyyy-mm-dd hh:mm[:ss]', local, or "
    "@SECONDS\n";

enum {
    OPT_DRY_RUN,
    OPT_FORCE,
    OPT_ONE_FILE_SYSTEM,
    OPT_EXCLUDE,
    OPT_EXCLUDE_FILE,
    OPT_EXCLUDE_CACHES,
    OPT_IF_PRESENT,
    OPT_LARGER_THAN,
    OPT_FILES_FROM,
    OPT_STDIN,
    OPT_STDIN_FILENAME,
    OPT_TAG,
    OPT_HOST,
    OPT_TIME,
    OPT_COMPRESSION
};

static const struct cli_option options[] = {{"dry-run", 'n', false},
                                            {"force", 'f', false},
                                            {"one-file-system", 'x', false},
                                            {"exclude", 'e', true},
                                            {"exclude-file", 0, true},
                                            {"exclude-caches", 0, false},
                                            {"exclude-if-present", 0, true},
                                            {"exclude-larger-than", 0, true},
                                            {"files-from", 0, true},
                                            {"stdin", 0, false},
                                            {"stdin-filename", 0, true},
                                            {"tag", 0, true},
                                            {"host", 0, true},
                                            {"time", 0, true},
                                            {"compression", 0, true},
                                            {NULL, 0, false}};

static int out_of_memory(void)
{
    (void)fputs("holdfast: out of memory\n", stderr);
    return EXIT_FAILED;
}

static bool strings_add(struct strings *s, const char *text)
{
    char **grown = hf_grow_array(s->items, &s->capacity, s->count + 1, sizeof(char *));

    if (grown == NULL) return false;
    s->items = grown;
    grown[s->count] = strdup(text);
    if (grown[s->count] == NULL) return false;
    s->count++;
    return true;
}

static void strings_done(struct strings *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i]);
    free(s->items);
}

void backup_args_done(struct backup_args *args)
{
    pattern_set_free(args->exclude);
    free(args->exclusions);
    strings_done(&args->if_present);
    strings_done(&args->path_lists);
    strings_done(&args->paths);
    strings_done(&args->notes);
}

/* ---- the command line ---- */

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

static bool take_exclusion(struct backup_args *args, const char *text, bool is_file)
{
    struct exclusion *grown = hf_grow_array(args->exclusions, &args->exclusion_capacity,
                                            args->exclusion_count + 1, sizeof *grown);

    if (grown == NULL) return out_of_memory() == EXIT_DONE;
    args->exclusions = grown;
    grown[args->exclusion_count++] = (struct exclusion){text, is_file};
    return true;
}

static bool take_string(struct strings *s, const char *text)
{
    return strings_add(s, text) || out_of_memory() == EXIT_DONE;
}

static bool take_tag(struct backup_args *args, const char *value)
{
    if (args->tag_count == SNAPSHOT_TAGS_MAX || strlen(value) >= NAME_TEXT_MAX ||
        value[0] == '\0') {
        (void)cli_usage_error("backup ", "tag '%.32s': empty, too long, or too many",
                              value);
        return false;
    }
    args->tags[args->tag_count++] = value;
    return true;
}

static bool take_host(struct backup_args *args, const char *value)
{
    if (value[0] == '\0' || strlen(value) >= NAME_TEXT_MAX || strchr(value, '/') != NULL ||
        value[0] == '.') {
        (void)cli_usage_error("backup ", "host '%.32s': not a name", value);
        return false;
    }
    args->host = value;
    return true;
}

static bool take(void *arg, size_t option, const char *value)
{
    struct backup_args *args = arg;

    switch (option) {
    case OPT_DRY_RUN: args->dry_run = true; break;
    case OPT_FORCE: args->force = true; break;
    case OPT_ONE_FILE_SYSTEM: args->one_file_system = true; break;
    case OPT_EXCLUDE: return take_exclusion(args, value, false);
    case OPT_EXCLUDE_FILE: return take_exclusion(args, value, true);
    case OPT_EXCLUDE_CACHES: args->exclude_caches = true; break;
    case OPT_IF_PRESENT: return take_string(&args->if_present, value);
    case OPT_LARGER_THAN: args->larger_than = value; break;
    case OPT_FILES_FROM: return take_string(&args->path_lists, value);
    case OPT_STDIN: args->from_stdin = true; break;
    case OPT_STDIN_FILENAME: args->stdin_name = value; break;
    case OPT_TAG: return take_tag(args, value);
    case OPT_HOST: return take_host(args, value);
    case OPT_TIME:
        args->has_time = parse_time(value, &args->time_ns);
        if (!args->has_time)
            (void)cli_usage_error("backup ", "time '%.32s': want 'yyyy-mm-dd hh:mm:ss'",
                                  value);
        return args->has_time;
    case OPT_COMPRESSION: args->compression = value; break;
    default: return false;
    }
    return true;
}

/* How often stdin would be read. */
static size_t count_stdin(const struct backup_args *args)
{
    size_t count = args->from_stdin ? 1 : 0;

    for (size_t i = 0; i < args->exclusion_count; i++)
        count += args->exclusions[i].is_file && strcmp(args->exclusions[i].text, "-") == 0;
    for (size_t i = 0; i < args->path_lists.count; i++)
        count += strcmp(args->path_lists.items[i], "-") == 0;
    return count;
}

static int check(const struct backup_args *args)
{
    if (count_stdin(args) > 1)
        return cli_usage_error("backup ", "stdin can be read only once");
    if (args->stdin_name != NULL && !args->from_stdin)
        return cli_usage_error("backup ", "--stdin-filename without --stdin");
    if (args->from_stdin && args->dry_run)
        return cli_usage_error("backup ",
                               "--stdin with --dry-run: it could not be read again");
    if (args->from_stdin && (args->paths.count > 0 || args->path_lists.count > 0))
        return cli_usage_error("backup ", "--stdin is one file of its own: name no paths");
    if (args->stdin_name != NULL && !stdin_name_valid(args->stdin_name))
        return cli_usage_error("backup ", "--stdin-filename '%.64s': no name for a file",
                               args->stdin_name);
    return EXIT_DONE;
}

int backup_args_parse(struct backup_args *args, struct cli *cli, int argc, char **argv)
{
    int first;
    int status = cli_parse(cli, argc, argv, options, take, args, usage, &first);

    if (status != EXIT_DONE) return status;
    for (int i = first; i < argc; i++) {
        if (!strings_add(&args->paths, argv[i])) return out_of_memory();
    }
    if (args->from_stdin && args->stdin_name == NULL) args->stdin_name = STDIN_NAME;
    return check(args);
}

/* ---- holdfast.conf and files ---- */

static int fail(const struct cli *cli, const struct hf_err *err)
{
    char text[2 * sizeof err->msg];

    if (err->code != HF_INVALID) {
        (void)cli_fail(cli, err);
        return EXIT_FAILED;
    }
    return cli_usage_error("backup ", "%s", hf_escape(err->msg, text, sizeof text));
}

/* Cuts `text`, the caller's, at white space that no backslash stands before: the next word,
 * or NULL.  With `plain`, the backslash before white space goes. */
static char *next_word(char **text, bool plain)
{
    char *from = *text;
    char *to;
    char *word;

    while (isspace((unsigned char)*from))
        from++;
    if (*from == '\0') return NULL;
    for (word = to = from; *from != '\0' && !isspace((unsigned char)*from);) {
        bool escaped = from[0] == '\\' && from[1] != '\0';

        if (escaped && !(plain && isspace((unsigned char)from[1]))) *to++ = *from;
        if (escaped) from++;
        *to++ = *from++;
    }
    *text = *from == '\0' ? from : from + 1;
    *to = '\0';
    return word;
}

typedef int word_fn(struct backup_args *args, const struct cli *cli, const char *word);

/* Calls take_word for each word of all lines of a key. */
static int each_word(struct backup_args *args, const struct cli *cli, const char *key,
                     bool plain, word_fn *take_word)
{
    const char *line;
    int status = EXIT_DONE;

    for (size_t i = 0; status == EXIT_DONE &&
                       (line = hf_conf_get_line(cli->conf, CONF_SECTION, key, i)) != NULL;
         i++) {
        char *copy = strdup(line);
        char *rest = copy;
        char *word;

        if (copy == NULL) return out_of_memory();
        while (status == EXIT_DONE && (word = next_word(&rest, plain)) != NULL)
            status = take_word(args, cli, word);
        free(copy);
    }
    return status;
}

/* What was left out stands in the snapshot, so that nobody has to wonder. */
static int add_note(struct backup_args *args, const char *key, const char *value)
{
    char note[NAME_TEXT_MAX];

    (void)snprintf(note, sizeof note, "%s%s%s", key, value[0] == '\0' ? "" : "=", value);
    return strings_add(&args->notes, note) ? EXIT_DONE : out_of_memory();
}

static int add_pattern(struct backup_args *args, const struct cli *cli, const char *word)
{
    struct hf_err err;

    if (pattern_set_add(args->exclude, word, 0, "exclude", &err) != HF_OK)
        return fail(cli, &err);
    return add_note(args, "exclude", word);
}

static int add_pattern_file(struct backup_args *args, const struct cli *cli,
                            const char *word)
{
    struct hf_err err;

    if (pattern_set_add_file(args->exclude, word, 0, &err) != HF_OK) {
        (void)hf_prefix(&err, "exclude-file");
        return fail(cli, &err);
    }
    return add_note(args, "exclude-file", word);
}

static int add_if_present(struct backup_args *args, const struct cli *cli, const char *word)
{
    (void)cli;
    return strings_add(&args->if_present, word) ? EXIT_DONE : out_of_memory();
}

static int add_path(struct backup_args *args, const struct cli *cli, const char *word)
{
    (void)cli;
    return strings_add(&args->paths, word) ? EXIT_DONE : out_of_memory();
}

/* The command line's come last, so that they decide. */
static int make_patterns(struct backup_args *args, const struct cli *cli)
{
    int status;

    args->exclude = pattern_set_new();
    if (args->exclude == NULL) return out_of_memory();
    status = each_word(args, cli, "exclude", false, add_pattern);
    if (status == EXIT_DONE)
        status = each_word(args, cli, "exclude-file", true, add_pattern_file);
    for (size_t i = 0; status == EXIT_DONE && i < args->exclusion_count; i++) {
        const struct exclusion *e = &args->exclusions[i];

        status = e->is_file ? add_pattern_file(args, cli, e->text)
                            : add_pattern(args, cli, e->text);
    }
    return status;
}

static int read_switch(const struct cli *cli, const char *key, bool *on)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0", ""};
    const char *value = hf_conf_get(cli->conf, CONF_SECTION, key);

    if (value == NULL || *on) return EXIT_DONE;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(value, yes[i]) == 0) {
            *on = true;
            return EXIT_DONE;
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (strcasecmp(value, no[i]) == 0) return EXIT_DONE;
    }
    return cli_usage_error("backup ", "%s = %.32s: it is 'yes' or 'no'", key, value);
}

static int make_if_present(struct backup_args *args, const struct cli *cli)
{
    int status = each_word(args, cli, "exclude-if-present", true, add_if_present);

    if (status == EXIT_DONE && args->if_present.count > IF_PRESENT_ATMOST)
        return cli_usage_error("backup ", "exclude-if-present: more than %u names",
                               IF_PRESENT_ATMOST);
    for (size_t i = 0; status == EXIT_DONE && i < args->if_present.count; i++) {
        const char *name = args->if_present.items[i];

        if (name[0] == '\0' || strchr(name, '/') != NULL)
            return cli_usage_error("backup ",
                                   "exclude-if-present '%.64s': not a file's name", name);
        status = add_note(args, "exclude-if-present", name);
    }
    return status;
}

static int make_larger_than(struct backup_args *args, const struct cli *cli)
{
    uint64_t *bytes = &args->selection.larger_than;

    if (args->larger_than == NULL)
        args->larger_than = hf_conf_get(cli->conf, CONF_SECTION, "exclude-larger-than");
    if (args->larger_than == NULL) return EXIT_DONE;
    if (!hf_size_parse(args->larger_than, bytes) || *bytes == 0)
        return cli_usage_error("backup ",
                               "exclude-larger-than '%.32s': want a size as 500M",
                               args->larger_than);
    return add_note(args, "exclude-larger-than", args->larger_than);
}

static int make_selection(struct backup_args *args, const struct cli *cli)
{
    struct selection *s = &args->selection;
    int status = make_patterns(args, cli);

    if (status == EXIT_DONE) status = make_if_present(args, cli);
    if (status == EXIT_DONE) status = make_larger_than(args, cli);
    if (status == EXIT_DONE)
        status = read_switch(cli, "exclude-caches", &args->exclude_caches);
    if (status == EXIT_DONE)
        status = read_switch(cli, "one-file-system", &args->one_file_system);
    if (status == EXIT_DONE && args->exclude_caches)
        status = add_note(args, "exclude-caches", "");
    if (status == EXIT_DONE && args->one_file_system)
        status = add_note(args, "one-file-system", "");
    s->exclude = args->exclude;
    s->caches = args->exclude_caches;
    s->if_present = (const char *const *)args->if_present.items;
    s->if_present_count = args->if_present.count;
    s->one_file_system = args->one_file_system;
    return status;
}

/* The snapshot has room for some. */
static void shorten_notes(struct strings *notes)
{
    char more[32];
    size_t left;

    if (notes->count <= SNAPSHOT_OPTIONS_MAX) return;
    left = notes->count - SNAPSHOT_OPTIONS_MAX + 1;
    while (notes->count >= SNAPSHOT_OPTIONS_MAX)
        free(notes->items[--notes->count]);
    (void)snprintf(more, sizeof more, NOTE_MORE_TEXT, left);
    (void)strings_add(notes, more);
}

static int read_path_lists(struct backup_args *args, const struct cli *cli)
{
    for (size_t i = 0; i < args->path_lists.count; i++) {
        struct hf_lines lines;
        struct hf_err err;
        bool taken = true;

        if (hf_lines_load(args->path_lists.items[i], PATH_LIST_MAX, &lines, &err) !=
            HF_OK) {
            (void)hf_prefix(&err, "files-from");
            return fail(cli, &err);
        }
        for (size_t k = 0; taken && k < lines.count; k++)
            taken = lines.lines[k][0] == '\0' || strings_add(&args->paths, lines.lines[k]);
        hf_lines_done(&lines);
        if (!taken) return out_of_memory();
    }
    return EXIT_DONE;
}

static int find_paths(struct backup_args *args, const struct cli *cli)
{
    int status = EXIT_DONE;

    if (args->from_stdin) return EXIT_DONE;
    if (args->path_lists.count > 0)
        status = read_path_lists(args, cli);
    else if (args->paths.count == 0)
        status = each_word(args, cli, "paths", true, add_path);
    if (status != EXIT_DONE || args->paths.count > 0) return status;
    return args->path_lists.count > 0
               ? cli_usage_error("backup ", "no path in '%.64s'", args->path_lists.items[0])
               : cli_usage_error("backup ", "no PATH given, and none in holdfast.conf");
}

static int find_level(struct backup_args *args, const struct cli *cli)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"off", 0},
                  {"fastest", -1},
                  {"default", FRAME_LEVEL_DEFAULT},
                  {"better", 9},
                  {"max", 19}};
    const char *name = args->compression;

    if (name == NULL) name = hf_conf_get(cli->conf, CONF_SECTION, "compression");
    if (name == NULL) name = "default";
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(name, levels[i].name) != 0) continue;
        args->level = levels[i].level;
        return EXIT_DONE;
    }
    return cli_usage_error("backup ",
                           "compression '%.32s': off, fastest, default, better, max", name);
}

int backup_args_finish(struct backup_args *args, const struct cli *cli)
{
    int status = find_level(args, cli);

    if (status == EXIT_DONE) status = make_selection(args, cli);
    if (status == EXIT_DONE) status = find_paths(args, cli);
    shorten_notes(&args->notes);
    return status;
}
