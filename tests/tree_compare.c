#include "tree_compare.h"
#include "dir_ways.h"
#include "test.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <search.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { WANT, GOT, SIDES };

static const char *const side_names[] = {"want", "got"};

/* Which pair of names met an inode first: names of one inode must be so on both sides. */
struct seen {
    dev_t dev;
    ino_t ino;
    size_t first;
};

struct comparison {
    struct dir_ways dirs[SIDES]; /* the same ways */
    void *seen[SIDES];           /* trees of struct seen */
    size_t dir;                  /* looked at now */
    int fd[SIDES];               /* of it */
    size_t pairs;
    FILE *out;
    struct tree_compared result;
};

__attribute__((format(printf, 3, 4))) static void
differ(struct comparison *c, const char *name, const char *fmt, ...)
{
    va_list args;

    c->result.differences++;
    dir_ways_print(&c->dirs[WANT], c->dir, name, c->out);
    (void)fputs(": ", c->out);
    va_start(args, fmt);
    (void)vfprintf(c->out, fmt, args);
    va_end(args);
    (void)fputc('\n', c->out);
}

/* ---- inodes ---- */

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a;
    const struct seen *y = b;

    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static size_t first_of(struct comparison *c, int side, const struct stat *st)
{
    struct seen *mine = malloc(sizeof *mine);
    struct seen **found;
    size_t first;

    assert_non_null(mine);
    *mine = (struct seen){st->st_dev, st->st_ino, c->pairs};
    found = (struct seen **)tsearch(mine, &c->seen[side], compare_seen);
    assert_non_null(found);
    first = (*found)->first;
    if (*found != mine) free(mine);
    return first;
}

static void compare_links(struct comparison *c, const char *name, const struct stat *st)
{
    size_t first[SIDES] = {first_of(c, WANT, &st[WANT]), first_of(c, GOT, &st[GOT])};

    if (first[WANT] != first[GOT])
        differ(c, name, "hard links: %s there, %s here",
               first[WANT] == c->pairs ? "a file of its own" : "another name's file",
               first[GOT] == c->pairs ? "a file of its own" : "another name's file");
    c->pairs++;
}

/* ---- contents ---- */

/* The next stretch of data at or after *at; false: nothing but a hole up to the end. */
static bool next_data(int fd, off_t size, off_t *at, off_t *end)
{
    *at = lseek(fd, *at, SEEK_DATA);
    *end = *at < 0 ? -1 : lseek(fd, *at, SEEK_HOLE);
    if (*end > size) *end = size;
    return *at >= 0 && *at<size && * end> * at;
}

/* False: it has fewer blocks than bytes and says that there is no hole. */
static bool knows_holes(int fd, const struct stat *st)
{
    return (st->st_blocks + 8) * 512 > st->st_size || lseek(fd, 0, SEEK_HOLE) < st->st_size;
}

static void compare_holes(struct comparison *c, const char *name, const int *fd, off_t size)
{
    off_t at[SIDES] = {0, 0};
    off_t end[SIDES] = {0, 0};

    while (at[WANT] == at[GOT] && end[WANT] == end[GOT]) {
        if (at[WANT] == size) return;
        for (int s = 0; s < SIDES; s++) {
            at[s] = end[s];
            if (!next_data(fd[s], size, &at[s], &end[s])) at[s] = end[s] = size;
        }
    }
    differ(c, name, "holes: next data is %jd..%jd there, %jd..%jd here", (intmax_t)at[WANT],
           (intmax_t)end[WANT], (intmax_t)at[GOT], (intmax_t)end[GOT]);
}

static bool read_all(int fd, uint8_t *buf, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, buf, n, at);

        if (got <= 0) return false;
        buf += got;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

/* Compares [at, end), and says where the first byte differs; -1: nowhere. */
static off_t compare_range(const int *fd, off_t at, off_t end)
{
    static uint8_t buf[SIDES][131072];

    while (at < end) {
        size_t n = end - at < (off_t)sizeof buf[0] ? (size_t)(end - at) : sizeof buf[0];

        if (!read_all(fd[WANT], buf[WANT], n, at) || !read_all(fd[GOT], buf[GOT], n, at))
            return at;
        for (size_t i = 0; memcmp(buf[WANT], buf[GOT], n) != 0; i++) {
            if (buf[WANT][i] != buf[GOT][i]) return at + (off_t)i;
        }
        at += (off_t)n;
    }
    return -1;
}

/* What is data on either side; the rest reads as zeros on both. */
static void compare_bytes(struct comparison *c, const char *name, const int *fd, off_t size)
{
    off_t at = 0;

    while (at < size) {
        off_t data[SIDES] = {at, at};
        off_t end[SIDES];
        off_t wrong;
        int s;
        bool want = next_data(fd[WANT], size, &data[WANT], &end[WANT]);
        bool got = next_data(fd[GOT], size, &data[GOT], &end[GOT]);

        if (!want && !got) return;
        s = want && (!got || data[WANT] <= data[GOT]) ? WANT : GOT;
        wrong = compare_range(fd, data[s], end[s]);
        if (wrong >= 0) {
            differ(c, name, "contents differ at byte %jd of %jd", (intmax_t)wrong,
                   (intmax_t)size);
            return;
        }
        at = end[s];
    }
}

static void compare_files(struct comparison *c, const char *name, const struct stat *st)
{
    int fd[SIDES];

    if (st[WANT].st_size != st[GOT].st_size) {
        differ(c, name, "size: want %jd, got %jd", (intmax_t)st[WANT].st_size,
               (intmax_t)st[GOT].st_size);
        return;
    }
    for (int s = 0; s < SIDES; s++) {
        fd[s] = openat(c->fd[s], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd[s] < 0)
            differ(c, name, "%s: open: %s", side_names[s], strerrorname_np(errno));
    }
    if (fd[WANT] >= 0 && fd[GOT] >= 0) {
        compare_bytes(c, name, fd, st[WANT].st_size);
        if (!knows_holes(fd[WANT], &st[WANT]) || !knows_holes(fd[GOT], &st[GOT]))
            c->result.holes = false;
        if (c->result.holes) compare_holes(c, name, fd, st[WANT].st_size);
    }
    for (int s = 0; s < SIDES; s++) {
        if (fd[s] >= 0) (void)close(fd[s]);
    }
}

/* ---- extended attributes ---- */

struct xattr {
    char *name;
    uint8_t *value;
    size_t size;
};

struct xattr_set {
    struct xattr *all;
    size_t count;
};

static int compare_xattrs_by_name(const void *a, const void *b)
{
    const struct xattr *x = a;
    const struct xattr *y = b;

    return strcmp(x->name, y->name);
}

static void xattr_read(struct xattr *x, const char *path)
{
    ssize_t n;

    x->value = malloc(XATTR_SIZE_MAX);
    assert_non_null(x->value);
    n = lgetxattr(path, x->name, x->value, XATTR_SIZE_MAX);
    x->size = n < 0 ? SIZE_MAX : (size_t)n; /* equals nothing that was read */
    x->value = realloc(x->value, n > 0 ? (size_t)n : 1);
    assert_non_null(x->value);
}

static struct xattr_set xattr_set_read(int dir_fd, const char *name)
{
    static char list[XATTR_LIST_MAX];
    char path[32 + NAME_MAX + 1];
    struct xattr_set set = {NULL, 0};
    ssize_t n;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    n = llistxattr(path, list, sizeof list);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
        set.count++;
    set.all = hf_alloc_array(set.count + 1, sizeof *set.all);
    assert_non_null(set.all);
    for (size_t i = 0, at = 0; i < set.count; i++, at += strlen(list + at) + 1) {
        set.all[i].name = strdup(list + at);
        xattr_read(&set.all[i], path);
    }
    qsort(set.all, set.count, sizeof *set.all, compare_xattrs_by_name);
    return set;
}

static void xattr_set_done(struct xattr_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->all[i].name);
        free(set->all[i].value);
    }
    free(set->all);
}

static void compare_xattrs(struct comparison *c, const char *name)
{
    struct xattr_set a = xattr_set_read(c->fd[WANT], name);
    struct xattr_set b = xattr_set_read(c->fd[GOT], name);

    for (size_t i = 0, j = 0; i < a.count || j < b.count;) {
        int order = i == a.count   ? 1
                    : j == b.count ? -1
                                   : strcmp(a.all[i].name, b.all[j].name);

        if (order < 0) {
            differ(c, name, "attribute %s is missing", a.all[i++].name);
        } else if (order > 0) {
            differ(c, name, "attribute %s should not be there", b.all[j++].name);
        } else {
            if (a.all[i].size != b.all[j].size || a.all[i].size == SIZE_MAX ||
                memcmp(a.all[i].value, b.all[j].value, a.all[i].size) != 0)
                differ(c, name, "attribute %s differs", a.all[i].name);
            i++;
            j++;
        }
    }
    xattr_set_done(&a);
    xattr_set_done(&b);
}

/* ---- entries ---- */

static void compare_targets(struct comparison *c, const char *name)
{
    static char target[SIDES][PATH_MAX];
    ssize_t n[SIDES];

    for (int s = 0; s < SIDES; s++)
        n[s] = readlinkat(c->fd[s], name, target[s], PATH_MAX);
    if (n[WANT] < 0 || n[WANT] != n[GOT] ||
        memcmp(target[WANT], target[GOT], (size_t)n[WANT]) != 0)
        differ(c, name, "link target differs");
}

static void compare_metadata(struct comparison *c, const char *name, const struct stat *st)
{
    const struct stat *a = &st[WANT];
    const struct stat *b = &st[GOT];

    if (a->st_mode != b->st_mode)
        differ(c, name, "mode: want %o, got %o", a->st_mode, b->st_mode);
    if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        differ(c, name, "owner: want %u:%u, got %u:%u", a->st_uid, a->st_gid, b->st_uid,
               b->st_gid);
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        differ(c, name, "mtime: want %jd.%09ld, got %jd.%09ld", (intmax_t)a->st_mtim.tv_sec,
               a->st_mtim.tv_nsec, (intmax_t)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
    compare_xattrs(c, name);
}

static void compare_entry(struct comparison *c, const char *name)
{
    struct stat st[SIDES];
    size_t longest = dir_ways_length(&c->dirs[WANT], c->dir) + strlen(name);

    for (int s = 0; s < SIDES; s++) {
        if (fstatat(c->fd[s], name, &st[s], AT_SYMLINK_NOFOLLOW) == 0) continue;
        differ(c, name, "%s: %s", side_names[s], strerrorname_np(errno));
        return;
    }
    c->result.entries++;
    if (longest > c->result.longest) c->result.longest = longest;
    compare_metadata(c, name, st);
    if ((st[WANT].st_mode & S_IFMT) != (st[GOT].st_mode & S_IFMT)) return;
    if (S_ISREG(st[WANT].st_mode)) compare_files(c, name, st);
    if (S_ISLNK(st[WANT].st_mode)) compare_targets(c, name);
    if ((S_ISCHR(st[WANT].st_mode) || S_ISBLK(st[WANT].st_mode)) &&
        st[WANT].st_rdev != st[GOT].st_rdev)
        differ(c, name, "device: want %jx, got %jx", (uintmax_t)st[WANT].st_rdev,
               (uintmax_t)st[GOT].st_rdev);
    if (!S_ISDIR(st[WANT].st_mode)) {
        compare_links(c, name, st);
    } else if (strcmp(name, ".") != 0) {
        for (int s = 0; s < SIDES; s++)
            (void)dir_ways_add(&c->dirs[s], c->dir, name);
    }
}

static void compare_names(struct comparison *c, char **want, char **got)
{
    while (*want != NULL || *got != NULL) {
        int order = *want == NULL ? 1 : *got == NULL ? -1 : strcmp(*want, *got);

        if (order < 0) {
            differ(c, *want++, "is missing");
        } else if (order > 0) {
            differ(c, *got++, "should not be there");
        } else {
            compare_entry(c, *want++);
            got++;
        }
    }
}

static void compare_dir(struct comparison *c, size_t number)
{
    char **names[SIDES];

    c->dir = number;
    for (int s = 0; s < SIDES; s++) {
        c->fd[s] = dir_ways_open(&c->dirs[s], number);
        names[s] = c->fd[s] < 0 ? NULL : dir_names(c->fd[s]);
        if (names[s] == NULL)
            differ(c, ".", "%s: read: %s", side_names[s], strerrorname_np(errno));
    }
    if (number == 0 && c->fd[WANT] >= 0 && c->fd[GOT] >= 0) compare_entry(c, ".");
    if (names[WANT] != NULL && names[GOT] != NULL)
        compare_names(c, names[WANT], names[GOT]);
    for (int s = 0; s < SIDES; s++) {
        dir_names_free(names[s]);
        if (c->fd[s] >= 0) (void)close(c->fd[s]);
    }
}

struct tree_compared tree_compare_all(const char *want, const char *got, bool holes,
                                      FILE *out)
{
    const char *paths[SIDES] = {want, got};
    struct comparison c = {.out = out, .result.holes = holes};

    for (int s = 0; s < SIDES; s++) {
        if (dir_ways_init(&c.dirs[s], AT_FDCWD, paths[s]) == 0) continue;
        (void)fprintf(out, "%s: %s\n", paths[s], strerrorname_np(errno));
        if (s == GOT) dir_ways_done(&c.dirs[WANT]);
        return (struct tree_compared){.differences = 1};
    }
    for (size_t i = 0; i < c.dirs[WANT].count; i++)
        compare_dir(&c, i);
    for (int s = 0; s < SIDES; s++) {
        tdestroy(c.seen[s], free);
        dir_ways_done(&c.dirs[s]);
    }
    return c.result;
}
