#include "snapshot/lookup.h"

#include <string.h>

enum hf_code lookup_path(struct fetcher *fetcher, const struct stream_root *root,
                         const char *path, struct lookup *lookup, struct hf_err *err)
{
    const char *rest = path;
    enum hf_code rc = HF_OK;

    memset(lookup, 0, sizeof *lookup);
    lookup->dir = *root;
    while (rc == HF_OK) {
        struct tree_reader *reader;
        size_t n;

        rest += strspn(rest, "/");
        n = strcspn(rest, "/");
        if (n == 0) return HF_OK;
        if (lookup->entry != NULL && lookup->entry->type != TREE_DIR) {
            rc = hf_fail(err, HF_NOT_FOUND, "not a directory");
            break;
        }
        reader = tree_reader_new(fetcher, &lookup->dir);
        tree_reader_free(lookup->reader);
        lookup->reader = reader;
        lookup->entry = NULL;
        if (reader == NULL)
            rc = hf_fail(err, HF_NO_MEMORY, "out of memory");
        else
            rc = tree_find(reader, rest, n, &lookup->entry, err);
        if (rc == HF_OK && lookup->entry->type == TREE_DIR)
            lookup->dir = lookup->entry->stream;
        rest += n;
    }
    lookup_done(lookup);
    return hf_prefix(err, "%s", path);
}

void lookup_done(struct lookup *lookup)
{
    tree_reader_free(lookup->reader);
    memset(lookup, 0, sizeof *lookup);
}
