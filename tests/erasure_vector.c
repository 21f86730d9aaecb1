#include "erasure_vector.h"

#include "test.h"

#include "base/id.h"

#include <ctype.h>
#include <stdio.h>

void vector_check(const char *path, const void *bytes, size_t n)
{
    char *hex = malloc(2 * n + 1);
    FILE *f = fopen(path, "rbe");
    size_t at = 0;
    int c;

    assert_non_null(hex);
    hf_hex_encode(bytes, n, hex);
    if (f == NULL) {
        (void)fprintf(stderr, "%s is missing; it would hold: %s\n", path, hex);
        free(hex);
        fail();
        return;
    }
    while ((c = fgetc(f)) != EOF) {
        if (isspace(c)) continue;
        if (at >= 2 * n || c != hex[at]) {
            print_error("%s differs at digit %zu; what was written now: %s\n", path, at,
                        hex);
            at = SIZE_MAX;
            break;
        }
        at++;
    }
    (void)fclose(f);
    free(hex);
    assert_int_equal(at, 2 * n);
}
