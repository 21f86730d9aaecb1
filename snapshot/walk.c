#include "snapshot/walk.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y); /* as unsigned bytes: the order of tree_name_compare */
}

enum hf_code walk_read_names(int fd, struct walk_names *names, struct hf_err *err)
{
    size_t used = 0;
    size_t capacity = 0;
    enum hf_code rc = HF_OK;
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    memset(names, 0, sizeof *names);
    if (dir == NULL) {
        rc = hf_fail_errno(err, errno, "read directory");
        if (copy >= 0) (void)close(copy);
        return rc;
    }
    for (;;) {
        struct dirent *e;
        char *grown;
        size_t n;

        errno = 0;
        e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): the stream is this thread's */
        if (e == NULL) break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        n = strlen(e->d_name) + 1;
        grown = hf_grow_array(names->text, &capacity, used + n, 1);
        if (grown == NULL) {
            rc = hf_fail(err, HF_NO_MEMORY, "read directory: out of memory");
            goto out;
        }
        names->text = grown;
        memcpy(grown + used, e->d_name, n);
        used += n;
        names->count++;
    }
    if (errno != 0) {
        rc = hf_fail_errno(err, errno, "read directory");
        goto out;
    }
    names->names = hf_alloc_array(names->count, sizeof(char *));
    if (names->names == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "read directory: out of memory");
        goto out;
    }
    used = 0;
    for (size_t i = 0; i < names->count; i++) {
        names->names[i] = names->text + used;
        used += strlen(names->text + used) + 1;
    }
    if (names->count > 1) qsort(names->names, names->count, sizeof(char *), compare_names);
out:
    (void)closedir(dir);
    if (rc != HF_OK) walk_names_done(names);
    return rc;
}

void walk_names_done(struct walk_names *names)
{
    free(names->names);
    free(names->text);
    memset(names, 0, sizeof *names);
}

/* ---- owners ---- */

struct owner {
    uint32_t id;
    char name[NAME_TEXT_MAX]; /* "" when the system knows none */
    struct owner *next;
};

struct walk_owners {
    struct owner *users, *groups;
};

struct walk_owners *walk_owners_new(void)
{
    return calloc(1, sizeof(struct walk_owners));
}

static void free_list(struct owner *o)
{
    while (o != NULL) {
        struct owner *next = o->next;

        free(o);
        o = next;
    }
}

void walk_owners_free(struct walk_owners *owners)
{
    if (owners == NULL) return;
    free_list(owners->users);
    free_list(owners->groups);
    free(owners);
}

/* Moves what was found to the front: most files have the owner of the file before. */
static struct owner *find(struct owner **list, uint32_t id)
{
    for (struct owner **at = list; *at != NULL; at = &(*at)->next) {
        struct owner *o = *at;

        if (o->id != id) continue;
        *at = o->next;
        o->next = *list;
        *list = o;
        return o;
    }
    return NULL;
}

static struct span owner_name(struct owner **list, uint32_t id, bool group)
{
    struct owner *o = find(list, id);
    char buf[4096];

    if (o == NULL) {
        struct passwd pw;
        struct passwd *user = NULL;
        struct group gr;
        struct group *grp = NULL;
        const char *name = NULL;

        o = calloc(1, sizeof *o);
        if (o == NULL) return (struct span){0};
        if (group) {
            if (getgrgid_r(id, &gr, buf, sizeof buf, &grp) == 0 && grp != NULL)
                name = gr.gr_name;
        } else {
            if (getpwuid_r(id, &pw, buf, sizeof buf, &user) == 0 && user != NULL)
                name = pw.pw_name;
        }
        if (name != NULL && strlen(name) < sizeof o->name)
            (void)snprintf(o->name, sizeof o->name, "%s", name);
        o->id = id;
        o->next = *list;
        *list = o;
    }
    return (struct span){(const uint8_t *)o->name, strlen(o->name)};
}

/* ---- one file ---- */

static int64_t to_ns(struct statx_timestamp t)
{
    int64_t ns;

    /* Times outside of 1678..2262 do not fit: they are kept at the end of the range. */
    if (__builtin_mul_overflow((int64_t)t.tv_sec, 1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns))
        return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static bool type_of(unsigned mode, enum tree_type *type)
{
    switch (mode & S_IFMT) {
    case S_IFREG: *type = TREE_FILE; return true;
    case S_IFDIR: *type = TREE_DIR; return true;
    case S_IFLNK: *type = TREE_SYMLINK; return true;
    case S_IFIFO: *type = TREE_FIFO; return true;
    case S_IFSOCK: *type = TREE_SOCKET; return true;
    case S_IFCHR: *type = TREE_CHAR; return true;
    case S_IFBLK: *type = TREE_BLOCK; return true;
    default: return false;
    }
}

enum hf_code walk_stat(int dir_fd, const char *name, struct walk_owners *owners,
                       struct tree_entry *entry, struct hf_err *err)
{
    struct statx st;

    memset(entry, 0, sizeof *entry);
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
        return hf_fail_errno(err, errno, "stat");
    if (!type_of(st.stx_mode, &entry->type))
        return hf_fail(err, HF_INVALID, "neither file, directory, link nor device");
    entry->mode = st.stx_mode & 07777;
    entry->uid = st.stx_uid;
    entry->gid = st.stx_gid;
    entry->user = owner_name(&owners->users, st.stx_uid, false);
    entry->group = owner_name(&owners->groups, st.stx_gid, true);
    entry->mtime_ns = to_ns(st.stx_mtime);
    entry->ctime_ns = to_ns(st.stx_ctime);
    entry->has_btime = (st.stx_mask & STATX_BTIME) != 0;
    entry->btime_ns = entry->has_btime ? to_ns(st.stx_btime) : 0;
    entry->size = entry->type == TREE_FILE ? st.stx_size : 0;
    entry->inode = st.stx_ino;
    entry->sparse = entry->size > 0 && st.stx_blocks < (entry->size + 511) / 512;
    if (entry->type == TREE_CHAR || entry->type == TREE_BLOCK) {
        entry->device_major = st.stx_rdev_major;
        entry->device_minor = st.stx_rdev_minor;
    }
    return HF_OK;
}

enum hf_code walk_open_file(int dir_fd, const char *name, int *fd, struct hf_err *err)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

    *fd = openat(dir_fd, name, flags | O_NOATIME);
    if (*fd < 0 && errno == EPERM) *fd = openat(dir_fd, name, flags); /* not ours */
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open");
}

enum hf_code walk_open_dir(int dir_fd, const char *name, int *fd, struct hf_err *err)
{
    *fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open");
}
