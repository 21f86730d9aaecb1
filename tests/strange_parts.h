/* strange_parts.h - what a strange tree is made of: names, contents, metadata, all drawn
 * from a seed.  What the file system or the caller's rights do not allow is left out. */
#ifndef HOLDFAST_TESTS_STRANGE_PARTS_H
#define HOLDFAST_TESTS_STRANGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct strange_dice {
    uint64_t state; /* of test_random */
    uint64_t theme; /* contents that repeat come from it */
    bool root;
};

struct strange_dice strange_dice_init(uint64_t seed);

/* 0..sides-1 */
size_t strange_throw(struct strange_dice *dice, size_t sides);

/* A name of any bytes that a name may have, different from most others. */
void strange_name(struct strange_dice *dice, char name[static 256]);

/* Makes regular file dir_fd/name with contents of some kind; large: up to some MB.  False:
 * there is something of that name. */
bool strange_file(struct strange_dice *dice, int dir_fd, const char *name, bool large);
/* The same with holes of some shape. */
bool strange_sparse_file(struct strange_dice *dice, int dir_fd, const char *name);
/* That many GiB with next to nothing in them. */
void strange_huge_file(struct strange_dice *dice, int dir_fd, const char *name,
                       unsigned gib);
/* Overwrites n bytes at `at` of an open file with random ones. */
void strange_overwrite(struct strange_dice *dice, int fd, off_t at, size_t n);

/* Makes a symbolic link, FIFO, socket or device; false: there is something of that name. */
bool strange_special(struct strange_dice *dice, int dir_fd, const char *name);

/* Gives dir_fd/name some owner, mode, extended attributes and time.  As somebody else than
 * root what is made unreadable would stay out of a backup, so it stays readable. */
void strange_metadata(struct strange_dice *dice, int dir_fd, const char *name);
void strange_time(struct strange_dice *dice, int dir_fd, const char *name);

#endif
