#include "fuse/nodes.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READING_MS        2000u
#define READING_SHARE     4u /* of the time at most 1/4 is spent on reading heads */
#define READING_FAILED_MS 10000u
#define BLKSIZE           131072 /* what the kernel asks for at once */
#define DIR_SIZE          4096u
#define LATEST            "latest"

/* ---- the calendar ---- */

static enum hf_code read_calendar(struct nodes *n, const struct calendar *before,
                                  struct calendar **calendar, bool *incomplete,
                                  struct hf_err *err)
{
    struct vault_view view;
    enum hf_code rc = vault_view_read(n->store, n->fetcher, n->keys, &view, err);

    if (rc != HF_OK) return rc;
    *incomplete = view.incomplete;
    *calendar = calendar_new(&view, before);
    vault_view_done(&view);
    return *calendar != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "out of memory");
}

/* Logs what is new about how the reading went. */
static void note_reading(struct nodes *n, enum hf_code rc, bool incomplete,
                         const struct hf_err *err)
{
    if (rc != HF_OK && !n->failing)
        hf_log(HF_LOG_ERROR, "mount", "new snapshots cannot be seen: %s", err->msg);
    if (rc == HF_OK && n->failing)
        hf_log(HF_LOG_WARN, "mount", "new snapshots can be seen again");
    n->failing = rc != HF_OK;
    if (rc != HF_OK) return;
    if (incomplete && !n->incomplete)
        hf_log(HF_LOG_WARN, "mount",
               "too few holders answered: there may be newer snapshots");
    n->incomplete = incomplete;
}

void nodes_refresh(struct nodes *n)
{
    uint64_t start_ms = hf_clock_monotonic_ms();
    struct calendar *before;
    struct calendar *now = NULL;
    struct hf_err err;
    uint64_t end_ms;
    uint64_t pause_ms;
    bool incomplete = false;
    enum hf_code rc;

    if (pthread_mutex_trylock(&n->reading) != 0) return;
    if (start_ms < n->next_reading_ms) {
        (void)pthread_mutex_unlock(&n->reading);
        return;
    }
    before = nodes_calendar(n);
    rc = read_calendar(n, before, &now, &incomplete, &err);
    note_reading(n, rc, incomplete, &err);
    if (rc == HF_OK) {
        (void)pthread_mutex_lock(&n->mutex);
        calendar_unref(n->calendar);
        n->calendar = now;
        (void)pthread_mutex_unlock(&n->mutex);
    }
    calendar_unref(before);
    end_ms = hf_clock_monotonic_ms();
    pause_ms = rc == HF_OK ? READING_MS : READING_FAILED_MS;
    if (pause_ms < (end_ms - start_ms) * READING_SHARE)
        pause_ms = (end_ms - start_ms) * READING_SHARE;
    n->next_reading_ms = end_ms + pause_ms;
    (void)pthread_mutex_unlock(&n->reading);
}

struct calendar *nodes_calendar(struct nodes *n)
{
    struct calendar *calendar;

    (void)pthread_mutex_lock(&n->mutex);
    calendar = calendar_ref(n->calendar);
    (void)pthread_mutex_unlock(&n->mutex);
    return calendar;
}

enum hf_code nodes_init(struct nodes *n, struct block_store *store, struct fetcher *fetcher,
                        const struct vault_keys *keys, struct hf_err *err)
{
    enum hf_code rc;
    bool incomplete = false;

    memset(n, 0, sizeof *n);
    (void)pthread_mutex_init(&n->reading, NULL);
    (void)pthread_mutex_init(&n->mutex, NULL);
    n->store = store;
    n->fetcher = fetcher;
    n->keys = keys;
    n->uid = getuid();
    n->gid = getgid();
    n->inodes = inodes_new();
    n->dirs = dir_cache_new(fetcher);
    if (n->inodes == NULL || n->dirs == NULL)
        rc = hf_fail(err, HF_NO_MEMORY, "out of memory");
    else
        rc = read_calendar(n, NULL, &n->calendar, &incomplete, err);
    if (rc == HF_OK) {
        note_reading(n, rc, incomplete, err);
        n->next_reading_ms = hf_clock_monotonic_ms() + READING_MS;
    } else {
        nodes_done(n);
    }
    return rc;
}

void nodes_done(struct nodes *n)
{
    calendar_unref(n->calendar);
    dir_cache_free(n->dirs);
    inodes_free(n->inodes);
    (void)pthread_mutex_destroy(&n->reading);
    (void)pthread_mutex_destroy(&n->mutex);
    memset(n, 0, sizeof *n);
}

/* ---- specs ---- */

static struct span text(const char *s)
{
    return (struct span){(const uint8_t *)s, strlen(s)};
}

/* A directory of the calendar, or a link in it. */
static void spec_calendar(const struct nodes *n, enum inode_kind kind, const char *name,
                          int64_t time_ns, struct inode_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->kind = kind;
    spec->name = text(name);
    spec->attr = (struct inode_attr){.mode = S_IFDIR | 0555,
                                     .uid = n->uid,
                                     .gid = n->gid,
                                     .mtime_ns = time_ns,
                                     .ctime_ns = time_ns,
                                     .size = DIR_SIZE};
}

void nodes_spec_host(const struct nodes *n, const struct inode *parent,
                     const struct calendar_host *host, struct inode_spec *spec)
{
    spec_calendar(n, INODE_HOST, host->name, calendar_host_newest_ns(host), spec);
    spec->key = inode_key_below(&parent->key, INODE_HOST, host->id.b, sizeof host->id.b);
    spec->host = host->id;
}

void nodes_spec_year(const struct nodes *n, const struct inode *parent,
                     const struct calendar_host *host, const struct calendar_year *year,
                     struct inode_spec *spec)
{
    spec_calendar(n, INODE_YEAR, year->name, year->newest_ns, spec);
    spec->key = inode_key_below(&parent->key, INODE_YEAR, year->name, strlen(year->name));
    spec->host = host->id;
    spec->data = text(year->name);
    spec->data.size++; /* with its NUL */
}

void nodes_spec_latest(const struct nodes *n, const struct inode *parent,
                       const struct calendar_host *host, const char *target,
                       struct inode_spec *spec)
{
    spec_calendar(n, INODE_LATEST, LATEST, calendar_host_newest_ns(host), spec);
    spec->key = inode_key_below(&parent->key, INODE_LATEST, target, strlen(target));
    spec->data = text(target);
    spec->attr.mode = S_IFLNK | 0777;
    spec->attr.size = spec->data.size;
}

void nodes_spec_dump(const struct nodes *n, const struct inode *parent,
                     const struct calendar_dump *dump, struct inode_spec *spec)
{
    spec_calendar(n, INODE_DUMP, dump->day, dump->time_ns, spec);
    spec->key = inode_key_below(&parent->key, INODE_DUMP, dump->snapshot.b,
                                sizeof dump->snapshot.b);
    spec->snapshot = dump->ref;
}

static uint32_t type_mode(enum tree_type type)
{
    switch (type) {
    case TREE_FILE: return S_IFREG;
    case TREE_DIR: return S_IFDIR;
    case TREE_SYMLINK: return S_IFLNK;
    case TREE_FIFO: return S_IFIFO;
    case TREE_SOCKET: return S_IFSOCK;
    case TREE_CHAR: return S_IFCHR;
    case TREE_BLOCK: return S_IFBLK;
    }
    return S_IFREG;
}

void nodes_spec_entry(const struct inode *parent, const struct tree_entry *e,
                      struct inode_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->kind = INODE_ENTRY;
    spec->key = inode_key_below(&parent->key, INODE_ENTRY, e->name.bytes, e->name.size);
    spec->name = e->name;
    spec->attr = (struct inode_attr){.mode = type_mode(e->type) | e->mode,
                                     .uid = e->uid,
                                     .gid = e->gid,
                                     .mtime_ns = e->mtime_ns,
                                     .ctime_ns = e->ctime_ns};
    if (e->has_stream) spec->stream = e->stream;
    switch (e->type) {
    case TREE_FILE:
        spec->attr.size = e->size;
        spec->data = e->content;
        break;
    case TREE_SYMLINK:
        spec->data = e->target;
        spec->attr.size = e->target.size;
        break;
    case TREE_CHAR:
    case TREE_BLOCK:
        spec->attr.device_major = e->device_major;
        spec->attr.device_minor = e->device_minor;
        break;
    case TREE_DIR: spec->attr.size = e->stream.size; break;
    case TREE_FIFO:
    case TREE_SOCKET: break;
    }
}

/* ---- stat ---- */

static struct timespec to_time(int64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000};

    if (t.tv_nsec < 0) {
        t.tv_sec--;
        t.tv_nsec += 1000000000;
    }
    return t;
}

/* The time of what changes while it is mounted: the newest dump below it. */
static bool calendar_time(struct nodes *n, const struct inode *inode, int64_t *time_ns)
{
    struct calendar *calendar = nodes_calendar(n);
    bool there = true;

    if (inode->kind == INODE_TOP) {
        *time_ns = calendar_newest_ns(calendar);
    } else {
        const struct calendar_host *host = calendar_host_of(calendar, &inode->host);
        const struct calendar_year *year = NULL;

        if (host != NULL && inode->kind == INODE_YEAR)
            year = calendar_year_named(host, (const char *)inode->data);
        there = host != NULL && (inode->kind == INODE_HOST || year != NULL);
        if (there)
            *time_ns = year != NULL ? year->newest_ns : calendar_host_newest_ns(host);
    }
    calendar_unref(calendar);
    return there;
}

bool nodes_stat(struct nodes *n, const struct inode *inode, struct stat *st)
{
    const struct inode_attr *a = &inode->attr;
    int64_t mtime_ns = a->mtime_ns;
    int64_t ctime_ns = a->ctime_ns;

    if (inode->kind <= INODE_YEAR) {
        if (!calendar_time(n, inode, &mtime_ns)) return false;
        ctime_ns = mtime_ns;
    }
    memset(st, 0, sizeof *st);
    st->st_ino = inode->number;
    st->st_mode = a->mode;
    st->st_nlink = 1; /* of a directory: says nothing about those in it, as in btrfs */
    st->st_uid = inode->kind == INODE_TOP ? n->uid : a->uid;
    st->st_gid = inode->kind == INODE_TOP ? n->gid : a->gid;
    st->st_rdev = makedev(a->device_major, a->device_minor);
    st->st_size = (off_t)a->size;
    st->st_blksize = BLKSIZE;
    st->st_blocks = (blkcnt_t)(a->size / 512 + (a->size % 512 != 0));
    st->st_mtim = st->st_atim = to_time(mtime_ns);
    st->st_ctim = to_time(ctime_ns);
    return true;
}

/* ---- trees ---- */

enum hf_code nodes_dir_stream(struct nodes *n, struct inode *inode, struct stream_root *dir,
                              struct hf_err *err)
{
    const struct stream_root *known;
    struct stream_root *fresh;
    struct catalog_entry entry;
    struct snapshot snapshot;
    enum hf_code rc;

    if (inode->kind != INODE_DUMP) {
        *dir = inode->stream;
        return HF_OK;
    }
    known = atomic_load(&inode->opened);
    if (known != NULL) {
        *dir = *known;
        return HF_OK;
    }
    memset(&entry, 0, sizeof entry);
    entry.ref = inode->snapshot;
    entry.snapshot = inode->snapshot.id;
    rc = snapshot_read(n->fetcher, &entry, &snapshot, err);
    if (rc != HF_OK) return rc;
    *dir = snapshot.root;
    snapshot_done(&snapshot);
    fresh = malloc(sizeof *fresh);
    if (fresh == NULL) return HF_OK; /* then it is read again next time */
    *fresh = *dir;
    /* Two threads may read it at once; the second one's is not needed. */
    if (!atomic_compare_exchange_strong(&inode->opened, &known, fresh)) free(fresh);
    return HF_OK;
}

static struct inode *lookup_year(struct nodes *n, struct inode *dir,
                                 const struct calendar_host *host, const char *name)
{
    const struct calendar_year *year = calendar_year_named(host, (const char *)dir->data);
    const struct calendar_dump *dump =
        year == NULL ? NULL : calendar_dump_named(host, year, name);
    struct inode_spec spec;

    if (dump == NULL) return NULL;
    nodes_spec_dump(n, dir, dump, &spec);
    return inodes_enter(n->inodes, dir, &spec);
}

static struct inode *lookup_host(struct nodes *n, struct inode *dir,
                                 const struct calendar_host *host, const char *name)
{
    const struct calendar_year *year = calendar_year_named(host, name);
    char target[CALENDAR_TARGET_SIZE];
    struct inode_spec spec;

    if (strcmp(name, LATEST) == 0 && host->dump_count > 0) {
        calendar_latest_target(host, target);
        nodes_spec_latest(n, dir, host, target, &spec);
    } else if (year != NULL) {
        nodes_spec_year(n, dir, host, year, &spec);
    } else {
        return NULL;
    }
    return inodes_enter(n->inodes, dir, &spec);
}

/* NULL also when memory is short: the name is then not found for a second. */
static struct inode *lookup_calendar(struct nodes *n, struct inode *dir, const char *name)
{
    struct calendar *calendar = nodes_calendar(n);
    const struct calendar_host *host = dir->kind == INODE_TOP
                                           ? calendar_host_named(calendar, name)
                                           : calendar_host_of(calendar, &dir->host);
    struct inode *found = NULL;
    struct inode_spec spec;

    if (host != NULL && dir->kind == INODE_TOP) {
        nodes_spec_host(n, dir, host, &spec);
        found = inodes_enter(n->inodes, dir, &spec);
    } else if (host != NULL && dir->kind == INODE_HOST) {
        found = lookup_host(n, dir, host, name);
    } else if (host != NULL) {
        found = lookup_year(n, dir, host, name);
    }
    calendar_unref(calendar);
    return found;
}

static enum hf_code lookup_tree(struct nodes *n, struct inode *dir, const char *name,
                                struct inode **found, struct hf_err *err)
{
    struct tree_entry *entry = NULL;
    struct stream_root stream;
    struct inode_spec spec;
    enum hf_code rc = nodes_dir_stream(n, dir, &stream, err);

    if (rc == HF_OK) rc = dir_cache_find(n->dirs, &stream, name, strlen(name), &entry, err);
    if (rc != HF_OK || entry == NULL) return rc;
    nodes_spec_entry(dir, entry, &spec);
    *found = inodes_enter(n->inodes, dir, &spec);
    free(entry);
    return *found != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "out of memory");
}

enum hf_code nodes_lookup(struct nodes *n, struct inode *dir, const char *name,
                          struct inode **found, struct hf_err *err)
{
    *found = NULL;
    if (dir->kind == INODE_DUMP || dir->kind == INODE_ENTRY)
        return lookup_tree(n, dir, name, found, err);
    /* A day that is known stays; heads are read for what is not, and for `latest`. */
    if (dir->kind != INODE_HOST || strcmp(name, LATEST) != 0)
        *found = lookup_calendar(n, dir, name);
    if (*found != NULL) return HF_OK;
    nodes_refresh(n);
    *found = lookup_calendar(n, dir, name);
    return HF_OK;
}
