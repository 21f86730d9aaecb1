#include "snapshot/restore_select.h"

#include <stdlib.h>
#include <string.h>

enum restore_selected restore_select(const struct restore_options *options,
                                     const char *path, bool is_dir, bool taken)
{
    enum pattern_verdict verdict;

    if (pattern_set_match(options->exclude, path, is_dir) == PATTERN_EXCLUDE)
        return RESTORE_OUT;
    verdict = pattern_set_match(options->include, path, is_dir);
    if (verdict == PATTERN_EXCLUDE || (verdict == PATTERN_NONE && taken)) return RESTORE_IN;
    return is_dir ? RESTORE_THROUGH : RESTORE_OUT;
}

enum restore_selected restore_select_top(const struct restore_options *options,
                                         const char *path)
{
    enum restore_selected found = options->include == NULL ? RESTORE_IN : RESTORE_THROUGH;
    char *part = strdup(path);

    for (size_t i = 1; part != NULL && i <= strlen(path) && found != RESTORE_OUT; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        part[i] = '\0';
        found = restore_select(options, part, true, found == RESTORE_IN);
        part[i] = path[i];
    }
    free(part);
    return found;
}
