/* corpus: makes and changes the trees that bench/compare measures.
 *
 * Usage: corpus gather SEED DIR FILES BYTES <NAMES   copies the named files below DIR until
 *            there are FILES files and BYTES bytes; when the names run out, copies of them
 *            that differ in a byte of every 8 KiB
 *        corpus change SEED DIR                      a day in DIR: files edited, added and
 *                                                    removed, directories renamed
 *        corpus image SEED FILE SIZE FILLED <NAMES   a raw image of SIZE bytes, FILLED of
 * them content of the named files at random places, some zeros, the rest a hole corpus
 * overwrite SEED FILE COUNT <NAMES     COUNT overwrites of 4 KiB..1 MiB, random bytes or
 * bytes of the named files corpus random SEED BYTES >FILE              incompressible bytes
 *        corpus sample SEED DIR BYTES >FILE          about BYTES of what DIR's files hold,
 *            without holes; prints on stderr how many bytes they hold in all
 *
 * NAMES end with a zero byte each.  The same seed and files give the same result.  Any
 * failure ends the program: half a corpus must not be measured. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE          ((size_t)4096)
#define WINDOW        ((size_t)8192)
#define PIECE_MAX     ((size_t)4 << 20)
#define OVERWRITE_MAX ((size_t)1 << 20)

struct names {
    char **name;
    size_t count;
};

struct content {
    uint8_t *bytes;
    size_t size;
    mode_t mode;
};

static uint64_t state; /* of the generator; one thread */

/* splitmix64 (Steele 2014): any seed is good, and the bytes do not compress. */
static uint64_t draw(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t draw_below(size_t bound)
{
    return (size_t)(draw() % bound);
}

static void draw_bytes(uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = draw();

        memcpy(out + i, &word, n - i < sizeof word ? n - i : sizeof word);
    }
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') error(2, errno, "number '%s'", text);
    return n;
}

static void *need(void *p)
{
    if (p == NULL) error(1, errno, "memory");
    return p;
}

static char *joined(const char *a, const char *b)
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

static struct names names_read(void)
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

/* The regular files below dir, in an order that does not depend on the file system. */
static struct names names_below(char *dir)
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

static void write_all(int fd, const uint8_t *bytes, size_t n, const char *name)
{
    while (n > 0) {
        ssize_t w = write(fd, bytes, n);

        if (w <= 0) error(1, errno, "write %s", name);
        bytes += w;
        n -= (size_t)w;
    }
}

/* Reads up to n bytes at an offset; fewer only at the end. */
static size_t read_at(int fd, uint8_t *out, size_t n, off_t at, const char *name)
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

/* False: the file is not readable or is not a file; the caller takes another one. */
static bool content_read(const char *name, struct content *c)
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

static void content_write(const char *name, const struct content *c)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) error(1, errno, "create %s", name);
    write_all(fd, c->bytes, c->size, name);
    if (fchmod(fd, c->mode | 0600) != 0 || close(fd) != 0)
        error(1, errno, "close %s", name);
}

/* A byte of every window: no chunk of the copy is a chunk of the original, and it
 * compresses as well. */
static void content_vary(struct content *c)
{
    for (size_t at = 0; at < c->size; at += WINDOW) {
        size_t n = c->size - at < WINDOW ? c->size - at : WINDOW;

        c->bytes[at + draw_below(n)] ^= (uint8_t)(1 + draw_below(255));
    }
}

static void make_parents(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) error(1, errno, "make %s", path);
        *p = '/';
    }
}

/* One file of the corpus; its size, or 0 when there is none to copy. */
static size_t gather_one(const char *dir, const char *name, unsigned pass)
{
    struct content c;
    char *top;
    char *path;
    size_t size;

    if (!content_read(name, &c)) return 0;
    if (pass > 0) content_vary(&c);
    if (asprintf(&top, "%s/%u/", dir, pass) < 0) error(1, errno, "memory");
    path = joined(top, name + strspn(name, "/"));
    make_parents(path);
    content_write(path, &c);
    size = c.size;
    free(c.bytes);
    free(path);
    free(top);
    return size;
}

static void gather(const char *dir, uint64_t files_min, uint64_t bytes_min)
{
    struct names names = names_read();
    uint64_t files = 0;
    uint64_t bytes = 0;

    for (unsigned pass = 0; files < files_min || bytes < bytes_min; pass++) {
        uint64_t before = bytes;

        for (size_t i = 0; i < names.count; i++) {
            size_t size = gather_one(dir, names.name[i], pass);

            bytes += size;
            files += size > 0;
            if (files >= files_min && bytes >= bytes_min) return;
        }
        if (bytes == before) error(1, 0, "none of the %zu names is readable", names.count);
    }
}

/* A few bytes in place, more at the end, or some in the middle: the three ways in which
 * files change. */
static void change_edit(const char *name)
{
    struct content c;
    struct content to;
    size_t at;
    size_t gone;
    size_t added = 1 + draw_below(2000);

    if (!content_read(name, &c)) error(1, errno, "read %s", name);
    at = draw_below(c.size + 1);
    gone = c.size - at < added ? c.size - at : added;
    switch (draw_below(3)) {
    case 0: break;
    case 1:
        at = c.size;
        gone = 0;
        break;
    default: gone = 0; break;
    }
    to = (struct content){need(malloc(c.size + added)), c.size - gone + added, c.mode};
    memcpy(to.bytes, c.bytes, at);
    for (size_t i = 0; i < added; i++)
        to.bytes[at + i] = (uint8_t)(' ' + draw_below(95));
    memcpy(to.bytes + at + added, c.bytes + at + gone, c.size - at - gone);
    content_write(name, &to);
    free(to.bytes);
    free(c.bytes);
}

static void change_add(const char *like)
{
    struct content c;
    char suffix[32];
    char *name;

    if (!content_read(like, &c)) error(1, errno, "read %s", like);
    content_vary(&c);
    (void)snprintf(suffix, sizeof suffix, ".%08x", (unsigned)draw());
    name = joined(like, suffix);
    content_write(name, &c);
    free(name);
    free(c.bytes);
}

/* Renames the directory of a file; false when an earlier rename has moved it. */
static bool change_rename(const char *dir, const char *file)
{
    char *from = need(strdup(file));
    char *to;
    bool done;

    *strrchr(from, '/') = '\0';
    to = joined(from, ".moved");
    done = strlen(from) > strlen(dir) && rename(from, to) == 0;
    if (!done && strlen(from) > strlen(dir) && errno != ENOENT)
        error(1, errno, "rename %s", from);
    free(from);
    free(to);
    return done;
}

/* 1 % of the files edited, 0.3 % added, 0.2 % removed, 5 directories renamed.  Every file
 * meets at most one of these, except that its directory may move. */
static void change(char *dir)
{
    struct names names = names_below(dir);
    size_t edits = names.count / 100;
    size_t adds = names.count * 3 / 1000;
    size_t removals = names.count * 2 / 1000;

    for (size_t i = names.count - 1; i > 0; i--) {
        size_t j = draw_below(i + 1);
        char *other = names.name[j];

        names.name[j] = names.name[i];
        names.name[i] = other;
    }
    for (size_t i = 0; i < edits; i++)
        change_edit(names.name[i]);
    for (size_t i = edits; i < edits + adds; i++)
        change_add(names.name[i]);
    for (size_t i = edits + adds; i < edits + adds + removals; i++)
        if (unlink(names.name[i]) != 0) error(1, errno, "remove %s", names.name[i]);
    for (size_t i = edits + adds + removals, done = 0; i < names.count && done < 5; i++)
        done += change_rename(dir, names.name[i]);
}

/* Up to n bytes of a random named file from a random page on; at least one. */
static size_t borrow(const struct names *names, uint8_t *out, size_t n)
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

static void put_at(int fd, const uint8_t *bytes, size_t n, size_t at, const char *name)
{
    if (lseek(fd, (off_t)at, SEEK_SET) < 0) error(1, errno, "seek %s", name);
    write_all(fd, bytes, n, name);
}

/* The named files' heads at random pages, as a file system of some age has them; one of
 * sixteen pieces is zeros. */
static void image(const char *name, size_t size, size_t filled)
{
    struct names names = names_read();
    uint8_t *piece = need(malloc(PIECE_MAX));
    bool *used = need(calloc(size / PAGE, sizeof *used));
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t pages = 0;

    if (filled > size / 10 * 9) error(2, 0, "a size that leaves a tenth empty is needed");
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) error(1, errno, "create %s", name);
    while (pages < filled / PAGE) {
        size_t got = borrow(&names, piece, PAGE << draw_below(11));
        size_t n = (got + PAGE - 1) / PAGE * PAGE;
        size_t at = draw_below((size - PIECE_MAX) / PAGE);

        memset(piece + got, 0, n - got);
        if (draw_below(16) == 0) memset(piece, 0, n);
        put_at(fd, piece, n, at * PAGE, name);
        for (size_t i = 0; i < n / PAGE; i++) {
            pages += !used[at + i];
            used[at + i] = true;
        }
    }
    if (close(fd) != 0) error(1, errno, "close %s", name);
    free(used);
    free(piece);
}

/* A disk's writes are whole pages. */
static void overwrite(const char *name, uint64_t count)
{
    struct names names = names_read();
    uint8_t *bytes = need(malloc(OVERWRITE_MAX));
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) error(1, errno, "open %s", name);
    if ((size_t)st.st_size <= OVERWRITE_MAX) error(2, 0, "%s is too small", name);
    for (uint64_t i = 0; i < count; i++) {
        size_t n = PAGE * (1 + draw_below(OVERWRITE_MAX / PAGE));
        size_t at = draw_below(((size_t)st.st_size - n) / PAGE);

        if (draw_below(2) == 0) {
            draw_bytes(bytes, n);
        } else {
            for (size_t got = 0; got < n;)
                got += borrow(&names, bytes + got, n - got);
        }
        put_at(fd, bytes, n, at * PAGE, name);
    }
    if (close(fd) != 0) error(1, errno, "close %s", name);
}

static void random_bytes(uint64_t n)
{
    uint8_t buf[65536];

    while (n > 0) {
        size_t part = n < sizeof buf ? (size_t)n : sizeof buf;

        draw_bytes(buf, part);
        write_all(STDOUT_FILENO, buf, part, "standard output");
        n -= part;
    }
}

/* What the file holds, piece by piece and without holes: writes a piece with probability
 * wanted / held (held 0: writes none) and returns the bytes seen. */
static uint64_t sample_file(const char *name, uint64_t wanted, uint64_t held,
                            uint8_t *piece)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    uint64_t seen = 0;
    off_t at = 0;
    size_t n;

    if (fd < 0) error(1, errno, "open %s", name);
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(fd, at, SEEK_HOLE);

        n = (size_t)(end - at) < PIECE_MAX ? (size_t)(end - at) : PIECE_MAX;
        if (held > 0 && draw() % held < wanted)
            write_all(STDOUT_FILENO, piece, read_at(fd, piece, n, at, name),
                      "standard output");
        seen += n;
        at += (off_t)n;
    }
    if (errno != ENXIO) error(1, errno, "seek %s", name);
    (void)close(fd);
    return seen;
}

static void sample(char *dir, uint64_t wanted)
{
    struct names names = names_below(dir);
    uint8_t *piece = need(malloc(PIECE_MAX));
    uint64_t held = 0;

    for (size_t i = 0; i < names.count; i++)
        held += sample_file(names.name[i], 0, 0, piece);
    for (size_t i = 0; i < names.count; i++)
        (void)sample_file(names.name[i], wanted, held, piece);
    (void)fprintf(stderr, "%" PRIu64 "\n", held);
    free(piece);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (argc > 2) state = number(argv[2]);
    if (argc == 6 && strcmp(verb, "gather") == 0)
        gather(argv[3], number(argv[4]), number(argv[5]));
    else if (argc == 4 && strcmp(verb, "change") == 0)
        change(argv[3]);
    else if (argc == 6 && strcmp(verb, "image") == 0)
        image(argv[3], number(argv[4]), number(argv[5]));
    else if (argc == 5 && strcmp(verb, "overwrite") == 0)
        overwrite(argv[3], number(argv[4]));
    else if (argc == 4 && strcmp(verb, "random") == 0)
        random_bytes(number(argv[3]));
    else if (argc == 5 && strcmp(verb, "sample") == 0)
        sample(argv[3], number(argv[4]));
    else
        error(2, 0, "usage: see the head of bench/corpus.c");
    return 0;
}
