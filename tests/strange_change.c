/* A day in the life of a strange tree. */
#include "dir_ways.h"
#include "strange_parts.h"
#include "strange_tree.h"
#include "test.h"

#include "base/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EDIT_MAX ((off_t)4 << 20) /* larger files are not read and written again */

struct thing {
    size_t dir; /* that holds it */
    char *name;
    mode_t mode;
};

/* The tree as it was in the morning.  Directories that went meanwhile cannot be opened. */
struct day {
    struct strange_dice dice;
    struct dir_ways dirs;
    struct thing *things;
    size_t count, capacity;
};

static void note_dir(struct day *day, size_t number)
{
    int fd = dir_ways_open(&day->dirs, number);
    char **names = dir_names(fd);
    struct stat st;

    assert_non_null(names);
    for (size_t i = 0; names[i] != NULL; i++) {
        if (fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(st.st_mode)) (void)dir_ways_add(&day->dirs, number, names[i]);
        day->things =
            hf_grow_array(day->things, &day->capacity, day->count + 1, sizeof *day->things);
        assert_non_null(day->things);
        day->things[day->count++] = (struct thing){number, strdup(names[i]), st.st_mode};
    }
    dir_names_free(names);
    (void)close(fd);
}

/* ---- contents ---- */

static void insert(struct day *day, int fd, off_t size)
{
    uint8_t *bytes = malloc((size_t)size + 1);
    off_t at = (off_t)strange_throw(&day->dice, (size_t)size + 1);
    size_t by = 1 + strange_throw(&day->dice, 5000);

    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
    strange_overwrite(&day->dice, fd, at, by);
    assert_int_equal(pwrite(fd, bytes + at, (size_t)(size - at), at + (off_t)by),
                     size - at);
    free(bytes);
}

static void edit(struct day *day, int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    off_t at;

    if (fd < 0) return; /* not writable, and we are not root */
    assert_int_equal(fstat(fd, &st), 0);
    at = (off_t)strange_throw(&day->dice, (size_t)st.st_size + 1);
    switch (strange_throw(&day->dice, 6)) {
    case 0:
        strange_overwrite(&day->dice, fd, st.st_size, 1 + strange_throw(&day->dice, 9000));
        break;
    case 1: assert_int_equal(ftruncate(fd, at), 0); break;
    case 2: assert_int_equal(ftruncate(fd, st.st_size + at + 5000), 0); break;
    case 3:
        if (st.st_size <= EDIT_MAX) insert(day, fd, st.st_size);
        break;
    case 4:
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 20000);
        break;
    default: strange_overwrite(&day->dice, fd, at, 1 + strange_throw(&day->dice, 50));
    }
    assert_int_equal(close(fd), 0);
    strange_time(&day->dice, dir_fd, name);
}

/* Only ctime tells. */
static void edit_in_secret(struct day *day, int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    struct stat st;

    if (fd < 0) return;
    assert_int_equal(fstat(fd, &st), 0);
    if (st.st_size > 0)
        strange_overwrite(&day->dice, fd,
                          (off_t)strange_throw(&day->dice, (size_t)st.st_size), 1);
    times[1] = st.st_mtim;
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

/* ---- names ---- */

static void make_something(struct day *day, int fd, const char *name)
{
    size_t kind = strange_throw(&day->dice, 5);

    if (kind < 2)
        (void)strange_file(&day->dice, fd, name, false);
    else if (kind == 2)
        (void)strange_sparse_file(&day->dice, fd, name);
    else
        (void)strange_special(&day->dice, fd, name);
    strange_metadata(&day->dice, fd, name);
}

static void make_dir_with_files(struct day *day, int dir_fd, const char *name)
{
    char below[256];
    int fd;

    if (mkdirat(dir_fd, name, 0700) != 0) return;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = strange_throw(&day->dice, 4); i-- > 0;) {
        strange_name(&day->dice, below);
        make_something(day, fd, below);
    }
    (void)close(fd);
    strange_metadata(&day->dice, dir_fd, name);
}

/* What fails here (into itself, onto something else) is just not done. */
static void move(struct day *day, int dir_fd, const char *name)
{
    int to = dir_ways_open(&day->dirs, strange_throw(&day->dice, day->dirs.count));
    char other[256];

    strange_name(&day->dice, other);
    if (to >= 0) (void)!renameat(dir_fd, name, to, other);
    if (to >= 0) (void)close(to);
}

static void add_link(struct day *day, int dir_fd, const char *name)
{
    int to = dir_ways_open(&day->dirs, strange_throw(&day->dice, day->dirs.count));
    char other[256];

    strange_name(&day->dice, other);
    if (to >= 0) (void)!linkat(dir_fd, name, to, other, 0);
    if (to >= 0) (void)close(to);
}

static void replace(struct day *day, int fd, const struct thing *thing)
{
    bool directory = S_ISDIR(thing->mode);

    dir_remove_all(fd, thing->name);
    if (!directory && strange_throw(&day->dice, 2) == 0)
        make_dir_with_files(day, fd, thing->name);
    else
        make_something(day, fd, thing->name);
}

static void change_thing(struct day *day, const struct thing *thing)
{
    int fd = dir_ways_open(&day->dirs, thing->dir);
    bool file = S_ISREG(thing->mode);
    char other[256];

    if (fd < 0) return;
    strange_name(&day->dice, other);
    switch (strange_throw(&day->dice, 12)) {
    case 0: dir_remove_all(fd, thing->name); break;
    case 1: (void)!renameat(fd, thing->name, fd, other); break;
    case 2: move(day, fd, thing->name); break;
    case 3: replace(day, fd, thing); break;
    case 4: strange_metadata(&day->dice, fd, thing->name); break;
    case 5: strange_time(&day->dice, fd, thing->name); break;
    case 6: add_link(day, fd, thing->name); break;
    case 7: make_dir_with_files(day, fd, other); break;
    case 8: make_something(day, fd, other); break;
    case 9:
        if (file) edit_in_secret(day, fd, thing->name);
        break;
    default:
        if (file) edit(day, fd, thing->name);
    }
    (void)close(fd);
}

/* ---- the times that all this left on directories ---- */

static void set_times(struct day *day, const char *path, const struct timespec *from)
{
    struct dir_ways dirs;
    struct stat st;

    assert_int_equal(dir_ways_init(&dirs, AT_FDCWD, path), 0);
    for (size_t i = 0; i < dirs.count; i++) {
        int fd = dir_ways_open(&dirs, i);
        char **names = dir_names(fd);

        assert_non_null(names);
        for (size_t n = 0; names[n] != NULL; n++) {
            if (fstatat(fd, names[n], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
                (void)dir_ways_add(&dirs, i, names[n]);
        }
        dir_names_free(names);
        assert_int_equal(fstat(fd, &st), 0);
        if (st.st_mtim.tv_sec >= from->tv_sec && st.st_mtim.tv_sec < from->tv_sec + 3600)
            strange_time(&day->dice, fd, ".");
        (void)close(fd);
    }
    dir_ways_done(&dirs);
}

void strange_tree_change(const char *path, uint64_t seed)
{
    struct day day = {.dice = strange_dice_init(seed ^ 0x5eed)};
    struct timespec from;
    size_t changes;

    assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &from), 0);
    assert_int_equal(dir_ways_init(&day.dirs, AT_FDCWD, path), 0);
    for (size_t i = 0; i < day.dirs.count; i++)
        note_dir(&day, i);
    changes = 8 + (day.count > 400 ? 100 : day.count / 4);
    for (size_t i = 0; i < changes && day.count > 0; i++) {
        const struct thing *thing = &day.things[strange_throw(&day.dice, day.count)];
        int fd = dir_ways_open(&day.dirs, thing->dir);
        struct stat st;

        /* As it is now: an earlier change may have reached it. */
        if (fd < 0) continue;
        if (fstatat(fd, thing->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (st.st_mode & S_IFMT) == (thing->mode & S_IFMT))
            change_thing(&day, thing);
        (void)close(fd);
    }
    set_times(&day, path, &from);
    for (size_t i = 0; i < day.count; i++)
        free(day.things[i].name);
    free(day.things);
    dir_ways_done(&day.dirs);
}
