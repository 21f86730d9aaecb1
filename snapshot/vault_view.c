/* What a vault holds: every host's catalog, and the snapshot that a name means. */
#include "base/alloc.h"
#include "base/log.h"
#include "snapshot/catalog.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct gathering {
    struct fetcher *fetcher;
    const struct vault_keys *keys;
    struct vault_view *view;
    size_t failed;
    struct hf_err last; /* not told yet */
};

static void tell(const struct gathering *g)
{
    hf_log(HF_LOG_ERROR, "vault", "a host is left out: %s", g->last.msg);
}

/* The last failure is told only if another host can be read: else it is the caller's. */
static void fail(struct gathering *g, const struct hf_err *why)
{
    if (g->failed > 0) tell(g);
    g->failed++;
    g->last = *why;
}

static void take_record(void *arg, const uint8_t *record, size_t n)
{
    struct gathering *g = arg;
    struct vault_view *view = g->view;
    struct catalog *grown =
        hf_grow_array(view->hosts, &view->capacity, view->host_count + 1, sizeof *grown);
    struct hf_err why;

    if (grown == NULL) {
        (void)hf_fail(&why, HF_NO_MEMORY, "vault: out of memory");
        fail(g, &why);
        return;
    }
    view->hosts = grown;
    if (catalog_read(g->fetcher, g->keys, record, n, &grown[view->host_count], &why) ==
        HF_OK)
        view->host_count++;
    else
        fail(g, &why);
}

enum hf_code vault_view_read(struct block_store *store, struct fetcher *fetcher,
                             const struct vault_keys *keys, struct vault_view *view,
                             struct hf_err *err)
{
    struct gathering g = {.fetcher = fetcher, .keys = keys, .view = view};
    enum hf_code rc;

    memset(view, 0, sizeof *view);
    rc = block_store_get_records(store, take_record, &g, err);
    view->incomplete = rc == HF_INCOMPLETE;
    if (rc == HF_OK || rc == HF_INCOMPLETE) {
        if (view->host_count > 0 && g.failed > 0) tell(&g);
        if (view->host_count > 0 || g.failed == 0) return HF_OK;
        *err = g.last;
        rc = g.last.code;
    }
    vault_view_done(view);
    return rc;
}

void vault_view_done(struct vault_view *view)
{
    for (size_t i = 0; i < view->host_count; i++)
        catalog_done(&view->hosts[i]);
    free(view->hosts);
    memset(view, 0, sizeof *view);
}

void catalog_entry_day(const struct catalog_entry *entry, char day[static 16],
                       char year[static 16])
{
    int64_t s = entry->time_ns / 1000000000 - (entry->time_ns % 1000000000 < 0 ? 1 : 0);
    time_t local = (time_t)(s + entry->utc_offset_s);
    struct tm tm;
    int n;

    if (gmtime_r(&local, &tm) == NULL) memset(&tm, 0, sizeof tm);
    (void)snprintf(year, 16, "%04d", (int)(tm.tm_year + 1900) % 10000);
    n = snprintf(day, 16, "%02d%02d", (tm.tm_mon + 1) % 100, tm.tm_mday % 100);
    if (entry->ordinal > 0) (void)snprintf(day + n, (size_t)(16 - n), "%u", entry->ordinal);
}

uint32_t catalog_next_ordinal(const struct catalog *catalog,
                              const struct snapshot *snapshot)
{
    struct catalog_entry now = {.time_ns = snapshot->time_ns,
                                .utc_offset_s = snapshot->utc_offset_s};
    char day[16];
    char year[16];
    uint32_t ordinal = 0;

    catalog_entry_day(&now, day, year);
    for (size_t i = 0; i < catalog->count; i++) {
        struct catalog_entry other = catalog->entries[i];
        char other_day[16];
        char other_year[16];

        other.ordinal = 0;
        catalog_entry_day(&other, other_day, other_year);
        if (strcmp(day, other_day) == 0 && strcmp(year, other_year) == 0 &&
            strcmp(snapshot->host_name, other.host_name) == 0 &&
            catalog->entries[i].ordinal >= ordinal)
            ordinal = catalog->entries[i].ordinal + 1;
    }
    return ordinal;
}

/* ---- names ---- */

struct search {
    const struct catalog_entry *found;
    size_t matches;
};

typedef bool match_fn(const struct catalog *host, const struct catalog_entry *entry,
                      const char *spec);

static bool matches_id(const struct catalog *host, const struct catalog_entry *entry,
                       const char *spec)
{
    char hex[HF_ID_HEX_SIZE];

    (void)host;
    return strncasecmp(hf_id_hex(&entry->snapshot, hex), spec, strlen(spec)) == 0;
}

static bool matches_path(const struct catalog *host, const struct catalog_entry *entry,
                         const char *spec)
{
    char name[NAME_TEXT_MAX + 40];
    char day[16];
    char year[16];

    (void)host;
    catalog_entry_day(entry, day, year);
    (void)snprintf(name, sizeof name, "%s/%s/%s", entry->host_name, year, day);
    return strcmp(name, spec) == 0;
}

/* "2026-11-20" */
static bool matches_date(const struct catalog *host, const struct catalog_entry *entry,
                         const char *spec)
{
    char name[48];
    char day[16];
    char year[16];

    (void)host;
    catalog_entry_day(entry, day, year);
    (void)snprintf(name, sizeof name, "%s-%.2s-%.2s", year, day, day + 2);
    return strcmp(name, spec) == 0;
}

/* Hosts are searched one by one, so the last match of a host is its newest. */
static struct search search(const struct vault_view *view, const struct hf_id *only,
                            match_fn *match, const char *spec)
{
    struct search s = {0};

    for (size_t h = 0; h < view->host_count; h++) {
        const struct catalog *host = &view->hosts[h];

        if (only != NULL && !hf_id_equal(only, &host->host)) continue;
        for (size_t i = 0; i < host->count; i++) {
            if (!match(host, &host->entries[i], spec)) continue;
            s.matches++;
            if (s.found == NULL || host->entries[i].time_ns >= s.found->time_ns)
                s.found = &host->entries[i];
        }
    }
    return s;
}

static int newest_first(const void *a, const void *b)
{
    const struct catalog_entry *const *x = a;
    const struct catalog_entry *const *y = b;

    return (*x)->time_ns < (*y)->time_ns ? 1 : (*x)->time_ns > (*y)->time_ns ? -1 : 0;
}

/* The snapshot with `back` newer ones before it. */
static const struct catalog_entry *nth_newest(const struct vault_view *view,
                                              const struct hf_id *only, size_t back)
{
    const struct catalog_entry **all;
    const struct catalog_entry *found = NULL;
    size_t count = 0;

    for (size_t h = 0; h < view->host_count; h++)
        count += view->hosts[h].count;
    all = hf_alloc_array(count, sizeof(struct catalog_entry *));
    if (all == NULL) return NULL;
    count = 0;
    for (size_t h = 0; h < view->host_count; h++) {
        if (only != NULL && !hf_id_equal(only, &view->hosts[h].host)) continue;
        for (size_t i = view->hosts[h].count;
             i-- > 0;) /* newest first also at equal times */
            all[count++] = &view->hosts[h].entries[i];
    }
    qsort(all, count, sizeof(struct catalog_entry *), newest_first);
    if (back < count) found = all[back];
    free(all);
    return found;
}

static bool all_hex(const char *s)
{
    size_t n = strlen(s);

    if (n < 8 || n > 64) return false;
    while (isxdigit((unsigned char)*s))
        s++;
    return *s == '\0';
}

enum hf_code vault_view_find(const struct vault_view *view, const char *spec,
                             const struct hf_id *prefer, const struct catalog_entry **entry,
                             struct hf_err *err)
{
    bool own = false;
    struct search s = {0};
    unsigned back = 0;
    char rest;

    for (size_t h = 0; h < view->host_count; h++) {
        if (hf_id_equal(&view->hosts[h].host, prefer) && view->hosts[h].count > 0)
            own = true;
    }
    if (!own) prefer = NULL;
    *entry = NULL;
    if (strcmp(spec, "latest") == 0 || sscanf(spec, "latest~%u%c", &back, &rest) == 1) {
        *entry = nth_newest(view, prefer, back);
    } else if (strchr(spec, '/') != NULL) {
        *entry = search(view, NULL, matches_path, spec).found;
    } else if (all_hex(spec)) {
        s = search(view, NULL, matches_id, spec);
        if (s.matches > 1)
            return hf_fail(err, HF_INVALID,
                           "snapshot %s: %zu snapshots begin so; give more digits", spec,
                           s.matches);
        *entry = s.found;
    } else {
        *entry = search(view, prefer, matches_date, spec).found;
    }
    if (*entry == NULL)
        return hf_fail(err, HF_NOT_FOUND,
                       "snapshot %.64s: there is none; 'holdfast snapshots' lists them",
                       spec);
    return HF_OK;
}
