/* content.h - where the bytes of a benchmark's corpus come from: a seeded generator, lists
 * of names, whole files.
 *
 * One thread.  Any failure ends the program with a message: half a corpus must not be
 * measured. */
#ifndef HOLDFAST_BENCH_CONTENT_H
#define HOLDFAST_BENCH_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Not cryptographic, and the same everywhere for the same seed. */
void draw_seed(uint64_t seed);
uint64_t draw(void);
size_t draw_below(size_t bound); /* 0..bound-1; bound at least 1 */
void draw_bytes(uint8_t *out, size_t n);

struct names {
    char **name; /* on the heap, until the program ends */
    size_t count;
};

/* Those on standard input, a zero byte after each; at least one. */
struct names names_read(void);

/* The regular files below dir, in an order that the file system has no say in; at least
 * one. */
struct names names_below(char *dir);

struct content {
    uint8_t *bytes; /* on the heap; whoever holds the struct frees it */
    size_t size;
    mode_t mode;
};

/* A whole file; false, and nothing to free, when it is not a readable regular file. */
bool content_read(const char *name, struct content *content);

/* Makes or replaces a file. */
void content_write(const char *name, const struct content *content);

/* Changes a byte of every 8 KiB: no chunk is then a chunk of the original, and it
 * compresses as well. */
void content_vary(struct content *content);

/* Up to n bytes from a random page of a random named file on; at least one. */
size_t content_borrow(const struct names *names, uint8_t *out, size_t n);

/* p, which is not NULL. */
void *need(void *p);

/* a and b in one string, which the caller frees. */
char *joined(const char *a, const char *b);

/* Up to n bytes from an offset on; fewer only at the end of the file. */
size_t read_at(int fd, uint8_t *out, size_t n, off_t at, const char *name);

void write_all(int fd, const uint8_t *bytes, size_t n, const char *name);

#endif
