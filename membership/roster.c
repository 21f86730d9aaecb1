#include "membership/roster.h"

#include "base/alloc.h"
#include "base/cbor.h"
#include "base/hash.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define ROSTER_VERSION 1u
#define SET_HEAD_MAX   16u /* map, type, version, key, array head */
#define FACT_HEAD_MAX  3u  /* of the byte string that holds a fact */
#define FACT_SIZE_MIN  80u /* a signature and something signed */

enum roster_key { ROSTER_FACTS = 2 };

enum fact_kind { FACT_CERTIFICATE, FACT_REVOCATION, FACT_ANNOUNCEMENT, FACT_KINDS };

/* One fact as it was signed.  bytes == NULL: not known. */
struct fact {
    uint8_t *bytes;
    size_t size;
    struct hf_id hash;
    uint64_t version;
    uint64_t revision; /* of the roster when it was taken */
};

struct entry {
    struct roster_member member;
    uint64_t revoked_serial;
    struct fact facts[FACT_KINDS];
};

struct roster {
    struct hf_public_key authority;
    struct fact ring;
    struct ring_parameters parameters; /* parsed from it */
    struct entry **entries;            /* in ascending order of node id */
    size_t count, capacity;
    uint64_t revision;
};

struct roster *roster_new(const struct hf_public_key *authority)
{
    struct roster *roster = calloc(1, sizeof *roster);

    if (roster != NULL) roster->authority = *authority;
    return roster;
}

static void entry_free(struct entry *entry)
{
    if (entry == NULL) return;
    for (size_t kind = 0; kind < FACT_KINDS; kind++)
        free(entry->facts[kind].bytes);
    free(entry);
}

void roster_free(struct roster *roster)
{
    if (roster == NULL) return;
    for (size_t i = 0; i < roster->count; i++)
        entry_free(roster->entries[i]);
    free(roster->entries);
    free(roster->ring.bytes);
    free(roster);
}

/* ---- finding ---- */

/* Index of the first entry at or after node. */
static size_t lower_bound(const struct roster *roster, const struct hf_id *node)
{
    size_t low = 0;
    size_t high = roster->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&roster->entries[middle]->member.certificate.id, node) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *find_entry(const struct roster *roster, const struct hf_id *node)
{
    const size_t at = lower_bound(roster, node);

    if (at == roster->count ||
        !hf_id_equal(&roster->entries[at]->member.certificate.id, node))
        return NULL;
    return roster->entries[at];
}

size_t roster_count(const struct roster *roster)
{
    return roster->count;
}

uint64_t roster_revision(const struct roster *roster)
{
    return roster->revision;
}

const struct roster_member *roster_at(const struct roster *roster, size_t index)
{
    return &roster->entries[index]->member;
}

const struct roster_member *roster_find(const struct roster *roster,
                                        const struct hf_id *node)
{
    const struct entry *entry = find_entry(roster, node);

    return entry == NULL ? NULL : &entry->member;
}

const struct roster_member *roster_find_key(const struct roster *roster,
                                            const struct hf_public_key *key)
{
    const struct roster_member *found = NULL;

    /* A key may have been admitted twice, by two stewards: the one not evicted counts,
     * and of several the first, on every machine the same. */
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *member = &roster->entries[i]->member;

        if (memcmp(member->certificate.key.b, key->b, HF_PUBLIC_KEY_SIZE) != 0) continue;
        if (found == NULL || (found->evicted && !member->evicted)) found = member;
    }
    return found;
}

const uint8_t *roster_certificate(const struct roster *roster, const struct hf_id *node,
                                  size_t *n)
{
    const struct entry *entry = find_entry(roster, node);

    *n = entry == NULL ? 0 : entry->facts[FACT_CERTIFICATE].size;
    return entry == NULL ? NULL : entry->facts[FACT_CERTIFICATE].bytes;
}

/* ---- adding ---- */

/* NULL: *err says why. */
static struct entry *entry_insert(struct roster *roster, const struct hf_id *node,
                                  struct hf_err *err)
{
    const size_t at = lower_bound(roster, node);
    struct entry *entry = NULL;
    struct entry **grown;

    if (roster->count >= ROSTER_MEMBERS_MAX) {
        (void)hf_fail(err, HF_TOO_LARGE, "roster: more than %u members",
                      ROSTER_MEMBERS_MAX);
        return NULL;
    }
    grown = hf_grow_array(roster->entries, &roster->capacity, roster->count + 1,
                          sizeof(struct entry *));
    if (grown != NULL) {
        roster->entries = grown;
        entry = calloc(1, sizeof *entry);
    }
    if (entry == NULL) {
        (void)hf_fail(err, HF_NO_MEMORY, "roster");
        return NULL;
    }
    entry->member.certificate.id = *node;
    memmove(&roster->entries[at + 1], &roster->entries[at],
            (roster->count - at) * sizeof(struct entry *));
    roster->entries[at] = entry;
    roster->count++;
    return entry;
}

/* Parsed forms of one fact; the one of its type is set. */
struct parsed {
    struct certificate certificate;
    struct revocation revocation;
    struct announcement announcement;
};

/* `key` is the member's, for what it signs itself. */
static enum hf_code verify_fact(const struct roster *roster,
                                const struct hf_public_key *key, uint32_t type,
                                const struct fact *fact, struct parsed *parsed,
                                struct hf_err *err)
{
    if (type == HF_TYPE_CERTIFICATE)
        return certificate_parse(fact->bytes, fact->size, &roster->authority,
                                 &parsed->certificate, err);
    if (type == HF_TYPE_REVOCATION)
        return revocation_parse(fact->bytes, fact->size, &roster->authority,
                                &parsed->revocation, err);
    return announcement_parse(fact->bytes, fact->size, key, &parsed->announcement, err);
}

static enum fact_kind kind_of(uint32_t type)
{
    if (type == HF_TYPE_CERTIFICATE) return FACT_CERTIFICATE;
    return type == HF_TYPE_REVOCATION ? FACT_REVOCATION : FACT_ANNOUNCEMENT;
}

/* Which of two facts of a kind counts. */
static bool is_newer(const struct fact *had, uint64_t version, const struct hf_id *hash)
{
    if (had->bytes == NULL) return true;
    if (version != had->version) return version > had->version;
    return hf_id_compare(hash, &had->hash) > 0;
}

static void member_update(struct entry *entry, enum fact_kind kind,
                          const struct parsed *parsed)
{
    struct roster_member *member = &entry->member;

    if (kind == FACT_CERTIFICATE) member->certificate = parsed->certificate;
    if (kind == FACT_REVOCATION) entry->revoked_serial = parsed->revocation.serial;
    if (kind == FACT_ANNOUNCEMENT) {
        member->announcement = parsed->announcement;
        member->announced = true;
    }
    member->evicted = entry->facts[FACT_REVOCATION].bytes != NULL &&
                      entry->revoked_serial >= member->certificate.serial;
}

/* Verifies a fact that would be news, and takes it: fact->bytes is then the roster's.
 * False: it was not taken, *err says why. */
static bool take(struct roster *roster, struct entry *entry, const struct fact_peek *peek,
                 struct fact *fact, struct hf_err *err)
{
    const enum fact_kind kind = kind_of(peek->type);
    const struct hf_public_key *key = entry == NULL ? NULL : &entry->member.certificate.key;
    struct parsed parsed;

    if (verify_fact(roster, key, peek->type, fact, &parsed, err) != HF_OK) return false;
    if (entry == NULL) entry = entry_insert(roster, &peek->node, err);
    if (entry == NULL) return false;
    free(entry->facts[kind].bytes);
    fact->revision = ++roster->revision;
    entry->facts[kind] = *fact;
    member_update(entry, kind, &parsed);
    return true;
}

/* As take, for the ring's own parameters. */
static bool take_ring(struct roster *roster, struct fact *fact, struct hf_err *err)
{
    struct ring_parameters parameters;
    struct hf_id fingerprint;

    authority_fingerprint(&roster->authority, &fingerprint);
    if (ring_parameters_parse(fact->bytes, fact->size, &fingerprint, &parameters, err) !=
        HF_OK)
        return false;
    free(roster->ring.bytes);
    fact->revision = ++roster->revision;
    roster->ring = *fact;
    roster->parameters = parameters;
    return true;
}

enum hf_code roster_add(struct roster *roster, const void *bytes, size_t n, bool *news,
                        struct hf_err *err)
{
    struct fact fact = {.size = n};
    const struct fact *had = NULL;
    struct entry *entry = NULL;
    struct fact_peek peek;

    *news = false;
    if (!fact_peek(bytes, n, &peek))
        return hf_fail(err, HF_CORRUPT, "roster: a fact of %zu bytes does not parse", n);
    hf_sha256(bytes, n, &fact.hash);
    fact.version = peek.version;
    if (peek.type == HF_TYPE_RING) {
        had = &roster->ring;
    } else {
        entry = find_entry(roster, &peek.node);
        if (entry != NULL) had = &entry->facts[kind_of(peek.type)];
    }
    /* What is not news needs no verifying: this is what makes gossip cheap. */
    if (had != NULL && !is_newer(had, fact.version, &fact.hash)) return HF_OK;
    if (had == NULL && peek.type != HF_TYPE_CERTIFICATE)
        return hf_fail(err, HF_NOT_FOUND, "roster: a fact of a node without certificate");
    fact.bytes = malloc(n);
    if (fact.bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "roster");
    memcpy(fact.bytes, bytes, n);
    *news = peek.type == HF_TYPE_RING ? take_ring(roster, &fact, err)
                                      : take(roster, entry, &peek, &fact, err);
    if (*news) return HF_OK;
    free(fact.bytes);
    return err->code;
}

enum hf_code roster_merge(struct roster *roster, const void *bytes, size_t n,
                          struct roster_merge *merge, struct hf_err *err)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 8, HF_TYPE_ROSTER, ROSTER_VERSION);
    int64_t key;

    memset(merge, 0, sizeof *merge);
    while (hf_map_next(&r, &m, &key)) {
        uint32_t count;

        if (key != ROSTER_FACTS) {
            hf_map_other(&r, key);
            continue;
        }
        count = hf_get_array(&r, 3 * ROSTER_MEMBERS_MAX + 1, FACT_SIZE_MIN);
        for (uint32_t i = 0; i < count && hf_reader_ok(&r); i++) {
            size_t size;
            const uint8_t *fact = hf_get_bytes(&r, FACT_SIZE_MAX, &size);
            enum hf_code rc;
            bool news;

            if (fact == NULL) break;
            rc = roster_add(roster, fact, size, &news, err);
            if (rc == HF_NO_MEMORY || rc == HF_TOO_LARGE) return rc;
            merge->rejected += rc != HF_OK;
            merge->known += rc == HF_OK && !news;
            merge->added += rc == HF_OK && news;
        }
    }
    hf_map_require(&r, &m, UINT64_C(1) << ROSTER_FACTS);
    if (!hf_reader_done(&r))
        return hf_fail(err, HF_CORRUPT, "roster: %zu bytes do not parse", n);
    return HF_OK;
}

/* ---- encoding ---- */

static size_t fact_count(const struct roster *roster)
{
    return 1 + roster->count * FACT_KINDS;
}

/* The index-th fact in the order that a set has: the ring's parameters; certificates, so
 * that what needs them finds them; then by kind and node id. */
static const struct fact *fact_at(const struct roster *roster, size_t index)
{
    if (index == 0) return &roster->ring;
    index--;
    return &roster->entries[index % roster->count]->facts[index / roster->count];
}

static bool fact_wanted(const struct fact *fact, uint64_t since)
{
    return fact->bytes != NULL && fact->revision > since;
}

bool roster_encode(const struct roster *roster, uint64_t since, size_t *cursor,
                   uint8_t *bytes, size_t max, size_t *n)
{
    const size_t total = fact_count(roster);
    struct hf_writer w = hf_writer_init(bytes, max);
    size_t size = SET_HEAD_MAX;
    size_t count = 0;
    size_t end = *cursor;

    for (; end < total; end++) {
        const struct fact *fact = fact_at(roster, end);

        if (!fact_wanted(fact, since)) continue;
        if (size + fact->size + FACT_HEAD_MAX > max) break;
        size += fact->size + FACT_HEAD_MAX;
        count++;
    }
    hf_put_header(&w, 1, HF_TYPE_ROSTER, ROSTER_VERSION);
    hf_put_key(&w, ROSTER_FACTS);
    hf_put_array(&w, count);
    for (; *cursor < end; (*cursor)++) {
        const struct fact *fact = fact_at(roster, *cursor);

        if (fact_wanted(fact, since)) hf_put_bytes(&w, fact->bytes, fact->size);
    }
    *n = hf_writer_size(&w);
    return end < total;
}

void roster_digest(const struct roster *roster, struct hf_id *digest)
{
    struct hf_sha256 h;

    hf_sha256_init(&h);
    for (size_t i = 0; i < fact_count(roster); i++) {
        const struct fact *fact = fact_at(roster, i);

        if (fact->bytes != NULL) hf_sha256_add(&h, fact->hash.b, sizeof fact->hash.b);
    }
    hf_sha256_final(&h, digest);
}

const uint8_t *roster_ring(const struct roster *roster, size_t *n,
                           struct ring_parameters *ring)
{
    if (roster->ring.bytes == NULL) return NULL;
    *n = roster->ring.size;
    *ring = roster->parameters;
    return roster->ring.bytes;
}

/* ---- files ---- */

static size_t encoded_size(const struct roster *roster)
{
    size_t size = SET_HEAD_MAX;

    for (size_t i = 0; i < fact_count(roster); i++)
        size += fact_at(roster, i)->size + FACT_HEAD_MAX;
    return size;
}

enum hf_code roster_save(const struct roster *roster, struct hf_files *files, int dir_fd,
                         const char *name, struct hf_err *err)
{
    const size_t max = encoded_size(roster);
    uint8_t *bytes = malloc(max);
    size_t cursor = 0;
    enum hf_code rc;
    size_t n;

    if (bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "roster");
    (void)roster_encode(roster, 0, &cursor, bytes, max, &n);
    rc = hf_file_replace(files, dir_fd, name, bytes, n, 0600, err);
    free(bytes);
    return rc == HF_OK ? HF_OK : hf_prefix(err, "roster");
}

enum hf_code roster_load(struct roster *roster, struct hf_files *files, int dir_fd,
                         const char *name, struct hf_err *err)
{
    uint8_t *bytes = malloc(ROSTER_FILE_MAX); /* touched only as far as the file goes */
    struct roster_merge merge;
    enum hf_code rc;
    size_t n;

    if (bytes == NULL) return hf_fail(err, HF_NO_MEMORY, "roster");
    rc = hf_file_load(files, dir_fd, name, bytes, ROSTER_FILE_MAX, &n, err);
    if (rc == HF_OK) rc = roster_merge(roster, bytes, n, &merge, err);
    if (rc == HF_OK && merge.rejected > 0)
        rc = hf_fail(err, HF_CORRUPT, "%zu of its facts are not of this ring",
                     merge.rejected);
    free(bytes);
    return rc == HF_OK ? HF_OK : hf_prefix(err, "roster");
}
