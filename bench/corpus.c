/* corpus: makes and changes the trees that bench/compare measures.
 *
 * corpus gather SEED DIR FILES BYTES <NAMES
 *     Copies the named files below DIR until there are FILES files and BYTES bytes. When
 *     the names run out: copies of them that differ in a byte of every 8 KiB.
 *
 * corpus change SEED DIR
 *     A day in DIR: files edited, added and removed, directories renamed.
 *
 * corpus image SEED FILE SIZE FILLED <NAMES
 *     A raw image of SIZE bytes: content of the named files at random places, with some
 *     zeros, until FILLED bytes are written; the rest is holes.
 *
 * corpus overwrite SEED FILE COUNT <NAMES
 *     COUNT overwrites of 4 KiB..1 MiB: random bytes or bytes of the named files.
 *
 * corpus random SEED BYTES >FILE
 *     Incompressible bytes.
 *
 * corpus sample SEED DIR BYTES >FILE
 *     About BYTES of what DIR's files hold, holes left out; says on stderr how many bytes
 *     they hold in all.
 *
 * NAMES end with a zero byte each.  The same seed and files give the same result. */
#include "bench/content.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE          ((size_t)4096)
#define PIECE_MAX     ((size_t)4 << 20)
#define OVERWRITE_MAX ((size_t)1 << 20)

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') error(2, errno, "number '%s'", text);
    return n;
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
        size_t got = content_borrow(&names, piece, PAGE << draw_below(11));
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
                got += content_borrow(&names, bytes + got, n - got);
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

    if (argc > 2) draw_seed(number(argv[2]));
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
