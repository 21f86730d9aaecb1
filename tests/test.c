#include "test.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *test_dir_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;

    if (asprintf(&path, "%s/holdfast-test-XXXXXX", base != NULL ? base : "/tmp") < 0)
        return NULL;
    if (mkdtemp(path) == NULL) {
        free(path);
        return NULL;
    }
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void test_dir_remove(char *path)
{
    if (path != NULL) (void)nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    free(path);
}

uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

void test_random_bytes(uint64_t *state, void *bytes, size_t n)
{
    uint8_t *p = bytes;

    while (n > 0) {
        uint64_t v = test_random(state);
        size_t take = n < sizeof v ? n : sizeof v;

        memcpy(p, &v, take);
        p += take;
        n -= take;
    }
}
