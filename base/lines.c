#include "base/lines.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP 65536u

/* All of the stream with a NUL behind it. */
static enum hf_code read_all(FILE *f, size_t max_bytes, char **text, size_t *size,
                             struct hf_err *err)
{
    size_t capacity = 0;

    for (;;) {
        char *grown = hf_grow_array(*text, &capacity, *size + STEP + 1, 1);
        size_t n;

        if (grown == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
        *text = grown;
        n = fread(grown + *size, 1, STEP, f);
        *size += n;
        grown[*size] = '\0';
        if (*size > max_bytes)
            return hf_fail(err, HF_TOO_LARGE, "more than %zu bytes", max_bytes);
        if (n == STEP) continue;
        if (ferror(f)) return hf_fail_errno(err, errno, "read");
        return HF_OK;
    }
}

/* Cuts text[from..size) into lines; the last one may have no newline. */
static enum hf_code cut(struct hf_lines *lines, size_t from, size_t size,
                        struct hf_err *err)
{
    size_t count = 1;

    for (size_t i = from; i < size; i++)
        count += lines->text[i] == '\n' ? 1 : 0;
    lines->lines = hf_alloc_array(count, sizeof(char *));
    if (lines->lines == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    for (char *at = lines->text + from, *end = lines->text + size; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));

        if (stop == NULL) stop = end;
        *stop = '\0';
        if (stop > at && stop < end && stop[-1] == '\r') stop[-1] = '\0';
        lines->lines[lines->count++] = at;
        at = stop + 1;
    }
    return HF_OK;
}

enum hf_code hf_lines_load(const char *path, size_t max_bytes, struct hf_lines *lines,
                           struct hf_err *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    size_t size = 0;
    size_t from = 0;
    enum hf_code rc;

    memset(lines, 0, sizeof *lines);
    if (f == NULL) return hf_fail_errno(err, errno, "%s", path);
    rc = read_all(f, max_bytes, &lines->text, &size, err);
    if (rc == HF_OK && memchr(lines->text, '\0', size) != NULL)
        rc = hf_fail(err, HF_INVALID, "not a text file: it holds a NUL byte");
    if (rc == HF_OK && size >= 3 && memcmp(lines->text, mark, 3) == 0) from = 3;
    if (rc == HF_OK) rc = cut(lines, from, size, err);
    if (!is_stdin) (void)fclose(f);
    if (rc == HF_OK) return HF_OK;
    hf_lines_done(lines);
    return hf_prefix(err, "%s", is_stdin ? "stdin" : path);
}

void hf_lines_done(struct hf_lines *lines)
{
    free(lines->lines);
    free(lines->text);
    memset(lines, 0, sizeof *lines);
}
