#include "base/conf.h"

#include "base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE_SIZE 64u /* of the name of an environment variable */

struct entry {
    char *section, *key, *value;
    int line;
};

struct hf_conf {
    struct hf_conf *base;
    char *path;
    struct entry *entries;
    size_t count, capacity;
    FILE *f;  /* while it is read ... */
    int line; /* ... the line that was read last */
};

static int add_entry(void *arg, const char *section, const char *key, const char *value)
{
    struct hf_conf *conf = arg;
    struct entry *grown;
    struct entry e;

    if (conf->count == HF_CONF_ENTRIES_MAX) return 0;
    grown = hf_grow_array(conf->entries, &conf->capacity, conf->count + 1, sizeof *grown);
    if (grown == NULL) return 0;
    conf->entries = grown;
    e = (struct entry){.section = strdup(section),
                       .key = strdup(key),
                       .value = strdup(value),
                       .line = conf->line};
    conf->entries[conf->count++] = e;
    return e.section != NULL && e.key != NULL && e.value != NULL;
}

/* As fgets, and counts. */
static char *read_line(char *line, int size, void *arg)
{
    struct hf_conf *conf = arg;

    conf->line++;
    return fgets(line, size, conf->f);
}

enum hf_code hf_conf_load(const char *path, struct hf_conf *base, struct hf_conf **conf,
                          struct hf_err *err)
{
    FILE *f;
    int line;

    *conf = calloc(1, sizeof **conf);
    if (*conf != NULL) (*conf)->path = strdup(path);
    if (*conf == NULL || (*conf)->path == NULL) {
        hf_conf_free(*conf);
        *conf = NULL;
        return hf_fail(err, HF_NO_MEMORY, "%s: out of memory", path);
    }
    f = fopen(path, "re");
    if (f == NULL && errno != ENOENT) {
        int why = errno;

        hf_conf_free(*conf);
        *conf = NULL;
        return hf_fail_errno(err, why, "open %s", path);
    }
    (*conf)->f = f;
    line = f == NULL ? 0 : ini_parse_stream(read_line, *conf, add_entry, *conf);
    if (f != NULL) (void)fclose(f);
    (*conf)->f = NULL;
    if (line != 0) {
        hf_conf_free(*conf);
        *conf = NULL;
        return hf_fail(
            err, HF_INVALID,
            "%s: line %d is not 'key = value' or '[section]', or over 199 bytes long", path,
            line);
    }
    (*conf)->base = base;
    return HF_OK;
}

void hf_conf_free(struct hf_conf *conf)
{
    while (conf != NULL) {
        struct hf_conf *base = conf->base;

        for (size_t i = 0; i < conf->count; i++) {
            free(conf->entries[i].section);
            free(conf->entries[i].key);
            free(conf->entries[i].value);
        }
        free(conf->entries);
        free(conf->path);
        free(conf);
        conf = base;
    }
}

static const char *name_variable(const char *key, char name[static VARIABLE_SIZE])
{
    size_t n = (size_t)snprintf(name, VARIABLE_SIZE, "HOLDFAST_");

    for (const char *p = key; *p != '\0' && n + 1 < VARIABLE_SIZE; p++, n++)
        name[n] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    name[n] = '\0';
    return name;
}

static const char *from_environment(const char *key)
{
    char name[VARIABLE_SIZE];

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the environment is never changed */
    return getenv(name_variable(key, name));
}

static bool is_key(const struct entry *e, const char *section, const char *key)
{
    return strcmp(e->section, section) == 0 && strcmp(e->key, key) == 0;
}

const char *hf_conf_get(const struct hf_conf *conf, const char *section, const char *key)
{
    const char *value = from_environment(key);

    if (value != NULL) return value;
    for (; conf != NULL; conf = conf->base) {
        for (size_t i = conf->count; i-- > 0;) { /* the last one wins */
            if (is_key(&conf->entries[i], section, key)) return conf->entries[i].value;
        }
    }
    return NULL;
}

/* The i-th entry of that key, and the file that has it; NULL: none. */
static const struct entry *find_line(const struct hf_conf **conf, const char *section,
                                     const char *key, size_t i)
{
    for (; *conf != NULL; *conf = (*conf)->base) {
        size_t found = 0;

        for (size_t k = 0; k < (*conf)->count; k++) {
            if (is_key(&(*conf)->entries[k], section, key) && found++ == i)
                return &(*conf)->entries[k];
        }
        if (found > 0) return NULL;
    }
    return NULL;
}

const char *hf_conf_get_line(const struct hf_conf *conf, const char *section,
                             const char *key, size_t i)
{
    const char *value = from_environment(key);
    const struct entry *e;

    if (value != NULL) return i == 0 ? value : NULL;
    e = find_line(&conf, section, key, i);
    return e != NULL ? e->value : NULL;
}

void hf_conf_where(const struct hf_conf *conf, const char *section, const char *key,
                   size_t i, char where[static HF_CONF_WHERE_SIZE])
{
    const struct entry *e = find_line(&conf, section, key, i);
    char name[VARIABLE_SIZE];

    if (from_environment(key) != NULL)
        (void)snprintf(where, HF_CONF_WHERE_SIZE, "%s", name_variable(key, name));
    else if (e != NULL)
        (void)snprintf(where, HF_CONF_WHERE_SIZE, "%.100s: line %d", conf->path, e->line);
    else
        where[0] = '\0';
}

bool hf_size_parse(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGTP";
    const char *unit;
    char *end;
    unsigned shift = 0;

    if (!isdigit((unsigned char)text[0])) return false;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    if (errno != 0) return false;
    if (*end != '\0') {
        unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL || end[1] != '\0') return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (*bytes > UINT64_MAX >> shift) return false;
    *bytes <<= shift;
    return true;
}

static uint64_t unit_seconds(char unit)
{
    switch (unit) {
    case 'y': return 365 * 86400ull;
    case 'm': return 30 * 86400ull;
    case 'w': return 7 * 86400ull;
    case 'd': return 86400;
    case 'h': return 3600;
    case 's': return 1;
    default: return 0;
    }
}

bool hf_duration_parse(const char *text, uint64_t *seconds)
{
    uint64_t total = 0;

    if (*text == '\0') return false;
    while (*text != '\0') {
        uint64_t n;
        uint64_t unit;
        char *end;

        if (!isdigit((unsigned char)*text)) return false;
        errno = 0;
        n = strtoull(text, &end, 10);
        unit = unit_seconds(*end);
        if (errno != 0 || unit == 0 || __builtin_mul_overflow(n, unit, &n) ||
            __builtin_add_overflow(total, n, &total))
            return false;
        text = end + 1;
    }
    *seconds = total;
    return true;
}
