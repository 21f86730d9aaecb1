#include "strange_parts.h"
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NEW_FILE (O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define PAGE     4096

struct strange_dice strange_dice_init(uint64_t seed)
{
    return (struct strange_dice){.state = seed * 2654435761u + 12345,
                                 .theme = seed * 31 + 7,
                                 .root = geteuid() == 0};
}

size_t strange_throw(struct strange_dice *dice, size_t sides)
{
    return (size_t)(test_random(&dice->state) >> 20) % sides;
}

/* ---- names ---- */

static const char *const odd_names[] = {
    "-rf",
    " before",
    "behind ",
    "two\nlines",
    "tab\tand\x1b[31m red \x07",
    "*?[a-z]{b,c}",
    "back\\slash\\",
    "$HOME `id` $(id)",
    "'\"",
    "\xff\xfe not UTF-8 \xc3(",
    "e\xcc\x81", /* two letters that look like the next name's one */
    "\xc3\xa9",  /* é */
    ("\xe2\x80\xae"
     "txt.exe"),
    "...",
    "..hidden",
    ".hidden",
    "~",
    "#x#",
    "!x",
    "%s%n",
    "a:b",
    "nul",
    "CON.",
    "\x7f\x01\x02",
};

static void random_name(struct strange_dice *dice, char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        do
            name[i] = (char)strange_throw(dice, 256);
        while (name[i] == '\0' || name[i] == '/');
    }
    name[n] = '\0';
}

void strange_name(struct strange_dice *dice, char name[static 256])
{
    size_t kind = strange_throw(dice, 10);

    if (kind < 4) {
        (void)snprintf(name, 256, "f%zu", strange_throw(dice, 100000));
    } else if (kind < 7) {
        (void)snprintf(name, 256, "%s%s",
                       odd_names[strange_throw(dice, sizeof odd_names / sizeof *odd_names)],
                       kind == 4 ? "" : (char[]){(char)('a' + strange_throw(dice, 26)), 0});
    } else if (kind < 9) {
        random_name(dice, name, 3 + strange_throw(dice, 60)); /* never "." or ".." */
    } else {
        random_name(dice, name, 255);
    }
}

/* ---- contents ---- */

static void write_at(int fd, const void *bytes, size_t n, off_t at)
{
    assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
}

void strange_overwrite(struct strange_dice *dice, int fd, off_t at, size_t n)
{
    uint8_t buf[65536];

    while (n > 0) {
        size_t take = n < sizeof buf ? n : sizeof buf;

        test_random_bytes(&dice->state, buf, take);
        write_at(fd, buf, take, at);
        at += (off_t)take;
        n -= take;
    }
}

static void write_text(struct strange_dice *dice, int fd, size_t size)
{
    char line[128];

    for (size_t at = 0, n; at < size; at += n) {
        n = (size_t)snprintf(line, sizeof line, "%08zu %zx the quick brown fox\n", at,
                             strange_throw(dice, 4096));
        if (n > size - at) n = size - at;
        write_at(fd, line, n, (off_t)at);
        if (at > 65536) { /* the rest in larger steps: pages of one line over and over */
            char page[PAGE];

            for (size_t i = 0; i < sizeof page; i++)
                page[i] = line[i % n];
            n = sizeof page < size - at ? sizeof page : size - at;
            write_at(fd, page, n, (off_t)at);
        }
    }
}

static void write_zeros(int fd, off_t at, size_t size)
{
    static const uint8_t zeros[65536];

    for (size_t n; size > 0; size -= n, at += (off_t)n) {
        n = size < sizeof zeros ? size : sizeof zeros;
        write_at(fd, zeros, n, at);
    }
}

/* What other files of this tree hold too, with something inserted somewhere. */
static void write_theme(struct strange_dice *dice, int fd, size_t size)
{
    struct strange_dice theme = {.state = dice->theme};
    size_t first = strange_throw(dice, size + 1);
    size_t inserted = 1 + strange_throw(dice, 200);

    strange_overwrite(&theme, fd, 0, first);
    strange_overwrite(dice, fd, (off_t)first, inserted);
    strange_overwrite(&theme, fd, (off_t)(first + inserted), size - first);
}

static size_t draw_size(struct strange_dice *dice, bool large)
{
    static const size_t small[] = {0,    1,    2,    100,   511,   512,   513,
                                   4095, 4096, 4097, 20000, 65535, 65536, 65537};
    static const size_t big[] = {262144, 1048575, 1048576, 1048577, 3000000, 6000001};

    if (large && strange_throw(dice, 4) == 0) return big[strange_throw(dice, 6)];
    if (strange_throw(dice, 12) == 0) return 70000 + strange_throw(dice, 300000);
    return small[strange_throw(dice, sizeof small / sizeof *small)];
}

bool strange_file(struct strange_dice *dice, int dir_fd, const char *name, bool large)
{
    int fd = openat(dir_fd, name, NEW_FILE, 0600);
    size_t size = draw_size(dice, large);
    size_t kind = strange_throw(dice, 5);

    if (fd < 0) return false;
    if (kind == 0)
        write_zeros(fd, 0, size);
    else if (kind == 1)
        write_text(dice, fd, size);
    else if (kind == 2)
        write_theme(dice, fd, size);
    else
        strange_overwrite(dice, fd, 0, size);
    assert_int_equal(close(fd), 0);
    return true;
}

/* ---- holes ---- */

static void write_some(struct strange_dice *dice, int fd, off_t at, size_t max)
{
    size_t n = 1 + strange_throw(dice, max);

    if (strange_throw(dice, 4) == 0)
        write_zeros(fd, at, n); /* zeros that were written are no hole */
    else
        strange_overwrite(dice, fd, at, n);
}

static void many_holes(struct strange_dice *dice, int fd)
{
    size_t count = 5 + strange_throw(dice, 120);
    off_t at = 0;

    for (size_t i = 0; i < count; i++) {
        at += (off_t)(strange_throw(dice, 4) * PAGE);
        write_some(dice, fd, at, 2 * PAGE);
        at += 3 * PAGE;
    }
}

/* No blocks without contents (fallocate): the kernel takes them for data once they were
 * read, so that what is a hole changes by looking.  And no hole as small as the block in
 * which a file system may keep attributes: that file has as many blocks as if it had none.
 */
bool strange_sparse_file(struct strange_dice *dice, int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, NEW_FILE, 0600);
    off_t size = (off_t)(200000 + strange_throw(dice, 3000000));

    if (fd < 0) return false;
    switch (strange_throw(dice, 6)) {
    case 0: break; /* nothing but a hole */
    case 1: write_some(dice, fd, size, 100000); break;
    case 2: write_some(dice, fd, 0, 100000); break;
    case 3: many_holes(dice, fd); break;
    case 4:
        strange_overwrite(dice, fd, 0, 600000);
        for (size_t i = 0; i < 5; i++) {
            off_t from = (off_t)strange_throw(dice, 590000);

            (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
                            (off_t)(1 + strange_throw(dice, 90000)));
        }
        break;
    default: write_some(dice, fd, size / 3, 5); write_some(dice, fd, size / 2, 5);
    }
    if (lseek(fd, 0, SEEK_END) < size) assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
    return true;
}

void strange_huge_file(struct strange_dice *dice, int dir_fd, const char *name,
                       unsigned gib)
{
    off_t size = (off_t)gib << 30;
    int fd = openat(dir_fd, name, NEW_FILE, 0600);

    if (fd < 0) return;
    assert_int_equal(ftruncate(fd, size), 0);
    strange_overwrite(dice, fd, size / 3, 5000);
    strange_overwrite(dice, fd, size - 7777, 100);
    assert_int_equal(close(fd), 0);
    strange_metadata(dice, dir_fd, name);
}

/* ---- links, FIFOs, sockets, devices ---- */

static bool make_link(struct strange_dice *dice, int dir_fd, const char *name)
{
    static const char *const targets[] = {
        ".", "..", "/", "/nowhere/at all", "../../../../..", "f1", "a\nb", "\xff\xfe", "-e",
    };
    char target[PATH_MAX];

    if (strange_throw(dice, 5) != 0)
        return symlinkat(targets[strange_throw(dice, sizeof targets / sizeof *targets)],
                         dir_fd, name) == 0;
    memset(target, 'x', sizeof target);
    for (size_t i = 200; i < sizeof target; i += 200)
        target[i] = '/';
    target[PATH_MAX - 1] = '\0'; /* the longest that there is */
    return symlinkat(target, dir_fd, name) == 0;
}

bool strange_special(struct strange_dice *dice, int dir_fd, const char *name)
{
    size_t kind = strange_throw(dice, dice->root ? 8 : 6);
    unsigned major_number = (unsigned)strange_throw(dice, 4096);
    unsigned minor_number = (unsigned)strange_throw(dice, 1048576);

    if (kind < 4) return make_link(dice, dir_fd, name);
    if (kind == 4) return mkfifoat(dir_fd, name, 0600) == 0;
    if (kind == 5) return mknodat(dir_fd, name, S_IFSOCK | 0600, 0) == 0;
    return mknodat(dir_fd, name, (kind == 6 ? S_IFCHR : S_IFBLK) | 0600,
                   makedev(major_number, minor_number)) == 0;
}
