#include "strange_tree.h"
#include "dir_ways.h"
#include "strange_parts.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct making {
    struct strange_dice dice;
    struct dir_ways dirs;
    uint64_t seed;
};

static int open_dir(struct making *m, size_t number)
{
    int fd = dir_ways_open(&m->dirs, number);

    assert_true(fd >= 0);
    return fd;
}

static size_t any_dir(struct making *m)
{
    return strange_throw(&m->dice, m->dirs.count);
}

/* The new directory's number, or that of the parent when the name is taken. */
static size_t add_dir(struct making *m, size_t parent, const char *name)
{
    int fd = open_dir(m, parent);
    bool made = mkdirat(fd, name, 0700) == 0;

    (void)close(fd);
    return made ? dir_ways_add(&m->dirs, parent, name) : parent;
}

static void make_dirs(struct making *m)
{
    size_t count = 3 + strange_throw(&m->dice, STRANGE_LARGE(m->seed) ? 40 : 8);
    char name[256];
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        strange_name(&m->dice, name);
        (void)add_dir(m, any_dir(m), name);
    }
    if (STRANGE_DEEP(m->seed)) {
        for (size_t i = 0; i < 18; i++) { /* 18 * 251 > PATH_MAX */
            memset(name, (int)('a' + i), 250);
            name[250] = '\0';
            at = add_dir(m, at, name);
        }
    }
    if (STRANGE_STEPS(m->seed)) {
        for (size_t i = 0; i < 150; i++)
            at = add_dir(m, at, "d");
    }
}

static void make_entry(struct making *m, size_t dir)
{
    int fd = open_dir(m, dir);
    char name[256];
    size_t kind = strange_throw(&m->dice, 10);
    bool made;

    strange_name(&m->dice, name);
    if (kind < 6)
        made = strange_file(&m->dice, fd, name, STRANGE_LARGE(m->seed));
    else if (kind == 6)
        made = strange_sparse_file(&m->dice, fd, name);
    else
        made = strange_special(&m->dice, fd, name);
    if (made) strange_metadata(&m->dice, fd, name);
    (void)close(fd);
}

/* Another name, there or elsewhere, for something that is no directory. */
static void make_hard_link(struct making *m)
{
    int from = open_dir(m, any_dir(m));
    int to = open_dir(m, any_dir(m));
    char **names = dir_names(from);
    char name[256];
    size_t count = 0;

    assert_non_null(names);
    while (names[count] != NULL)
        count++;
    strange_name(&m->dice, name);
    if (count > 0) /* not of a directory, nor under a name that is taken */
        (void)!linkat(from, names[strange_throw(&m->dice, count)], to, name, 0);
    dir_names_free(names);
    (void)close(from);
    (void)close(to);
}

static void make_crowd(struct making *m)
{
    int fd = open_dir(m, add_dir(m, 0, "crowd"));
    char name[32];

    for (unsigned i = 0; i < 3000; i++) {
        int file;

        (void)snprintf(name, sizeof name, "%x", i * 2654435761u);
        if (i % 50 == 7) {
            assert_int_equal(symlinkat("0", fd, name), 0);
            continue;
        }
        file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_true(file >= 0);
        assert_int_equal(write(file, name, i % 3), i % 3);
        assert_int_equal(close(file), 0);
    }
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "%x", i * 2654435761u);
        strange_time(&m->dice, fd, name);
    }
    (void)close(fd);
}

/* The deepest first: what happens in a directory changes its time. */
static void finish_dirs(struct making *m)
{
    for (size_t i = m->dirs.count; i-- > 1;) {
        int fd = open_dir(m, m->dirs.ways[i].parent);

        strange_metadata(&m->dice, fd, m->dirs.ways[i].name);
        (void)close(fd);
    }
    strange_metadata(&m->dice, m->dirs.root_fd, ".");
}

void strange_tree_make(const char *path, uint64_t seed)
{
    struct making m = {.dice = strange_dice_init(seed), .seed = seed};
    size_t count = 15 + strange_throw(&m.dice, STRANGE_LARGE(seed) ? 200 : 40);

    assert_int_equal(dir_ways_init(&m.dirs, AT_FDCWD, path), 0);
    make_dirs(&m);
    for (size_t i = 0; i < count; i++)
        make_entry(&m, any_dir(&m));
    if (STRANGE_CROWD(seed)) make_crowd(&m);
    for (size_t i = 0; i < count / 5; i++)
        make_hard_link(&m);
    if (STRANGE_DEEP(seed)) make_entry(&m, m.dirs.count - 1);
    if (STRANGE_HUGE(seed)) strange_huge_file(&m.dice, m.dirs.root_fd, "huge", 5);
    if (STRANGE_GIANT(seed)) strange_huge_file(&m.dice, m.dirs.root_fd, "giant", 100);
    finish_dirs(&m);
    dir_ways_done(&m.dirs);
}
