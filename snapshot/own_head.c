#include "snapshot/own_head.h"

#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    uint8_t b[HF_RECORD_MAX];
    size_t n; /* 0: none */
    struct hf_record record;
};

static void file_name(const struct vault_keys *keys, char name[static 32])
{
    char hex[HF_ID_HEX_SIZE];

    (void)snprintf(name, 32, "head-%.16s", hf_id_hex(&keys->vault, hex));
}

static enum hf_code load(int state_fd, const struct vault_keys *keys,
                         const struct hf_id *host, struct bytes *own, struct hf_err *err)
{
    char name[32];
    enum hf_code rc;

    file_name(keys, name);
    rc = hf_file_load(hf_files_system(), state_fd, name, own->b, sizeof own->b, &own->n,
                      err);
    if (rc == HF_NOT_FOUND) {
        own->n = 0;
        return HF_OK;
    }
    if (rc == HF_OK) rc = hf_record_parse(own->b, own->n, &own->record, err);
    if (rc == HF_OK && !hf_id_equal(&own->record.host, host))
        own->n = 0;         /* another host's */
    if (rc == HF_CORRUPT) { /* the store has it too */
        hf_log(HF_LOG_WARN, "head", "%s is damaged and not used: %s", name, err->msg);
        own->n = 0;
        rc = HF_OK;
    }
    return rc;
}

struct wanted {
    const struct hf_id *host;
    struct bytes *found;
};

static void take(void *arg, const uint8_t *record, size_t n)
{
    struct wanted *w = arg;
    struct hf_record parsed;
    struct hf_err err;

    if (n > HF_RECORD_MAX || hf_record_parse(record, n, &parsed, &err) != HF_OK) return;
    if (!hf_id_equal(&parsed.host, w->host)) return;
    memcpy(w->found->b, record, n);
    w->found->n = n;
    w->found->record = parsed;
}

/* The store knows nothing of this host, and we know of a head: it is not the store that it
 * was.  Beginning anew is for a human to decide. */
static enum hf_code store_replaced(const struct vault_keys *keys, struct hf_err *err)
{
    char name[32];

    file_name(keys, name);
    return hf_fail(err, HF_NOT_FOUND,
                   "the store has lost this host's snapshots, or is another one; bring the "
                   "old one back, or remove %s from the state directory to begin anew",
                   name);
}

enum hf_code own_head_open(struct block_store *store, struct fetcher *fetcher,
                           const struct vault *vault, const struct vault_keys *keys,
                           int state_fd, struct catalog *catalog, struct hf_err *err)
{
    struct bytes *own = calloc(1, sizeof *own);
    struct bytes *stored = calloc(1, sizeof *stored);
    struct wanted wanted = {&vault->host, stored};
    struct bytes *newest;
    enum hf_code rc;

    memset(catalog, 0, sizeof *catalog);
    if (own == NULL || stored == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "head: out of memory");
        goto out;
    }
    rc = load(state_fd, keys, &vault->host, own, err);
    if (rc == HF_OK) rc = block_store_get_records(store, take, &wanted, err);
    /* Too few holders answered: with a head of our own on disk nothing can be missed, and
     * without one this host has never finished a backup. */
    if (rc == HF_INCOMPLETE) rc = HF_OK;
    if (rc != HF_OK) goto out;
    newest = stored;
    if (own->n > 0 &&
        (stored->n == 0 || hf_record_compare(&own->record, &stored->record) > 0))
        newest = own;
    if (newest->n > 0) {
        rc = catalog_read(fetcher, keys, newest->b, newest->n, catalog, err);
        if (rc == HF_NOT_FOUND && stored->n == 0) rc = store_replaced(keys, err);
    } else {
        catalog->host = vault->host;
        catalog->incarnation = vault->incarnation;
    }
    /* Only a head whose catalog is there: another store must not be given it. */
    if (rc == HF_OK && newest == own)
        rc = block_store_put_record(store, own->b, own->n, err);
    if (rc != HF_OK) catalog_done(catalog);
out:
    free(own);
    free(stored);
    return rc;
}

enum hf_code own_head_write(struct block_store *store, int state_fd,
                            const struct vault_keys *keys, const uint8_t *record, size_t n,
                            struct hf_err *err)
{
    char name[32];
    enum hf_code rc;

    file_name(keys, name);
    rc = hf_file_replace(hf_files_system(), state_fd, name, record, n, 0600, err);
    return rc == HF_OK ? block_store_put_record(store, record, n, err) : rc;
}
