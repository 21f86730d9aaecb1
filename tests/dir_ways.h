/* dir_ways.h - directories by their way from a root, one name at a time: for trees deeper
 * than a path may be long, and names of any bytes.  Few files are open at a time. */
#ifndef HOLDFAST_TESTS_DIR_WAYS_H
#define HOLDFAST_TESTS_DIR_WAYS_H

#include <stddef.h>
#include <stdio.h>

struct dir_way {
    size_t parent; /* number of the directory that holds it */
    char *name;
};

/* Number 0 is the root; the others come after their parents. */
struct dir_ways {
    int root_fd; /* owned */
    struct dir_way *ways;
    size_t count, capacity;
};

/* The tree at dir_fd/path; -1, with errno: it cannot be opened (then nothing is held). */
int dir_ways_init(struct dir_ways *dirs, int dir_fd, const char *path);
void dir_ways_done(struct dir_ways *dirs);

/* Notes directory `name` of directory `parent`, and returns its number. */
size_t dir_ways_add(struct dir_ways *dirs, size_t parent, const char *name);

/* Opens one; links are not followed.  -1 with errno: it is not there any more. */
int dir_ways_open(const struct dir_ways *dirs, size_t number);

/* The length of the path from the root. */
size_t dir_ways_length(const struct dir_ways *dirs, size_t number);

/* Prints the path from the root of `name` in directory `number`, escaped as in C. */
void dir_ways_print(const struct dir_ways *dirs, size_t number, const char *name,
                    FILE *out);

/* The names in an open directory, sorted as bytes, ended by NULL; released by
 * dir_names_free.  NULL with errno: it cannot be read. */
char **dir_names(int fd);
void dir_names_free(char **names);

/* Removes dir_fd/name with all that is in it, as far as that goes. */
void dir_remove_all(int dir_fd, const char *name);

#endif
