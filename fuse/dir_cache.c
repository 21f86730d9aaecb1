/* Lock order: a window's mutex is taken while none is held; the cache's may be taken under
 * none.  A window with users is not given to another directory. */
#include "fuse/dir_cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct window {
    /* under the cache's mutex */
    struct stream_root dir;
    size_t users;
    uint64_t used; /* by the cache's clock; 0: empty */

    pthread_mutex_t mutex;      /* guards all below */
    struct tree_reader *reader; /* stands behind the last entry; NULL: not begun */
    struct tree_entry *entries[DIR_WINDOW_ENTRIES];
    size_t count;
    bool from_start, to_end; /* nothing comes before, behind */
};

struct dir_cache {
    struct fetcher *fetcher;
    pthread_mutex_t mutex; /* guards all below */
    struct window *windows[DIR_CACHE_WINDOWS];
    uint64_t clock;
};

struct dir_cache *dir_cache_new(struct fetcher *fetcher)
{
    struct dir_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL) return NULL;
    cache->fetcher = fetcher;
    (void)pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

static void drop_entries(struct window *w)
{
    while (w->count > 0)
        free(w->entries[--w->count]);
}

static void window_reset(struct window *w)
{
    drop_entries(w);
    tree_reader_free(w->reader);
    w->reader = NULL;
}

static void window_free(struct window *w)
{
    if (w == NULL) return;
    window_reset(w);
    (void)pthread_mutex_destroy(&w->mutex);
    free(w);
}

static struct window *window_new(const struct stream_root *dir)
{
    struct window *w = calloc(1, sizeof *w);

    if (w == NULL) return NULL;
    (void)pthread_mutex_init(&w->mutex, NULL);
    w->dir = *dir;
    w->users = 1;
    return w;
}

void dir_cache_free(struct dir_cache *cache)
{
    if (cache == NULL) return;
    for (size_t i = 0; i < DIR_CACHE_WINDOWS; i++)
        window_free(cache->windows[i]);
    (void)pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

/* The directory's window, or the one used longest ago made its own, or, when all are in
 * use, one beside the cache.  NULL: out of memory. */
static struct window *window_take(struct dir_cache *cache, const struct stream_root *dir)
{
    struct window *found = NULL;
    struct window *dropped = NULL;
    struct window **oldest = NULL;

    (void)pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < DIR_CACHE_WINDOWS && found == NULL; i++) {
        struct window **at = &cache->windows[i];

        if (*at != NULL && stream_root_same(&(*at)->dir, dir))
            found = *at;
        else if (*at == NULL || (*at)->users == 0)
            if (oldest == NULL || *at == NULL ||
                (*oldest != NULL && (*at)->used < (*oldest)->used))
                oldest = at;
    }
    if (found != NULL) {
        found->users++;
    } else {
        found = window_new(dir);
        if (found != NULL && oldest != NULL) {
            dropped = *oldest;
            *oldest = found;
        }
    }
    if (found != NULL) found->used = ++cache->clock;
    (void)pthread_mutex_unlock(&cache->mutex);
    window_free(dropped);
    return found;
}

static void window_give(struct dir_cache *cache, struct window *w)
{
    bool cached = false;
    bool last;

    (void)pthread_mutex_lock(&cache->mutex);
    last = --w->users == 0;
    for (size_t i = 0; i < DIR_CACHE_WINDOWS && !cached; i++)
        cached = cache->windows[i] == w;
    (void)pthread_mutex_unlock(&cache->mutex);
    if (last && !cached) window_free(w);
}

/* Copies the span behind *at. */
static struct span put(uint8_t **at, struct span from)
{
    struct span copy = {from.bytes == NULL ? NULL : *at, from.size};

    if (from.size > 0) memcpy(*at, from.bytes, from.size);
    *at += from.size;
    return copy;
}

/* What a mount shows of an entry, in one allocation. */
static struct tree_entry *copy_entry(const struct tree_entry *from)
{
    struct tree_entry *e =
        malloc(sizeof *e + from->name.size + from->content.size + from->target.size);
    uint8_t *at;

    if (e == NULL) return NULL;
    at = (uint8_t *)(e + 1);
    *e = *from;
    e->name = put(&at, from->name);
    e->content = put(&at, from->content);
    e->target = put(&at, from->target);
    e->user = e->group = e->xattrs = e->holes = e->set = e->extra = (struct span){NULL, 0};
    return e;
}

/* Reads the next entries into the emptied window. */
static enum hf_code fill(struct window *w, struct hf_err *err)
{
    w->from_start = w->from_start && w->count == 0;
    w->to_end = false;
    drop_entries(w);
    while (w->count < DIR_WINDOW_ENTRIES) {
        const struct tree_entry *entry;
        enum hf_code rc = tree_reader_next(w->reader, &entry, err);

        if (rc != HF_OK) return rc;
        if (entry == NULL) {
            w->to_end = true;
            return HF_OK;
        }
        w->entries[w->count] = copy_entry(entry);
        if (w->entries[w->count] == NULL)
            return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
        w->count++;
    }
    return HF_OK;
}

static enum hf_code restart(struct dir_cache *cache, struct window *w, struct hf_err *err)
{
    window_reset(w);
    w->reader = tree_reader_new(cache->fetcher, &w->dir);
    if (w->reader == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    w->from_start = true;
    return fill(w, err);
}

static const struct tree_entry *search(const struct window *w, struct span name)
{
    size_t low = 0;
    size_t high = w->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = tree_name_compare(name, w->entries[middle]->name);

        if (order == 0) return w->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Moves the window to where the name is, if it is anywhere. */
static enum hf_code move_to(struct dir_cache *cache, struct window *w, struct span name,
                            struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (w->reader == NULL ||
        (!w->from_start &&
         (w->count == 0 || tree_name_compare(name, w->entries[0]->name) < 0)))
        rc = restart(cache, w, err);
    while (rc == HF_OK && !w->to_end && w->count > 0 &&
           tree_name_compare(name, w->entries[w->count - 1]->name) > 0)
        rc = fill(w, err);
    if (rc != HF_OK) window_reset(w);
    return rc;
}

enum hf_code dir_cache_find(struct dir_cache *cache, const struct stream_root *dir,
                            const void *name, size_t size, struct tree_entry **entry,
                            struct hf_err *err)
{
    const struct span want = {name, size};
    struct window *w = window_take(cache, dir);
    const struct tree_entry *found;
    enum hf_code rc;

    *entry = NULL;
    if (w == NULL) return hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    (void)pthread_mutex_lock(&w->mutex);
    rc = move_to(cache, w, want, err);
    if (rc == HF_OK && (found = search(w, want)) != NULL) {
        *entry = copy_entry(found);
        if (*entry == NULL) rc = hf_fail(err, HF_NO_MEMORY, "directory: out of memory");
    }
    (void)pthread_mutex_unlock(&w->mutex);
    window_give(cache, w);
    return rc;
}
