/* calendar.h - hosts, years and days as directories: what a vault's heads and catalogs say,
 * under names that are safe and unique.
 *
 * A calendar never changes once it is built; it is shared by reference count, so that
 * whoever lists a directory goes on seeing the one he began with.
 *
 * Names.  A host's is its newest host name, with '/' and control characters replaced by
 * '_', "unnamed" for the empty one, and a '_' before "." and "..".  Hosts of one name all
 * get "~" and the first 8 digits of their host id (all 64 if that is not enough), so that
 * no name ever changes silently from one machine to another.  Should two dumps of a host
 * claim one day and ordinal, the later gets "~" and 8 digits of its snapshot id. */
#ifndef HOLDFAST_FUSE_CALENDAR_H
#define HOLDFAST_FUSE_CALENDAR_H

#include "snapshot/catalog.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_NAME_SIZE   256u /* NAME_MAX and the NUL */
#define CALENDAR_DAY_SIZE    32u
#define CALENDAR_TARGET_SIZE 64u /* "2026/11201" */

struct calendar_dump {
    struct hf_id snapshot;
    struct chunk_ref ref; /* where it is */
    int64_t time_ns;
    char day[CALENDAR_DAY_SIZE]; /* "1120", "11201" */
    char year[16];
};

/* dumps[first..first + count) of its host */
struct calendar_year {
    const char *name;
    size_t first, count; /* count > 0 */
    int64_t newest_ns;
};

struct calendar_host {
    struct hf_id id;
    uint32_t incarnation;
    uint64_t seq;                       /* of its head */
    char host_name[CALENDAR_NAME_SIZE]; /* made safe, without suffix */
    char name[CALENDAR_NAME_SIZE];      /* of its directory */
    struct calendar_dump *dumps;        /* in order of year and day */
    size_t dump_count;                  /* 0: no `latest` */
    struct calendar_year *years;        /* in order */
    size_t year_count;
    size_t latest; /* index of the newest dump */
};

struct calendar {
    atomic_uint references;
    struct calendar_host *hosts; /* in order of host id */
    size_t host_count;
};

/* Builds it from `view`, which is not kept.  A host that `before` (may be NULL) has, and
 * that `view` lacks or knows an older head of, is taken over from `before`: a catalog that
 * cannot be read just now hides nothing.  One reference, the caller's; NULL: no memory. */
struct calendar *calendar_new(const struct vault_view *view, const struct calendar *before);

/* Adds a reference; returns it. */
struct calendar *calendar_ref(struct calendar *calendar);
/* Drops one; the last frees it.  NULL is allowed.  Any thread. */
void calendar_unref(struct calendar *calendar);

/* All borrow from the calendar; NULL: there is none. */
const struct calendar_host *calendar_host_named(const struct calendar *calendar,
                                                const char *name);
const struct calendar_host *calendar_host_of(const struct calendar *calendar,
                                             const struct hf_id *id);
const struct calendar_year *calendar_year_named(const struct calendar_host *host,
                                                const char *name);
const struct calendar_dump *calendar_dump_named(const struct calendar_host *host,
                                                const struct calendar_year *year,
                                                const char *day);

/* Time of the newest dump; 0 when there is none. */
int64_t calendar_host_newest_ns(const struct calendar_host *host);
int64_t calendar_newest_ns(const struct calendar *calendar);

/* What `latest` points to, relative to the host's directory.  host->dump_count > 0. */
void calendar_latest_target(const struct calendar_host *host,
                            char target[static CALENDAR_TARGET_SIZE]);

#endif
