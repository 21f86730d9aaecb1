#include "dir_ways.h"
#include "test.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int dir_ways_init(struct dir_ways *dirs, int dir_fd, const char *path)
{
    *dirs = (struct dir_ways){.root_fd = openat(dir_fd, path, OPEN_DIR)};
    if (dirs->root_fd < 0) return -1;
    (void)dir_ways_add(dirs, 0, ".");
    return 0;
}

void dir_ways_done(struct dir_ways *dirs)
{
    for (size_t i = 0; i < dirs->count; i++)
        free(dirs->ways[i].name);
    free(dirs->ways);
    (void)close(dirs->root_fd);
}

size_t dir_ways_add(struct dir_ways *dirs, size_t parent, const char *name)
{
    dirs->ways =
        hf_grow_array(dirs->ways, &dirs->capacity, dirs->count + 1, sizeof *dirs->ways);
    assert_non_null(dirs->ways);
    dirs->ways[dirs->count] = (struct dir_way){parent, strdup(name)};
    assert_non_null(dirs->ways[dirs->count].name);
    return dirs->count++;
}

int dir_ways_open(const struct dir_ways *dirs, size_t number)
{
    size_t depth = 1;
    size_t *way;
    int fd;

    for (size_t i = number; i != 0; i = dirs->ways[i].parent)
        depth++;
    way = hf_alloc_array(depth, sizeof *way);
    assert_non_null(way);
    for (size_t i = number, d = depth; d-- > 0; i = dirs->ways[i].parent)
        way[d] = i;
    fd = openat(dirs->root_fd, ".", OPEN_DIR);
    for (size_t d = 1; d < depth && fd >= 0; d++) {
        int next = openat(fd, dirs->ways[way[d]].name, OPEN_DIR);
        int why = errno;

        (void)close(fd);
        errno = why;
        fd = next;
    }
    free(way);
    return fd;
}

size_t dir_ways_length(const struct dir_ways *dirs, size_t number)
{
    size_t n = 0;

    for (; number != 0; number = dirs->ways[number].parent)
        n += strlen(dirs->ways[number].name) + 1;
    return n;
}

static void print_escaped(const char *name, FILE *out)
{
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        if (*p < 0x20 || *p >= 0x7f || *p == '\\')
            (void)fprintf(out, "\\x%02x", *p);
        else
            (void)fputc(*p, out);
    }
}

void dir_ways_print(const struct dir_ways *dirs, size_t number, const char *name, FILE *out)
{
    size_t depth = 0;

    for (size_t i = number; i != 0; i = dirs->ways[i].parent)
        depth++;
    for (size_t d = depth; d-- > 0;) {
        size_t at = number;

        for (size_t up = 0; up < d; up++)
            at = dirs->ways[at].parent;
        print_escaped(dirs->ways[at].name, out);
        (void)fputc('/', out);
    }
    print_escaped(name, out);
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

char **dir_names(int fd)
{
    int own = openat(fd, ".", OPEN_DIR);
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    char **names = NULL;
    size_t capacity = 0;
    size_t count = 0;
    struct dirent *e;

    if (dir == NULL) {
        if (own >= 0) (void)close(own);
        return NULL;
    }
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        names = hf_grow_array(names, &capacity, count + 2, sizeof *names);
        assert_non_null(names);
        names[count++] = strdup(e->d_name);
    }
    (void)closedir(dir);
    if (names == NULL) names = calloc(1, sizeof *names);
    assert_non_null(names);
    names[count] = NULL;
    qsort(names, count, sizeof *names, compare_names);
    return names;
}

void dir_names_free(char **names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        free(names[i]);
    free(names);
}

/* Removes what is no directory, and notes what is one. */
static void remove_files(struct dir_ways *dirs, size_t number)
{
    int fd = dir_ways_open(dirs, number);
    char **names = fd < 0 ? NULL : dir_names(fd);

    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (unlinkat(fd, names[i], 0) != 0 && errno == EISDIR)
            (void)dir_ways_add(dirs, number, names[i]);
    }
    dir_names_free(names);
    if (fd >= 0) (void)close(fd);
}

void dir_remove_all(int dir_fd, const char *name)
{
    struct dir_ways dirs;

    if (dir_ways_init(&dirs, dir_fd, name) != 0) {
        (void)unlinkat(dir_fd, name, 0);
        return;
    }
    for (size_t i = 0; i < dirs.count; i++)
        remove_files(&dirs, i);
    for (size_t i = dirs.count; i-- > 1;) {
        int fd = dir_ways_open(&dirs, dirs.ways[i].parent);

        if (fd < 0) continue;
        (void)unlinkat(fd, dirs.ways[i].name, AT_REMOVEDIR);
        (void)close(fd);
    }
    dir_ways_done(&dirs);
    (void)unlinkat(dir_fd, name, AT_REMOVEDIR);
}
