/* roster.h - who is a member: the union of certificates, revocations and announcements; and
 * the parameters of the ring.
 *
 * Of each kind of fact about a node the one with the highest {version, hash} counts, where
 * version is a certificate's or revocation's serial or an announcement's seq; of the
 * ring's parameters likewise.  So merging
 * is idempotent, commutative and associative, and members that exchange what they know
 * end with the same roster, whatever the order.  Every fact is verified before it is
 * taken: nobody's word but the authority's and the member's own counts.
 *
 * Not thread-safe: one owner. */
#ifndef HOLDFAST_MEMBERSHIP_ROSTER_H
#define HOLDFAST_MEMBERSHIP_ROSTER_H

#include "base/file.h"
#include "membership/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROSTER_MEMBERS_MAX 10000u
/* Most bytes of a file: members * (three facts and their heads). */
#define ROSTER_FILE_MAX ((ROSTER_MEMBERS_MAX * 3u + 1u) * (FACT_SIZE_MAX + 3u) + 64u)

struct roster; /* opaque */

/* One member, as known; borrowed from the roster until it next changes. */
struct roster_member {
    struct certificate certificate;
    bool evicted;                     /* its certificate is revoked */
    bool announced;                   /* the next field is set */
    struct announcement announcement; /* the newest */
};

/* Empty; facts must be signed by `authority`.  NULL: out of memory. */
struct roster *roster_new(const struct hf_public_key *authority);
void roster_free(struct roster *roster); /* NULL is allowed */

/* What a merge did. */
struct roster_merge {
    size_t added;    /* facts that were news */
    size_t known;    /* had, or older than what was had */
    size_t rejected; /* forged, malformed or about nobody known */
};

/* Takes one encoded fact.  HF_OK also when it is known (*news false).  HF_CORRUPT,
 * HF_WRONG_KEY: not taken.  HF_NOT_FOUND: an announcement or revocation of a node without
 * a certificate.  HF_TOO_LARGE: ROSTER_MEMBERS_MAX reached.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code roster_add(struct roster *roster, const void *bytes, size_t n,
                                      bool *news, struct hf_err *err);

/* Takes each fact of an encoded roster (docs/formats.md, Roster), from a peer or a file.
 * Facts that fail are counted and left out.  HF_CORRUPT: the set itself is malformed;
 * facts before that point may have been taken.  HF_NO_MEMORY, HF_TOO_LARGE likewise. */
HF_MUST_CHECK enum hf_code roster_merge(struct roster *roster, const void *bytes, size_t n,
                                        struct roster_merge *merge, struct hf_err *err);

/* Counts the facts taken so far: larger after each piece of news. */
uint64_t roster_revision(const struct roster *roster);

/* Encodes the facts taken after revision `since` (0: all) that fit into bytes[0..max), max
 * >= 4 KiB, beginning at *cursor (0 at first), and moves it on.  True: there are more, to
 * be encoded as a further set.  The roster must not change between.  *n is the size; an
 * empty set is valid. */
bool roster_encode(const struct roster *roster, uint64_t since, size_t *cursor,
                   uint8_t *bytes, size_t max, size_t *n);

/* A hash of all facts: equal for two members exactly when they know the same. */
void roster_digest(const struct roster *roster, struct hf_id *digest);

/* Members in ascending order of node id, evicted ones included. */
size_t roster_count(const struct roster *roster);
const struct roster_member *roster_at(const struct roster *roster, size_t index);

/* NULL: not a member.  By key: looks through all. */
const struct roster_member *roster_find(const struct roster *roster,
                                        const struct hf_id *node);
const struct roster_member *roster_find_key(const struct roster *roster,
                                            const struct hf_public_key *key);

/* The encoded certificate of a member: *n bytes, borrowed.  NULL: not a member. */
const uint8_t *roster_certificate(const struct roster *roster, const struct hf_id *node,
                                  size_t *n);

/* The newest parameters of the ring, as signed: *n bytes, borrowed; NULL: none were added.
 */
const uint8_t *roster_ring(const struct roster *roster, size_t *n,
                           struct ring_parameters *ring);

/* Saves to dir/name, or merges what is there.  HF_NOT_FOUND: no such file. */
HF_MUST_CHECK enum hf_code roster_save(const struct roster *roster, struct hf_files *files,
                                       int dir_fd, const char *name, struct hf_err *err);
HF_MUST_CHECK enum hf_code roster_load(struct roster *roster, struct hf_files *files,
                                       int dir_fd, const char *name, struct hf_err *err);

#endif
