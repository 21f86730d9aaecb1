#include "tree_maker.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void tree_write_file(const char *path, uint64_t seed, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    uint64_t state = seed * 2654435761u + 1;
    uint8_t buf[4096];

    assert_true(fd >= 0);
    while (n > 0) {
        size_t take = n < sizeof buf ? n : sizeof buf;

        if (seed % 2 == 1) {
            test_random_bytes(&state, buf, take);
        } else {
            for (size_t i = 0; i < take; i++)
                buf[i] =
                    (uint8_t)("the quick brown fox "[(i + test_random(&state) % 2) % 20]);
        }
        assert_int_equal(write(fd, buf, take), (ssize_t)take);
        n -= take;
    }
    assert_int_equal(close(fd), 0);
}

static void set_time(const char *path, uint64_t *state)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};

    times[1].tv_sec =
        (time_t)(test_random(state) % 4000000000ull) - 1000000000; /* 1938..2065 */
    times[1].tv_nsec = (long)(test_random(state) % 1000000000);
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static size_t file_size(uint64_t *state)
{
    switch (test_random(state) % 8) {
    case 0: return 0;
    case 1: return test_random(state) % 600;
    case 2:
    case 3:
    case 4: return test_random(state) % 20000;
    case 5: return test_random(state) % 300000;
    case 6: return 65536 + test_random(state) % 3;
    default: return test_random(state) % 3000000;
    }
}

static const char *const odd_names[] = {" ",   "new\nline", "\xff\xfe not utf-8", "-rf",
                                        "..x", "a'b\"c",    "\xc3\xa4\xc3\xb6"};

void tree_make(const char *path, uint64_t seed)
{
    uint64_t state = seed * 77 + 5;
    char dirs[16][512];
    size_t dir_count = 1;
    char name[1024];

    (void)snprintf(dirs[0], sizeof dirs[0], "%s", path);
    for (size_t i = 0; i < 15; i++) {
        (void)snprintf(dirs[dir_count], sizeof dirs[0], "%.300s/d%zu",
                       dirs[test_random(&state) % dir_count], i);
        assert_int_equal(mkdir(dirs[dir_count], 0755), 0);
        dir_count++;
    }
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof name, "%s/f%zu", dirs[test_random(&state) % dir_count],
                       i);
        tree_write_file(name, test_random(&state), file_size(&state));
        assert_int_equal(chmod(name, (mode_t)(test_random(&state) % 010000)), 0);
        set_time(name, &state);
    }
    for (size_t i = 0; i < sizeof odd_names / sizeof odd_names[0]; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", dirs[test_random(&state) % dir_count],
                       odd_names[i]);
        tree_write_file(name, i, i * 100);
    }
    (void)snprintf(name, sizeof name, "%s/%0255d", path, 7); /* the longest name */
    tree_write_file(name, 3, 10);
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "%s/l%zu", dirs[test_random(&state) % dir_count],
                       i);
        assert_int_equal(symlink(i % 2 == 0 ? "f1" : "/nowhere/at all", name), 0);
        set_time(name, &state);
    }
    (void)snprintf(name, sizeof name, "%s/fifo", path);
    assert_int_equal(mkfifo(name, 0640), 0);
    for (size_t i = dir_count; i-- > 0;) {
        assert_int_equal(chmod(dirs[i], i % 3 == 0 ? 0755 : 0700), 0);
        set_time(dirs[i], &state);
    }
}

void tree_change(const char *path, uint64_t seed)
{
    uint64_t state = seed * 31 + 7;
    char name[1024];
    char other[1100];

    (void)snprintf(name, sizeof name, "%s/added", path);
    tree_write_file(name, seed * 2 + 1, 200000);
    (void)snprintf(name, sizeof name, "%s/new directory", path);
    assert_int_equal(mkdir(name, 0711), 0);
    (void)snprintf(name, sizeof name, "%s/new directory/below", path);
    tree_write_file(name, seed, 1000);
    for (size_t i = 0; i < 15; i++) {
        (void)snprintf(name, sizeof name, "%s/f%zu", path,
                       (size_t)(test_random(&state) % 60));
        if (access(name, F_OK) != 0) continue;
        if (i % 3 == 0) {
            tree_write_file(name, test_random(&state), 5000);
        } else if (i % 3 == 1) {
            (void)unlink(name);
        } else {
            (void)snprintf(other, sizeof other, "%s.moved", name);
            assert_int_equal(rename(name, other), 0);
        }
    }
}

/* ---- comparing ---- */

static char *differ(const char *path, const char *what)
{
    char *text = NULL;

    if (asprintf(&text, "%s: %s", path, what) < 0) return NULL;
    return text;
}

static char *compare_files(const char *a, const char *b)
{
    int fa = open(a, O_RDONLY | O_CLOEXEC);
    int fb = open(b, O_RDONLY | O_CLOEXEC);
    static uint8_t ba[65536];
    static uint8_t bb[65536];
    char *text = fa < 0 || fb < 0 ? differ(b, strerrorname_np(errno)) : NULL;

    while (text == NULL) {
        ssize_t na = read(fa, ba, sizeof ba);
        ssize_t nb = read(fb, bb, sizeof bb);

        if (na < 0 || nb < 0)
            text = differ(b, strerrorname_np(errno));
        else if (na != nb || memcmp(ba, bb, (size_t)na) != 0)
            text = differ(b, "contents differ");
        if (na <= 0) break;
    }
    if (fa >= 0) (void)close(fa);
    if (fb >= 0) (void)close(fb);
    return text;
}

static char *compare_one(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;
    char la[4096];
    char lb[4096];

    if (lstat(a, &sa) != 0) return differ(a, strerrorname_np(errno));
    if (lstat(b, &sb) != 0) return differ(b, strerrorname_np(errno));
    if (sa.st_mode != sb.st_mode) return differ(b, "type or mode differs");
    if (sa.st_uid != sb.st_uid || sa.st_gid != sb.st_gid) return differ(b, "owner differs");
    if (sa.st_mtim.tv_sec != sb.st_mtim.tv_sec || sa.st_mtim.tv_nsec != sb.st_mtim.tv_nsec)
        return differ(b, "time differs");
    if (S_ISREG(sa.st_mode)) {
        if (sa.st_size != sb.st_size) return differ(b, "size differs");
        return compare_files(a, b);
    }
    if (S_ISLNK(sa.st_mode)) {
        ssize_t na = readlink(a, la, sizeof la);
        ssize_t nb = readlink(b, lb, sizeof lb);

        if (na < 0 || na != nb || memcmp(la, lb, (size_t)na) != 0)
            return differ(b, "link target differs");
    }
    return NULL;
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    if (dir == NULL) return 0;
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

struct pending {
    char *a, *b;
    struct pending *next;
};

static void push(struct pending **list, const char *a, const char *b, const char *name)
{
    struct pending *p = calloc(1, sizeof *p);

    assert_non_null(p);
    assert_true(asprintf(&p->a, "%s/%s", a, name) > 0 &&
                asprintf(&p->b, "%s/%s", b, name) > 0);
    p->next = *list;
    *list = p;
}

static char *compare_dir(struct pending **list, const char *a, const char *b)
{
    DIR *dir = opendir(a);
    struct dirent *e;

    if (dir == NULL) return differ(a, strerrorname_np(errno));
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            push(list, a, b, e->d_name);
    }
    (void)closedir(dir);
    return count_entries(a) == count_entries(b) ? NULL
                                                : differ(b, "number of entries differs");
}

char *tree_compare(const char *a, const char *b)
{
    struct pending *list = NULL;
    char *text = NULL;

    push(&list, a, b, ".");
    while (list != NULL) {
        struct pending *p = list;
        struct stat st;

        list = p->next;
        if (text == NULL) text = compare_one(p->a, p->b);
        if (text == NULL && lstat(p->a, &st) == 0 && S_ISDIR(st.st_mode))
            text = compare_dir(&list, p->a, p->b);
        free(p->a);
        free(p->b);
        free(p);
    }
    return text;
}
