#include "snapshot/walk.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y); /* as unsigned bytes: the order of tree_name_compare */
}

#define LISTED_SIZE 32768u /* names asked for at once */

static enum hf_code keep_name(struct walk_names *names, size_t *used, size_t *capacity,
                              const char *name, struct hf_err *err)
{
    size_t n = strlen(name) + 1;
    char *grown;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return HF_OK;
    grown = hf_grow_array(names->text, capacity, *used + n, 1);
    if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "read directory: out of memory");
    names->text = grown;
    memcpy(grown + *used, name, n);
    *used += n;
    names->count++;
    return HF_OK;
}

static enum hf_code list_names(int fd, struct walk_names *names, struct hf_err *err)
{
    _Alignas(struct dirent64) char buf[LISTED_SIZE];
    size_t used = 0;
    size_t capacity = 0;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK) {
        ssize_t n = getdents64(fd, buf, sizeof buf);

        if (n < 0) return hf_fail_errno(err, errno, "read directory");
        if (n == 0) break;
        for (ssize_t at = 0; rc == HF_OK && at < n;) {
            const struct dirent64 *e = (const void *)(buf + at);

            rc = keep_name(names, &used, &capacity, e->d_name, err);
            at += e->d_reclen;
        }
    }
    return rc;
}

enum hf_code walk_read_names(int fd, struct walk_names *names, struct hf_err *err)
{
    size_t at = 0;
    enum hf_code rc;

    memset(names, 0, sizeof *names);
    rc = list_names(fd, names, err);
    if (rc != HF_OK) goto out;
    names->names = hf_alloc_array(names->count, sizeof(char *));
    if (names->names == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "read directory: out of memory");
        goto out;
    }
    for (size_t i = 0; i < names->count; i++) {
        names->names[i] = names->text + at;
        at += strlen(names->text + at) + 1;
    }
    if (names->count > 1) qsort(names->names, names->count, sizeof(char *), compare_names);
out:
    if (rc != HF_OK) walk_names_done(names);
    return rc;
}

bool walk_names_have(const struct walk_names *names, const char *name)
{
    return names->count > 0 && bsearch(&name, names->names, names->count, sizeof(char *),
                                       compare_names) != NULL;
}

void walk_names_done(struct walk_names *names)
{
    free(names->names);
    free(names->text);
    memset(names, 0, sizeof *names);
}

/* ---- owners ---- */

#define OWNERS_MAX       4096u
#define OWNER_ANSWER_MAX ((size_t)1 << 20)

struct owner {
    uint32_t id;
    char name[NAME_TEXT_MAX]; /* "" when the system knows none */
    struct owner *next;
};

struct owner_list {
    struct owner *first;
    size_t count;
};

struct walk_owners {
    struct owner_list users, groups;
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
    free_list(owners->users.first);
    free_list(owners->groups.first);
    free(owners);
}

/* Moves what was found to the front: most files have the owner of the file before. */
static struct owner *find(struct owner_list *list, uint32_t id)
{
    for (struct owner **at = &list->first; *at != NULL; at = &(*at)->next) {
        struct owner *o = *at;

        if (o->id != id) continue;
        *at = o->next;
        o->next = list->first;
        list->first = o;
        return o;
    }
    return NULL;
}

/* One try with a buffer of n bytes: ERANGE when it is too small. */
static int ask_name(uint32_t id, bool group, char *buf, size_t n, struct owner *o)
{
    struct passwd pw;
    struct passwd *user = NULL;
    struct group gr;
    struct group *grp = NULL;
    const char *name = NULL;
    int failed =
        group ? getgrgid_r(id, &gr, buf, n, &grp) : getpwuid_r(id, &pw, buf, n, &user);

    if (failed != 0) return failed;
    if (grp != NULL) name = gr.gr_name;
    if (user != NULL) name = pw.pw_name;
    if (name != NULL && strlen(name) < sizeof o->name)
        (void)snprintf(o->name, sizeof o->name, "%s", name);
    return 0;
}

/* A group comes with all its members, of which there may be many. */
static void look_up(uint32_t id, bool group, struct owner *o)
{
    for (size_t n = 4096; n <= OWNER_ANSWER_MAX; n *= 4) {
        char *buf = malloc(n);
        int failed = buf == NULL ? ENOMEM : ask_name(id, group, buf, n, o);

        free(buf);
        if (failed != ERANGE) return;
    }
}

static struct span owner_name(struct owner_list *list, uint32_t id, bool group)
{
    struct owner *o = find(list, id);

    if (o == NULL) {
        if (list->count == OWNERS_MAX) return (struct span){0};
        o = calloc(1, sizeof *o);
        if (o == NULL) return (struct span){0};
        look_up(id, group, o);
        o->id = id;
        o->next = list->first;
        list->first = o;
        list->count++;
    }
    return (struct span){(const uint8_t *)o->name, strlen(o->name)};
}

void walk_name_owner(struct walk_owners *owners, struct tree_entry *entry)
{
    entry->user = owner_name(&owners->users, entry->uid, false);
    entry->group = owner_name(&owners->groups, entry->gid, true);
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

/* Flags that somebody has set; the others tell how the file system keeps the file. */
#define FLAGS_KEPT                                                                     \
    (FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL |           \
     FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOMP_FL | FS_ENCRYPT_FL |      \
     FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_VERITY_FL | \
     FS_NOCOW_FL | FS_DAX_FL | FS_PROJINHERIT_FL | FS_CASEFOLD_FL)

/* What statx calls attributes; these have the same bits in both. */
#define ATTRIBUTES_KEPT                                                 \
    (STATX_ATTR_COMPRESSED | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | \
     STATX_ATTR_NODUMP | STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY)

/* NOLINTNEXTLINE(misc-redundant-expression): that is what it says */
_Static_assert((uint32_t)ATTRIBUTES_KEPT ==
                   (uint32_t)(FS_COMPR_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL |
                              FS_ENCRYPT_FL | FS_VERITY_FL),
               "attributes are flags");

enum hf_code walk_look(int dir_fd, const char *name, struct walk_owners *owners,
                       struct tree_entry *entry, struct walk_facts *facts,
                       struct hf_err *err)
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
    walk_name_owner(owners, entry);
    entry->mtime_ns = to_ns(st.stx_mtime);
    entry->ctime_ns = to_ns(st.stx_ctime);
    entry->has_btime = (st.stx_mask & STATX_BTIME) != 0;
    entry->btime_ns = entry->has_btime ? to_ns(st.stx_btime) : 0;
    entry->size = entry->type == TREE_FILE ? st.stx_size : 0;
    entry->inode = st.stx_ino;
    entry->flags = st.stx_attributes & ATTRIBUTES_KEPT;
    if (entry->type == TREE_CHAR || entry->type == TREE_BLOCK) {
        entry->device_major = st.stx_rdev_major;
        entry->device_minor = st.stx_rdev_minor;
    }
    facts->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    facts->links = st.stx_nlink;
    return HF_OK;
}

enum hf_code walk_stat(int dir_fd, const char *name, struct walk_owners *owners,
                       struct tree_entry *entry, struct hf_err *err)
{
    struct walk_facts unused;

    return walk_look(dir_fd, name, owners, entry, &unused, err);
}

void walk_read_flags(int fd, struct tree_entry *entry)
{
    unsigned flags = 0;

    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) entry->flags = flags & FLAGS_KEPT;
}

/* Somebody else's file cannot be opened without touching its atime. */
static int open_quietly(int dir_fd, const char *name, int flags)
{
    int fd = openat(dir_fd, name, flags | O_NOATIME);

    return fd < 0 && errno == EPERM ? openat(dir_fd, name, flags) : fd;
}

enum hf_code walk_open_file(int dir_fd, const char *name, int *fd, struct hf_err *err)
{
    struct stat st;

    *fd = open_quietly(dir_fd, name,
                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0) return hf_fail_errno(err, errno, "open");
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) return HF_OK;
    (void)close(*fd);
    *fd = -1;
    return hf_fail(err, HF_INVALID, "open: no longer a regular file");
}

enum hf_code walk_open_dir(int dir_fd, const char *name, int *fd, struct hf_err *err)
{
    *fd = open_quietly(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd >= 0 ? HF_OK : hf_fail_errno(err, errno, "open");
}
