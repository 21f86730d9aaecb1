#include "snapshot/restore_links.h"

#include "base/hash.h"
#include "snapshot/restore_entry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS   65536u
#define BYTES_MAX (48u << 20)

enum state { WRITING, READY, FAILED };

struct restore_group {
    struct restore_group *next;
    uint64_t number;
    struct hf_id content;      /* of type and what stands in the entry */
    struct hf_id seen;         /* of the inode when it was looked at */
    struct stream_root stream; /* of a file that has one */
    enum state state;
    struct restore_dir *dir; /* where the first one is; referenced */
    char *name;
    dev_t device;
    ino_t inode;
    struct restore_file *waiting;
};

struct restore_links {
    struct restore_dirs *dirs;
    pthread_mutex_t mutex; /* guards all below */
    size_t bytes;          /* of all groups */
    struct restore_group *buckets[BUCKETS];
};

struct restore_links *restore_links_new(struct restore_dirs *dirs)
{
    struct restore_links *links = calloc(1, sizeof *links);

    if (links == NULL) return NULL;
    (void)pthread_mutex_init(&links->mutex, NULL);
    links->dirs = dirs;
    return links;
}

static void group_free(struct restore_links *links, struct restore_group *group)
{
    if (group->dir != NULL) restore_dir_drop(links->dirs, group->dir);
    free(group->name);
    free(group);
}

void restore_links_free(struct restore_links *links)
{
    if (links == NULL) return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (links->buckets[i] != NULL) {
            struct restore_group *group = links->buckets[i];

            links->buckets[i] = group->next;
            group_free(links, group);
        }
    }
    (void)pthread_mutex_destroy(&links->mutex);
    free(links);
}

/* The same chunks, wherever they are stored: one name of a file may refer to what an
 * earlier snapshot stored, and another one to where it was stored again. */
static bool same_stream(struct fetcher *fetcher, const struct stream_root *a,
                        const struct stream_root *b)
{
    struct stream_cursor *x;
    struct stream_cursor *y;
    struct chunk_ref p = {.size = 1};
    struct chunk_ref q = {.size = 1};
    uint64_t offset;
    struct hf_err err;
    bool same = true;

    if (stream_root_same(a, b)) return true;
    if (a->size != b->size || a->depth == 0 || b->depth == 0) return false;
    x = stream_cursor_new(fetcher, FRAME_DATA, a);
    y = stream_cursor_new(fetcher, FRAME_DATA, b);
    if (x == NULL || y == NULL) same = false;
    while (same && p.size > 0)
        same = stream_cursor_next_ref(x, &p, &offset, &err) == HF_OK &&
               stream_cursor_next_ref(y, &q, &offset, &err) == HF_OK && p.size == q.size &&
               (p.size == 0 || hf_id_equal(&p.id, &q.id));
    stream_cursor_free(x);
    stream_cursor_free(y);
    return same;
}

/* Entries of one inode have the same, and the same stream. */
static struct hf_id content_of(const struct tree_entry *e)
{
    const uint64_t numbers[] = {(uint64_t)e->type, e->size, e->device_major,
                                e->device_minor, e->has_stream};
    struct hf_sha256 h;
    struct hf_id id;

    hf_sha256_init(&h);
    hf_sha256_add(&h, numbers, sizeof numbers);
    hf_sha256_add(&h, e->content.bytes, e->content.size);
    hf_sha256_add(&h, e->target.bytes, e->target.size);
    hf_sha256_final(&h, &id);
    return id;
}

/* Two entries that agree in all of this were one inode in one state: their contents are the
 * same, even where each was cut in its own way (holes that the system saw only once). */
static struct hf_id seen_of(const struct tree_entry *e)
{
    const uint64_t numbers[] = {
        e->inode, (uint64_t)e->mtime_ns, (uint64_t)e->ctime_ns, e->size, e->mode, e->uid,
        e->gid};
    struct hf_id id;

    hf_sha256(numbers, sizeof numbers, &id);
    return id;
}

/* Notes where the group's file is going to be. */
static bool set_place(struct restore_links *links, struct restore_group *group,
                      const struct restore_file *file)
{
    char *name = strdup(restore_entry_name(file->entry));

    if (name == NULL) return false;
    if (group->dir != NULL) restore_dir_drop(links->dirs, group->dir);
    free(group->name);
    group->name = name;
    group->dir = file->dir;
    restore_dir_hold(group->dir);
    return true;
}

static struct restore_group *add_group(struct restore_links *links,
                                       struct restore_file *file)
{
    const struct tree_entry *e = file->entry;
    size_t bytes =
        sizeof(struct restore_group) + sizeof(struct restore_dir) + e->name.size + 1;
    struct restore_group **bucket = &links->buckets[e->link_group % BUCKETS];
    struct restore_group *group;

    if (links->bytes + bytes > BYTES_MAX) return NULL;
    group = calloc(1, sizeof *group);
    if (group == NULL) return NULL;
    if (!set_place(links, group, file)) {
        free(group);
        return NULL;
    }
    group->number = e->link_group;
    group->content = content_of(e);
    group->seen = seen_of(e);
    group->stream = e->stream;
    group->next = *bucket;
    *bucket = group;
    links->bytes += bytes;
    return group;
}

static struct restore_group *find(struct restore_links *links, uint64_t number)
{
    struct restore_group *group = links->buckets[number % BUCKETS];

    while (group != NULL && group->number != number)
        group = group->next;
    return group;
}

/* The group of the file, which it is the first of when it is new; NULL: none. */
static struct restore_group *find_or_add(struct restore_links *links,
                                         struct restore_file *file, bool *added)
{
    const struct tree_entry *e = file->entry;
    struct restore_group *group;

    (void)pthread_mutex_lock(&links->mutex);
    group = find(links, e->link_group);
    *added = group == NULL;
    if (*added) group = add_group(links, file);
    (void)pthread_mutex_unlock(&links->mutex);
    return group;
}

static enum restore_link join(struct restore_links *links, struct restore_group *group,
                              struct restore_file *file)
{
    if (group->state == FAILED && set_place(links, group, file)) {
        group->state = WRITING;
        file->group = group;
        file->first = true;
        return RESTORE_LINK_NONE;
    }
    file->group = group;
    file->first = false;
    if (group->state != WRITING) return RESTORE_LINK_READY;
    file->next = group->waiting;
    group->waiting = file;
    return RESTORE_LINK_WAIT;
}

enum restore_link restore_links_meet(struct restore_links *links, struct fetcher *fetcher,
                                     struct restore_file *file)
{
    const struct tree_entry *e = file->entry;
    struct restore_group *group;
    enum restore_link found;
    struct hf_id content;
    struct hf_id seen;
    bool added;

    if (e->link_group == 0) return RESTORE_LINK_NONE;
    group = find_or_add(links, file, &added);
    if (group == NULL) return RESTORE_LINK_NONE;
    if (added) {
        file->group = group;
        file->first = true;
        return RESTORE_LINK_NONE;
    }
    /* What a group is of does not change, and it lives as long as the table. */
    content = content_of(e);
    seen = seen_of(e);
    if (!hf_id_equal(&content, &group->content) ||
        (e->has_stream && !hf_id_equal(&seen, &group->seen) &&
         !same_stream(fetcher, &e->stream, &group->stream)))
        return RESTORE_LINK_NONE;
    (void)pthread_mutex_lock(&links->mutex);
    found = join(links, group, file);
    (void)pthread_mutex_unlock(&links->mutex);
    return found;
}

bool restore_links_place(struct restore_links *links, struct restore_file *file,
                         struct restore_place *place)
{
    const struct restore_group *group = file->group;
    bool ready;

    (void)pthread_mutex_lock(&links->mutex);
    ready = group->state == READY;
    if (ready) {
        *place = (struct restore_place){group->dir, strdup(group->name), group->device,
                                        group->inode};
        ready = place->name != NULL;
        if (ready) restore_dir_hold(group->dir);
    }
    (void)pthread_mutex_unlock(&links->mutex);
    return ready;
}

void restore_links_place_done(struct restore_links *links, struct restore_place *place)
{
    restore_dir_drop(links->dirs, place->dir);
    free(place->name);
}

struct restore_file *restore_links_done(struct restore_links *links,
                                        struct restore_file *file, bool first, dev_t device,
                                        ino_t inode)
{
    struct restore_group *group = file->group;
    struct restore_file *waiting = NULL;

    (void)pthread_mutex_lock(&links->mutex);
    if (first) {
        group->state = inode != 0 ? READY : FAILED;
        waiting = group->waiting;
        group->waiting = NULL;
    } else if (inode != 0 && set_place(links, group, file)) {
        group->state = READY; /* the first one failed, or can have no more links */
    }
    if (inode != 0 && group->state == READY) {
        group->device = device;
        group->inode = inode;
    }
    (void)pthread_mutex_unlock(&links->mutex);
    return waiting;
}
