#include "daemon/inventory.h"

#include "base/alloc.h"
#include "daemon/fragments.h"
#include "dht/lists.h"
#include "erasure/manifest.h"

#include <stdlib.h>

/* ---- records ---- */

struct record_list {
    struct segment_log *log;
    struct damage *damage;
    const struct hf_id *vault;
    struct dht_records records;
    bool damaged; /* one that is here is missing in it */
};

static bool add_record(void *arg, const struct log_key *key, const struct log_info *info)
{
    struct record_list *list = arg;
    uint8_t meta[LOG_META_MAX];
    struct hf_err err;
    size_t n;
    enum hf_code rc = segment_log_meta(list->log, key, meta, &n, &err);

    (void)info;
    if (rc == HF_OK &&
        dht_records_add(&list->records, list->vault, meta, n) == DHT_RECORD_INVALID)
        rc = hf_fail(&err, HF_CORRUPT, "it does not verify");
    if (rc == HF_CORRUPT) damage_found(list->damage, key, err.msg);
    if (rc != HF_OK) list->damaged = true;
    return list->records.count < DHT_SLOTS_MAX;
}

enum hf_code inventory_records(struct segment_log *log, struct damage *damage,
                               const struct hf_id *vault, struct hf_buffer **list,
                               struct hf_err *err)
{
    struct log_key prefix = log_prefix_vault(LOG_RECORD, vault);
    struct record_list *found = hf_alloc_array(1, sizeof *found);
    enum hf_code rc;

    *list = NULL;
    if (found == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for records");
    found->log = log;
    found->damage = damage;
    found->vault = vault;
    rc = segment_log_list(log, &prefix, add_record, found, err);
    if (rc == HF_OK && found->damaged)
        rc = hf_fail(err, HF_INCOMPLETE, "a record is damaged");
    if (rc == HF_OK || rc == HF_INCOMPLETE) {
        *list = dht_records_encode(&found->records);
        if (*list == NULL) rc = hf_fail(err, HF_NO_MEMORY, "no memory for records");
    }
    dht_records_done(&found->records);
    free(found);
    return rc;
}

/* ---- presence ---- */

struct presence_list {
    struct hf_id ids[DHT_PRESENCE_MAX];
    struct dht_presence presence[DHT_PRESENCE_MAX];
    size_t count;
};

/* What is here of one block: its newest fragment that is not known to be damaged. */
static enum hf_code presence_of(struct segment_log *log, struct damage *damage,
                                const struct hf_id *vault, const struct hf_id *block,
                                struct dht_presence *presence, struct hf_err *err)
{
    uint8_t meta[LOG_META_MAX];
    struct manifest manifest;
    struct hf_err ignored;
    struct fragments f;
    enum hf_code rc = fragments_list(log, vault, block, 0, &f, err);

    if (rc == HF_NOT_FOUND) return HF_OK;
    if (rc != HF_OK) return rc;
    for (size_t i = 0; i < f.count; i++) {
        size_t n;

        if (damage_known(damage, &f.keys[i]) ||
            segment_log_meta(log, &f.keys[i], meta, &n, &ignored) != HF_OK ||
            manifest_parse(meta, n, &manifest, &ignored) != HF_OK)
            continue;
        *presence =
            (struct dht_presence){fragment_key_generation(&f.keys[i]), manifest.shape.k,
                                  manifest.shape.n, fragment_key_index(&f.keys[i])};
        return HF_OK;
    }
    return HF_OK;
}

enum hf_code inventory_presence(struct segment_log *log, struct damage *damage,
                                const struct hf_id *vault, const struct hf_buffer *ids,
                                struct hf_buffer **list, struct hf_err *err)
{
    struct presence_list *found = hf_alloc_array(1, sizeof *found);
    bool incomplete = false;
    enum hf_code rc = HF_OK;

    *list = NULL;
    if (found == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for a list");
    if (!dht_ids_parse(ids, found->ids, &found->count))
        rc = hf_fail(err, HF_CORRUPT, "a list of blocks that does not parse");
    for (size_t i = 0; rc == HF_OK && i < found->count; i++) {
        rc = presence_of(log, damage, vault, &found->ids[i], &found->presence[i], err);
        if (rc != HF_INCOMPLETE) continue;
        incomplete = true;
        rc = HF_OK;
    }
    if (rc == HF_OK) {
        *list = dht_presence_encode(found->presence, found->count);
        if (*list == NULL) rc = hf_fail(err, HF_NO_MEMORY, "no memory for a list");
    }
    free(found);
    return rc == HF_OK && incomplete ? HF_INCOMPLETE : rc;
}
