#include "membership/invitations.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define VERSION         1u
#define INVITATION_MIN  40u
#define INVITATION_SIZE (64u + INVITATION_USES_MAX * (HF_PUBLIC_KEY_SIZE + 2u))
#define FILE_MAX        (INVITATIONS_MAX * INVITATION_SIZE + 32u)

/* Stewards remember for this long past its expiry whom a code served, so that a machine
 * whose answer was lost is told the truth. */
#define KEPT_S (INT64_C(7) * 24 * 3600)

enum table_key { TABLE_INVITATIONS = 2 };

struct invitation {
    struct hf_id key;
    int64_t expires_s;
    unsigned uses_left;
    struct hf_public_key served[INVITATION_USES_MAX];
    size_t served_count;
};

struct invitations {
    struct hf_files *files;
    int dir_fd;
    size_t count;
    struct invitation entries[INVITATIONS_MAX];
};

/* ---- the file ---- */

static void invitation_put(struct hf_writer *w, const struct invitation *invitation)
{
    hf_put_array(w, 4);
    hf_put_id(w, &invitation->key);
    hf_put_int(w, invitation->expires_s);
    hf_put_uint(w, invitation->uses_left);
    hf_put_array(w, invitation->served_count);
    for (size_t i = 0; i < invitation->served_count; i++)
        hf_put_bytes(w, invitation->served[i].b, HF_PUBLIC_KEY_SIZE);
}

static void invitation_get(struct hf_reader *r, struct invitation *invitation)
{
    if (hf_get_array(r, 4, 1) != 4) hf_reader_fail(r);
    hf_get_id(r, &invitation->key);
    invitation->expires_s = hf_get_int(r);
    invitation->uses_left = (unsigned)hf_get_uint(r, INVITATION_USES_MAX);
    invitation->served_count = hf_get_array(r, INVITATION_USES_MAX, HF_PUBLIC_KEY_SIZE);
    for (size_t i = 0; i < invitation->served_count; i++)
        hf_get_fixed(r, invitation->served[i].b, HF_PUBLIC_KEY_SIZE);
    if (invitation->served_count + invitation->uses_left > INVITATION_USES_MAX)
        hf_reader_fail(r);
}

static enum hf_code save(const struct invitations *table, struct hf_err *err)
{
    uint8_t *bytes = malloc(FILE_MAX);
    struct hf_writer w = hf_writer_init(bytes, FILE_MAX);
    enum hf_code rc;

    if (bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "invitations");
    hf_put_header(&w, 1, HF_TYPE_INVITATIONS, VERSION);
    hf_put_key(&w, TABLE_INVITATIONS);
    hf_put_array(&w, table->count);
    for (size_t i = 0; i < table->count; i++)
        invitation_put(&w, &table->entries[i]);
    rc = hf_file_replace(table->files, table->dir_fd, INVITATIONS_FILE, bytes,
                         hf_writer_size(&w), 0600, err);
    hf_wipe(bytes, hf_writer_size(&w));
    free(bytes);
    return rc;
}

static enum hf_code parse(struct invitations *table, const uint8_t *bytes, size_t n,
                          struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 8, HF_TYPE_INVITATIONS, VERSION);
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        if (key != TABLE_INVITATIONS) {
            hf_map_other(&r, key);
            continue;
        }
        table->count = hf_get_array(&r, INVITATIONS_MAX, INVITATION_MIN);
        for (size_t i = 0; i < table->count; i++)
            invitation_get(&r, &table->entries[i]);
    }
    hf_map_require(&r, &m, 1u << TABLE_INVITATIONS);
    if (hf_reader_done(&r)) return HF_OK;
    return hf_fail(err, HF_CORRUPT, "%s: does not parse", INVITATIONS_FILE);
}

enum hf_code invitations_open(struct hf_files *files, int dir_fd, struct invitations **out,
                              struct hf_err *err)
{
    struct invitations *table = calloc(1, sizeof *table);
    uint8_t *bytes = malloc(FILE_MAX);
    enum hf_code rc = HF_OK;
    size_t n;

    *out = NULL;
    if (table == NULL || bytes == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "invitations");
        goto out;
    }
    table->files = files;
    table->dir_fd = dir_fd;
    rc = hf_file_load_private(files, dir_fd, INVITATIONS_FILE, bytes, FILE_MAX, &n, err);
    if (rc == HF_NOT_FOUND)
        rc = HF_OK;
    else if (rc == HF_OK) {
        rc = parse(table, bytes, n, err);
        hf_wipe(bytes, n);
    }
    if (rc == HF_OK) {
        *out = table;
        table = NULL;
    }
out:
    free(bytes);
    invitations_close(table);
    return rc;
}

void invitations_close(struct invitations *table)
{
    if (table == NULL) return;
    hf_wipe(table->entries, sizeof table->entries);
    free(table);
}

/* ---- giving out and redeeming ---- */

static void forget_expired(struct invitations *table, int64_t now_s)
{
    size_t kept = 0;

    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].expires_s < now_s - KEPT_S) continue;
        if (kept != i) table->entries[kept] = table->entries[i];
        kept++;
    }
    table->count = kept;
}

enum hf_code invitations_add(struct invitations *table,
                             const struct invitation_terms *terms,
                             uint8_t secret[static INVITATION_SECRET_SIZE],
                             struct hf_err *err)
{
    struct invitation *entry;
    enum hf_code rc;

    if (terms->uses < 1 || terms->uses > INVITATION_USES_MAX)
        return hf_fail(err, HF_INVALID, "invitation: uses must be 1 to %u",
                       INVITATION_USES_MAX);
    if (terms->expires_s <= terms->now_s)
        return hf_fail(err, HF_INVALID, "invitation: it would expire at once");
    forget_expired(table, terms->now_s);
    if (table->count == INVITATIONS_MAX)
        return hf_fail(err, HF_NO_SPACE, "invitation: %u are open; wait until one expires",
                       INVITATIONS_MAX);
    hf_random(secret, INVITATION_SECRET_SIZE);
    entry = &table->entries[table->count++];
    memset(entry, 0, sizeof *entry);
    invitation_key(secret, &entry->key);
    entry->expires_s = terms->expires_s;
    entry->uses_left = terms->uses;
    rc = save(table, err);
    if (rc != HF_OK) table->count--;
    return rc;
}

static void proof_of(const struct hf_id *key, const struct hf_public_key *joiner,
                     const struct hf_public_key *steward, struct hf_id *proof)
{
    static const char label[8] = "hf1/join"; /* no NUL */
    uint8_t bytes[sizeof label + HF_PUBLIC_KEY_SIZE + HF_PUBLIC_KEY_SIZE];

    memcpy(bytes, label, sizeof label);
    memcpy(bytes + sizeof label, joiner->b, HF_PUBLIC_KEY_SIZE);
    memcpy(bytes + sizeof label + HF_PUBLIC_KEY_SIZE, steward->b, HF_PUBLIC_KEY_SIZE);
    hf_hmac_sha256(key->b, bytes, sizeof bytes, proof);
}

void invitation_prove(const uint8_t secret[static INVITATION_SECRET_SIZE],
                      const struct hf_public_key *joiner,
                      const struct hf_public_key *steward, struct hf_id *proof)
{
    struct hf_id key;

    invitation_key(secret, &key);
    proof_of(&key, joiner, steward, proof);
    hf_wipe(&key, sizeof key);
}

static bool was_served(const struct invitation *invitation,
                       const struct hf_public_key *joiner)
{
    for (size_t i = 0; i < invitation->served_count; i++) {
        if (memcmp(invitation->served[i].b, joiner->b, HF_PUBLIC_KEY_SIZE) == 0)
            return true;
    }
    return false;
}

enum hf_code invitations_redeem(struct invitations *table,
                                const struct invitation_claim *claim, int64_t now_s,
                                bool *again, struct hf_err *err)
{
    struct invitation *entry = NULL;
    enum hf_code rc;

    *again = false;
    for (size_t i = 0; i < table->count; i++) {
        struct hf_id expected;

        proof_of(&table->entries[i].key, claim->joiner, claim->steward, &expected);
        if (hf_equal_ct(expected.b, claim->proof->b, HF_ID_SIZE))
            entry = &table->entries[i];
    }
    if (entry == NULL)
        return hf_fail(err, HF_DENIED, "no such invitation was given out here");
    if (now_s > entry->expires_s)
        return hf_fail(err, HF_TIMED_OUT, "the invitation has expired; ask for a new one");
    *again = was_served(entry, claim->joiner);
    if (*again) return HF_OK;
    if (entry->uses_left == 0)
        return hf_fail(err, HF_NO_SPACE,
                       "the invitation has been used already; ask for a new one");
    entry->uses_left--;
    entry->served[entry->served_count++] = *claim->joiner;
    rc = save(table, err);
    if (rc == HF_OK) return HF_OK;
    entry->served_count--;
    entry->uses_left++;
    return rc;
}
