/* Patterns: any text is compiled or refused, and matching ends.  A path with every byte
 * escaped is a pattern that matches this path. */
#include "snapshot/patterns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void match_itself(const char *path)
{
    struct pattern_set *set = pattern_set_new();
    char pattern[2 * 512 + 2] = "/";
    size_t at = 1;
    struct hf_err err;

    path += strspn(path, "/");
    if (set == NULL) abort();
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] != '/') pattern[at++] = '\\';
        pattern[at++] = path[i];
    }
    pattern[at] = '\0';
    if (*path != '\0' && strstr(path, "//") == NULL && path[strlen(path) - 1] != '/' &&
        (pattern_set_add(set, pattern, 0, "fuzz", &err) != HF_OK ||
         pattern_set_match(set, path, false) != PATTERN_EXCLUDE))
        abort();
    pattern_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pattern_set *set = pattern_set_new();
    char text[512]; /* lines: the path, then patterns */
    char *save = NULL;
    char *path;
    struct hf_err err;

    if (set == NULL) abort();
    if (n < sizeof text) {
        memcpy(text, bytes, n);
        text[n] = '\0';
        path = strtok_r(text, "\n", &save);
        for (char *p; path != NULL && (p = strtok_r(NULL, "\n", &save)) != NULL;)
            (void)(pattern_set_add(set, p, strlen(p) & PATTERN_NO_CASE, "fuzz", &err) ==
                   HF_OK);
        if (path != NULL) {
            match_itself(path);
            (void)pattern_set_match(set, path, true);
            (void)pattern_set_match(set, path, false);
        }
    }
    pattern_set_free(set);
    return 0;
}
