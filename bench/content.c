#include "bench/content.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE   ((size_t)4096)
#define WINDOW ((size_t)8192)

static uint64_t state;

void draw_seed(uint64_t seed)
{
    state = seed;
}

/* splitmix64 (Steele 2014): any seed is good, and the bytes do not compress. */
uint64_t draw(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t draw_below(size_t bound)
{
    return (size_t)(draw() % bound);
}

void draw_bytes(uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = draw();

        memcpy(out + i, &word, n - i < sizeof word ? n - i : sizeof word);
    }
}

void *need(void *p)
{
    if (p == NULL) error(1, errno, "memory");
    return p;
}

char *joined(const char *a, const char *b)
{
    char *s;

    if (asprintf(&s, "%s%s", a, b) < 0) error(1, errno, "memory");
    return s;
}

static void names_add(struct names *names, const char *name)
{
    if ((names->count & (names->count + 1)) == 0)
        names->name =
            need(realloc(names->name, (2 * names->count + 1) * sizeof *names->name));
    names->name[names->count++] = need(strdup(name));
}

struct names names_read(void)
{
    struct names names = {NULL, 0};
    char *line = NULL;
    size_t room = 0;

    while (getdelim(&line, &room, '\0', stdin) > 0)
        names_add(&names, line);
    free(line);
    if (names.count == 0) error(1, 0, "no names on standard input");
    return names;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

struct names names_below(char *dir)
{
    struct names names = {NULL, 0};
    char *const roots[] = {dir, NULL};
    FTS *walk = need(fts_open(roots, FTS_PHYSICAL, by_name));
    FTSENT *e;

    while ((e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_F) names_add(&names, e->fts_path);
        if (e->fts_errno != 0 && e->fts_info != FTS_F)
            error(1, e->fts_errno, "read %s", e->fts_path);
    }
    (void)fts_close(walk);
    if (names.count == 0) error(1, 0, "%s: no files", dir);
    return names;
}

void write_all(int fd, const uint8_t *bytes, size_t n, const char *name)
{
    while (n > 0) {
        ssize_t w = write(fd, bytes, n);

        if (w <= 0) error(1, errno, "write %s", name);
        bytes += w;
        n -= (size_t)w;
    }
}

size_t read_at(int fd, uint8_t *out, size_t n, off_t at, const char *name)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = pread(fd, out + got, n - got, at + (off_t)got);

        if (r < 0) error(1, errno, "read %s", name);
        if (r == 0) break;
        got += (size_t)r;
    }
    return got;
}

bool content_read(const char *name, struct content *c)
{
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0) return false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return false;
    }
    c->mode = st.st_mode & 0777;
    c->bytes = need(malloc((size_t)st.st_size + 1));
    c->size = read_at(fd, c->bytes, (size_t)st.st_size, 0, name);
    (void)close(fd);
    return true;
}

void content_write(const char *name, const struct content *c)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) error(1, errno, "create %s", name);
    write_all(fd, c->bytes, c->size, name);
    if (fchmod(fd, c->mode | 0600) != 0 || close(fd) != 0)
        error(1, errno, "close %s", name);
}

void content_vary(struct content *c)
{
    for (size_t at = 0; at < c->size; at += WINDOW) {
        size_t n = c->size - at < WINDOW ? c->size - at : WINDOW;

        c->bytes[at + draw_below(n)] ^= (uint8_t)(1 + draw_below(255));
    }
}

size_t content_borrow(const struct names *names, uint8_t *out, size_t n)
{
    for (size_t tries = 0; tries < 100 * names->count; tries++) {
        const char *name = names->name[draw_below(names->count)];
        int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        size_t got = 0;

        if (fd < 0) continue;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
            size_t page = draw_below(((size_t)st.st_size - 1) / PAGE + 1);

            got = read_at(fd, out, n, (off_t)(page * PAGE), name);
        }
        (void)close(fd);
        if (got > 0) return got;
    }
    error(1, 0, "none of the %zu names is readable", names->count);
    return 0;
}
