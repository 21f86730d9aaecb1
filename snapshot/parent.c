#include "snapshot/parent.h"

#include "base/log.h"

#include <string.h>

#define TRIES_MAX 16u /* snapshots of other paths that are looked through */

static bool same_paths(const struct snapshot *a, const struct snapshot *b)
{
    if (a->path_count != b->path_count) return false;
    for (size_t i = 0; i < a->path_count; i++) {
        if (strcmp(a->paths[i], b->paths[i]) != 0) return false;
    }
    return true;
}

bool parent_find(struct fetcher *fetcher, const struct catalog *catalog,
                 const struct snapshot *like, struct snapshot *parent)
{
    bool found = false;

    memset(parent, 0, sizeof *parent);
    for (size_t i = 0; i < TRIES_MAX && i < catalog->count; i++) {
        struct snapshot s;
        struct hf_err err;

        if (snapshot_read(fetcher, &catalog->entries[catalog->count - 1 - i], &s, &err) !=
            HF_OK) {
            hf_log(HF_LOG_WARN, "backup", "an earlier snapshot cannot be read: %s",
                   err.msg);
            continue;
        }
        if (found && !same_paths(&s, like)) {
            snapshot_done(&s);
            continue;
        }
        snapshot_done(parent);
        *parent = s;
        found = true;
        if (same_paths(&s, like)) break;
    }
    return found;
}

enum hf_code parent_catalog(struct block_store *store, struct fetcher *fetcher,
                            const struct vault_keys *keys, const struct hf_id *host,
                            struct catalog *catalog, struct hf_err *err)
{
    struct vault_view view;
    enum hf_code rc = vault_view_read(store, fetcher, keys, &view, err);

    memset(catalog, 0, sizeof *catalog);
    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < view.host_count; i++) {
        if (!hf_id_equal(&view.hosts[i].host, host)) continue;
        *catalog = view.hosts[i]; /* taken out of the view */
        memset(&view.hosts[i], 0, sizeof view.hosts[i]);
    }
    vault_view_done(&view);
    return HF_OK;
}
