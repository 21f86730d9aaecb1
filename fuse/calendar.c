#include "fuse/calendar.h"

#include "base/alloc.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 255u /* NAME_MAX */

static void host_done(struct calendar_host *host)
{
    free(host->dumps);
    free(host->years);
}

/* ---- names ---- */

static void make_safe(const char *name, char out[static CALENDAR_NAME_SIZE])
{
    size_t n = 0;

    if (name[0] == '\0') name = "unnamed";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) out[n++] = '_';
    for (; *name != '\0' && n < NAME_BYTES_MAX; name++) {
        unsigned char c = (unsigned char)*name;

        out[n++] = c == '/' || c < 0x20 || c == 0x7f ? '_' : (char)c;
    }
    out[n] = '\0';
}

/* The name with so many digits of the id behind it; a long name is cut to make room. */
static void set_name(struct calendar_host *host, size_t digits)
{
    char hex[HF_ID_HEX_SIZE];
    size_t keep = NAME_BYTES_MAX - (digits == 0 ? 0 : digits + 1);
    size_t n = strnlen(host->host_name, keep);

    memcpy(host->name, host->host_name, n);
    host->name[n] = '\0';
    if (digits == 0) return;
    (void)hf_id_hex(&host->id, hex);
    host->name[n++] = '~';
    memcpy(host->name + n, hex, digits);
    host->name[n + digits] = '\0';
}

/* Gives longer names to those that share one, until none do: ids differ. */
static void make_unique(struct calendar *calendar)
{
    static const size_t digits[] = {8, HF_ID_HEX_SIZE - 1};

    for (size_t i = 0; i < calendar->host_count; i++)
        set_name(&calendar->hosts[i], 0);
    for (size_t d = 0; d < sizeof digits / sizeof digits[0]; d++) {
        for (size_t i = 0; i < calendar->host_count; i++) {
            char name[CALENDAR_NAME_SIZE];
            bool shared = false;

            memcpy(name, calendar->hosts[i].name, sizeof name);
            for (size_t j = i + 1; j < calendar->host_count; j++) {
                if (strcmp(calendar->hosts[j].name, name) != 0) continue;
                set_name(&calendar->hosts[j], digits[d]);
                shared = true;
            }
            if (shared) set_name(&calendar->hosts[i], digits[d]);
        }
    }
}

/* ---- building ---- */

static int by_day(const void *a, const void *b)
{
    const struct calendar_dump *x = a;
    const struct calendar_dump *y = b;
    int order = strcmp(x->year, y->year);

    if (order == 0) order = strcmp(x->day, y->day);
    if (order == 0) order = x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
    return order != 0 ? order : hf_id_compare(&x->snapshot, &y->snapshot);
}

/* Days are in order, so equal ones are neighbours. */
static void tell_days_apart(struct calendar_host *host)
{
    struct calendar_dump *first = host->dumps;

    for (size_t i = 1; i < host->dump_count; i++) {
        struct calendar_dump *dump = &host->dumps[i];
        char hex[HF_ID_HEX_SIZE];
        char day[CALENDAR_DAY_SIZE];

        if (strcmp(dump->year, first->year) != 0 || strcmp(dump->day, first->day) != 0) {
            first = dump;
            continue;
        }
        (void)snprintf(day, sizeof day, "%.15s~%.8s", dump->day,
                       hf_id_hex(&dump->snapshot, hex));
        memcpy(dump->day, day, sizeof day);
    }
}

static bool group_years(struct calendar_host *host)
{
    host->years = hf_alloc_array(host->dump_count, sizeof *host->years);
    if (host->years == NULL && host->dump_count > 0) return false;
    for (size_t i = 0; i < host->dump_count; i++) {
        const struct calendar_dump *dump = &host->dumps[i];
        struct calendar_year *year = &host->years[host->year_count];

        if (i == 0 || strcmp(dump->year, host->dumps[i - 1].year) != 0) {
            host->year_count++;
            *year = (struct calendar_year){dump->year, i, 1, dump->time_ns};
        } else {
            year--;
            year->count++;
            if (dump->time_ns > year->newest_ns) year->newest_ns = dump->time_ns;
        }
        if (dump->time_ns >= host->dumps[host->latest].time_ns) host->latest = i;
    }
    return true;
}

static bool host_from_catalog(const struct catalog *catalog, struct calendar_host *host)
{
    *host = (struct calendar_host){
        .id = catalog->host, .incarnation = catalog->incarnation, .seq = catalog->seq};
    make_safe(catalog->host_name, host->host_name);
    host->dumps = hf_alloc_array(catalog->count, sizeof *host->dumps);
    if (host->dumps == NULL && catalog->count > 0) return false;
    host->dump_count = catalog->count;
    for (size_t i = 0; i < catalog->count; i++) {
        const struct catalog_entry *entry = &catalog->entries[i];
        struct calendar_dump *dump = &host->dumps[i];
        char day[16];

        dump->snapshot = entry->snapshot;
        dump->ref = entry->ref;
        dump->time_ns = entry->time_ns;
        catalog_entry_day(entry, day, dump->year);
        memcpy(dump->day, day, sizeof day);
    }
    if (catalog->count > 1)
        qsort(host->dumps, host->dump_count, sizeof *host->dumps, by_day);
    tell_days_apart(host);
    return group_years(host);
}

static bool host_copy(const struct calendar_host *from, struct calendar_host *host)
{
    *host = *from;
    host->years = NULL;
    host->year_count = 0;
    host->dumps = hf_alloc_array(from->dump_count, sizeof *host->dumps);
    if (from->dump_count == 0) return true;
    if (host->dumps == NULL) return false;
    memcpy(host->dumps, from->dumps, from->dump_count * sizeof *host->dumps);
    return group_years(host);
}

static bool newer(const struct calendar_host *host, const struct catalog *catalog)
{
    if (host->incarnation != catalog->incarnation)
        return host->incarnation > catalog->incarnation;
    return host->seq > catalog->seq;
}

struct calendar *calendar_new(const struct vault_view *view, const struct calendar *before)
{
    struct calendar *calendar = calloc(1, sizeof *calendar);
    size_t old_count = before == NULL ? 0 : before->host_count;
    size_t v = 0;
    size_t o = 0;
    bool ok = true;

    if (calendar == NULL) return NULL;
    atomic_init(&calendar->references, 1);
    calendar->hosts = hf_alloc_array(view->host_count + old_count, sizeof *calendar->hosts);
    if (calendar->hosts == NULL && view->host_count + old_count > 0) ok = false;
    /* Both are in order of host id. */
    while (ok && (v < view->host_count || o < old_count)) {
        struct calendar_host *host = &calendar->hosts[calendar->host_count++];
        int order = v == view->host_count ? 1
                    : o == old_count
                        ? -1
                        : hf_id_compare(&view->hosts[v].host, &before->hosts[o].id);
        bool take_old =
            order > 0 || (order == 0 && newer(&before->hosts[o], &view->hosts[v]));

        ok = take_old ? host_copy(&before->hosts[o], host)
                      : host_from_catalog(&view->hosts[v], host);
        v += order <= 0;
        o += order >= 0;
    }
    if (ok) {
        make_unique(calendar);
        return calendar;
    }
    calendar_unref(calendar);
    return NULL;
}

struct calendar *calendar_ref(struct calendar *calendar)
{
    (void)atomic_fetch_add(&calendar->references, 1);
    return calendar;
}

void calendar_unref(struct calendar *calendar)
{
    if (calendar == NULL || atomic_fetch_sub(&calendar->references, 1) != 1) return;
    for (size_t i = 0; i < calendar->host_count; i++)
        host_done(&calendar->hosts[i]);
    free(calendar->hosts);
    free(calendar);
}

/* ---- finding ---- */

const struct calendar_host *calendar_host_named(const struct calendar *calendar,
                                                const char *name)
{
    for (size_t i = 0; i < calendar->host_count; i++) {
        if (strcmp(calendar->hosts[i].name, name) == 0) return &calendar->hosts[i];
    }
    return NULL;
}

const struct calendar_host *calendar_host_of(const struct calendar *calendar,
                                             const struct hf_id *id)
{
    for (size_t i = 0; i < calendar->host_count; i++) {
        if (hf_id_equal(&calendar->hosts[i].id, id)) return &calendar->hosts[i];
    }
    return NULL;
}

const struct calendar_year *calendar_year_named(const struct calendar_host *host,
                                                const char *name)
{
    for (size_t i = 0; i < host->year_count; i++) {
        if (strcmp(host->years[i].name, name) == 0) return &host->years[i];
    }
    return NULL;
}

const struct calendar_dump *calendar_dump_named(const struct calendar_host *host,
                                                const struct calendar_year *year,
                                                const char *day)
{
    for (size_t i = 0; i < year->count; i++) {
        const struct calendar_dump *dump = &host->dumps[year->first + i];

        if (strcmp(dump->day, day) == 0) return dump;
    }
    return NULL;
}

int64_t calendar_host_newest_ns(const struct calendar_host *host)
{
    return host->dump_count == 0 ? 0 : host->dumps[host->latest].time_ns;
}

int64_t calendar_newest_ns(const struct calendar *calendar)
{
    int64_t newest = 0;

    for (size_t i = 0; i < calendar->host_count; i++) {
        int64_t ns = calendar_host_newest_ns(&calendar->hosts[i]);

        if (ns > newest) newest = ns;
    }
    return newest;
}

void calendar_latest_target(const struct calendar_host *host,
                            char target[static CALENDAR_TARGET_SIZE])
{
    const struct calendar_dump *dump = &host->dumps[host->latest];

    (void)snprintf(target, CALENDAR_TARGET_SIZE, "%s/%s", dump->year, dump->day);
}
